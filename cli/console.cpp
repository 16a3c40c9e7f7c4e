#include "cli/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <vector>

#include "grammar/json_text.h"

namespace espalier::cli {
namespace {

std::string_view code(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "\x1b[1m";
    case Style::kDim:
      return "\x1b[2m";
    case Style::kRed:
      return "\x1b[1;31m";
    case Style::kYellow:
      return "\x1b[33m";
    case Style::kGreen:
      return "\x1b[32m";
    case Style::kCyan:
      return "\x1b[36m";
  }
  return "";
}

bool wants_color() {
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') return false;
  const char* term = std::getenv("TERM");
  return term != nullptr && std::string_view(term) != "dumb";
}

}  // namespace

void Console::print_json(const Json& value) { out_ << write_json(value) << '\n'; }

void Console::print_text(std::string_view text) {
  const std::string shown = terminals_.out ? printable(text) : std::string(text);
  out_ << shown;
  if (!shown.ends_with('\n')) out_ << '\n';
}

void Console::note(std::string_view message) { err_ << message << '\n' << std::flush; }

void Console::warn(std::string_view message) {
  err_ << styled(Style::kYellow, "warning:") << ' ' << message << '\n' << std::flush;
}

void Console::error(std::string_view message) {
  out_ << std::flush;  // so that on a terminal the message stands after what
                       // came before it
  err_ << styled(Style::kRed, "error:") << ' ' << message << '\n' << std::flush;
}

std::string Console::styled(Style style, std::string_view text) const {
  if (!terminals_.color || style == Style::kPlain) return std::string(text);
  return std::string(code(style)) + std::string(text) + "\x1b[0m";
}

Status Console::finish() {
  out_.flush();
  if (!out_) return fail(ErrorCode::kIo, "cannot write to stdout; the output is incomplete");
  return {};
}

Result<std::string> Console::read_input(std::uint64_t limit) {
  std::string text;
  std::vector<char> buffer(std::size_t{1} << 16);  // not of the stack, which may be small
  while (in_) {
    in_.read(buffer.data(), buffer.size());
    text.append(buffer.data(), static_cast<std::size_t>(in_.gcount()));
    if (text.size() > limit) {
      return fail(ErrorCode::kLimit,
                  "stdin has more than the " + std::to_string(limit) + " bytes that are read");
    }
  }
  if (in_.bad()) return fail(ErrorCode::kIo, "cannot read stdin");
  return text;
}

Console process_console(std::istream& in) {
  std::ios::sync_with_stdio(false);
  Console::Terminals terminals;
  terminals.out = ::isatty(STDOUT_FILENO) == 1;
  terminals.err = ::isatty(STDERR_FILENO) == 1;
  terminals.color = terminals.err && wants_color();
  winsize size{};
  if (terminals.err && ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    terminals.width = size.ws_col;
  }
  return {in, std::cout, std::cerr, terminals};
}

std::string printable(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // C0 and DEL, and C1 (U+0080..U+009F), which some terminals obey too.
    const bool c1 =
        c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F || c1) {
      const unsigned char value = c1 ? static_cast<unsigned char>(text[++i]) : c;
      out += "\\x";
      out += kHex[value >> 4];
      out += kHex[value & 15];
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace espalier::cli
