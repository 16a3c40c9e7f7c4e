#include "cli/input_text.h"

#include "cli/options.h"

namespace espalier::cli {

void InputText::declare(CLI::App& app, const std::string& text_flag, const std::string& about) {
  text_flag_ = text_flag;
  app.add_option_function<std::string>(
         "FILE", [this](const std::string& path) { file_ = path; }, "A text file; - reads stdin")
      ->type_name("");
  add_text(app, text_flag, text_, "TEXT", about);
}

std::optional<std::string> InputText::usage() const {
  if (text_ && file_) return "give FILE or " + text_flag_ + ", not both";
  if (!text_ && !file_)
    return "nothing to read: give FILE (- for stdin) or " + text_flag_ + " TEXT";
  return std::nullopt;
}

Result<std::string> InputText::read(Context& context) const {
  if (text_) return *text_;
  return read_text(*file_, context);
}

Result<std::string> read_text(const std::string& path, Context& context) {
  if (path == "-") {
    auto text = context.console.read_input(kMaxTextBytes);
    if (context.interrupt.requested()) return fail(ErrorCode::kCancelled, "stopped");
    return text;
  }
  return read_named(path, kMaxTextBytes, context);
}

Result<std::string> read_named(const std::string& path, std::uint64_t limit, Context& context) {
  return context.system.read_named(path, limit, &context.interrupt.flag());
}

}  // namespace espalier::cli
