// Where a verb reads and writes: results on stdout, everything else on stderr.
//
// A Console is given to a verb, so that tests can run one with streams of their
// own. Colours, live tokens and progress appear only where stderr is a
// terminal; a pipe sees plain lines. NO_COLOR (https://no-color.org) turns
// colours off.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>

#include "base/result.h"
#include "grammar/json.h"

namespace espalier::cli {

enum class Style { kPlain, kBold, kDim, kRed, kYellow, kGreen, kCyan };

class Console {
 public:
  struct Terminals {
    bool out = false;    // stdout is a terminal
    bool err = false;    // stderr is one
    bool color = false;  // and shows colours
    unsigned width = 80;
  };
  Console(std::istream& in, std::ostream& out, std::ostream& err, Terminals terminals)
      : in_(in), out_(out), err_(err), terminals_(terminals) {}

  [[nodiscard]] std::istream& in() { return in_; }
  [[nodiscard]] std::ostream& out() { return out_; }
  [[nodiscard]] std::ostream& err() { return err_; }
  [[nodiscard]] const Terminals& terminals() const { return terminals_; }

  /// A result as JSON on one line, or as text with a line break at its end.
  void print_json(const Json& value);
  void print_text(std::string_view text);
  /// What a person should know; on stderr.
  void note(std::string_view message);
  void warn(std::string_view message);
  void error(std::string_view message);
  /// `text` in `style` where stderr shows colours.
  [[nodiscard]] std::string styled(Style style, std::string_view text) const;
  /// Flushes stdout; kIo if any of it could not be written (a full disk, a
  /// closed pipe).
  [[nodiscard]] Status finish();
  /// All of stdin, at most `limit` bytes.
  [[nodiscard]] Result<std::string> read_input(std::uint64_t limit);

 private:
  std::istream& in_;
  std::ostream& out_;
  std::ostream& err_;
  Terminals terminals_;
};

/// The process's own stdout and stderr, and `in` for its stdin.
[[nodiscard]] Console process_console(std::istream& in);

/// Control characters other than line breaks and tabs as visible escapes: text
/// from a model or a file must not steer a terminal.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace espalier::cli
