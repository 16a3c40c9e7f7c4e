// espalier pull: puts a known model into the store.
#include "cli/command.h"
#include "cli/progress.h"
#include "runtime/store/model_store.h"

namespace espalier::cli {
namespace {

std::string_view label(runtime::PullProgress::Step step) {
  switch (step) {
    case runtime::PullProgress::Step::kDownload:
      return "downloading";
    case runtime::PullProgress::Step::kUnpack:
      return "unpacking";
    case runtime::PullProgress::Step::kVerify:
      return "checking";
  }
  return "";
}

class Pull final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("MODEL", model_, "A name of the catalogue (see: espalier list)")
        ->required()
        ->type_name("");
  }

  Result<int> run(Context& context) override {
    ESP_ASSIGN(const auto store, runtime::ModelStore::open(context.system));
    Result<std::string> path;
    {
      ProgressLine line(context.console, context.system);
      path = store.pull(model_, [&](const runtime::PullProgress& progress) {
        std::string figures = human_bytes(progress.done);
        if (progress.total > 0) figures += " of " + human_bytes(progress.total);
        line.show(label(progress.step), progress.done, progress.total, figures);
        return !context.interrupt.requested();
      });
    }
    if (!path) return fail(std::move(path).error());
    context.console.print_text(*path);
    return kDone;
  }

 private:
  std::string model_;
};

}  // namespace

std::unique_ptr<Command> make_pull() { return std::make_unique<Pull>(); }

}  // namespace espalier::cli
