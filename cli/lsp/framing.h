// The base protocol of LSP 3.17: messages of JSON behind a header with their length.
//
// The reader takes whatever bytes come: a header that is none is reported once and skipped up to
// the next one; a message that is too long is read past without being kept. Memory: one message.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

namespace espalier::cli::lsp {

inline constexpr std::uint64_t kMaxMessage = 64u << 20;  // bytes of one message
inline constexpr std::size_t kMaxHeader = 4096;          // bytes of one header line

/// What came next: a message's body, or what was wrong with the framing.
struct Framed {
  bool broken = false;
  std::string text;  // the body; if `broken`, the reason
};

class MessageReader {
 public:
  explicit MessageReader(std::istream& in) : in_(in) {}

  /// Waits for the next message; nothing at the end of the stream, also in a message's middle.
  [[nodiscard]] std::optional<Framed> next();
  /// More bytes are at hand without waiting.
  [[nodiscard]] bool more() const;

 private:
  enum class Line : std::uint8_t { kWhole, kTooLong, kEnd };
  Line read_line(std::string& line);
  bool skip_to_header();
  bool skip(std::uint64_t bytes);

  std::istream& in_;
  bool found_ = false;  // a header's name was read by skip_to_header()
};

/// Writes one message and flushes. False where the stream takes no more.
[[nodiscard]] bool write_message(std::ostream& out, std::string_view body);

}  // namespace espalier::cli::lsp
