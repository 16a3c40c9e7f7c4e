// espalier lsp: the language server on stdin and stdout.
#include "cli/command.h"
#include "cli/lsp/server.h"

namespace espalier::cli {
namespace {

class Lsp final : public Command {
 public:
  // Clients add --stdio out of habit.
  void declare(CLI::App& app) override {
    app.add_flag("--stdio", stdio_, "Speak on stdin and stdout, as it does anyway");
  }

  Result<int> run(Context& context) override {
    const int code = lsp::Server(context.console.in(), context.console.out(), context.system).run();
    return context.interrupt.requested() ? context.interrupt.exit_code() : code;
  }

 private:
  bool stdio_ = true;
};

}  // namespace

std::unique_ptr<Command> make_lsp() { return std::make_unique<Lsp>(); }

}  // namespace espalier::cli
