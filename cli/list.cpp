// espalier list: the models that the catalogue knows, and those that are in the
// store.
#include <algorithm>

#include "cli/command.h"
#include "cli/progress.h"
#include "runtime/store/model_store.h"

namespace espalier::cli {
namespace {

class List final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_flag("--json", json_,
                 "Print a JSON list of {\"name\", \"file\", \"bytes\", "
                 "\"present\", \"about\"}");
  }

  Result<int> run(Context& context) override {
    ESP_ASSIGN(const auto store, runtime::ModelStore::open(context.system));
    const auto models = store.list();
    if (json_) {
      Json out = Json::array();
      for (const auto& model : models) {
        out.push_back({{"name", model.name},
                       {"file", model.file},
                       {"bytes", model.bytes},
                       {"present", model.present},
                       {"about", model.about}});
      }
      context.console.print_json(out);
      return kDone;
    }
    std::size_t width = 4;
    for (const auto& model : models) width = std::max(width, model.name.size());
    const auto padded = [](std::string text, std::size_t to) {
      if (text.size() < to) text.resize(to, ' ');
      return text;
    };
    for (const auto& model : models) {
      context.console.print_text(padded(model.name, width) + "  " +
                                 (model.present ? "here   " : "to pull") + "  " +
                                 padded(human_bytes(model.bytes), 9) + "  " + model.about);
    }
    context.console.note("in " + store.folder());
    return kDone;
  }

 private:
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_list() { return std::make_unique<List>(); }

}  // namespace espalier::cli
