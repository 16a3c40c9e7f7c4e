// espalier stub: a program's types for Python's type checkers.
#include <ostream>

#include "cli/command.h"
#include "cli/input_text.h"
#include "cli/program_file.h"
#include "dsl/python_stub.h"

namespace espalier::cli {
namespace {

class Stub final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("FILE", file_, "The program (.gen)")->required()->type_name("");
  }

  Result<int> run(Context& context) override {
    auto text = read_named(file_, dsl::kMaxSource, context);
    if (!text) return fail(text.error());
    const dsl::Compiled compiled = dsl::compile(file_, std::move(*text), reader(context.system));
    if (compiled.diagnostics.size() > 0) {
      context.console.err() << printable(dsl::render(compiled.diagnostics, compiled.sources))
                            << std::flush;
    }
    if (compiled.program == nullptr) return kFailed;
    context.console.out() << dsl::python_stub(*compiled.program);
    return kDone;
  }

 private:
  std::string file_;
};

}  // namespace

std::unique_ptr<Command> make_stub() { return std::make_unique<Stub>(); }

}  // namespace espalier::cli
