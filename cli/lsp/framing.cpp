#include "cli/lsp/framing.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <istream>
#include <ostream>
#include <utility>

#include "base/ascii.h"

namespace espalier::cli::lsp {
namespace {

using Traits = std::char_traits<char>;

constexpr std::string_view kLength = "content-length";
constexpr std::uint64_t kMaxSkipped = std::uint64_t{1} << 40;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is(std::string_view name, std::string_view wanted) {
  return std::equal(name.begin(), name.end(), wanted.begin(), wanted.end(),
                    [](char a, char b) { return lower(a) == b; });
}

}  // namespace

bool MessageReader::more() const { return in_.rdbuf()->in_avail() > 0; }

// A header line without its end: "\r\n", or "\n" alone.
MessageReader::Line MessageReader::read_line(std::string& line) {
  line.clear();
  while (true) {
    const auto c = in_.rdbuf()->sbumpc();
    if (Traits::eq_int_type(c, Traits::eof())) return Line::kEnd;
    if (Traits::to_char_type(c) == '\n') break;
    if (line.size() >= kMaxHeader) return Line::kTooLong;
    line.push_back(Traits::to_char_type(c));
  }
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return Line::kWhole;
}

// Reads up to and with the next "Content-Length"; only its value is left then.
bool MessageReader::skip_to_header() {
  std::size_t matched = 0;
  while (true) {
    const auto read = in_.rdbuf()->sbumpc();
    if (Traits::eq_int_type(read, Traits::eof())) return false;
    const char c = lower(Traits::to_char_type(read));
    // No part of the name but its first letter begins it again.
    matched = c == kLength[matched] ? matched + 1 : c == kLength[0] ? 1 : 0;
    if (matched == kLength.size()) {
      found_ = true;
      return true;
    }
  }
}

bool MessageReader::skip(std::uint64_t bytes) {
  std::array<char, 4096> rest;
  while (bytes > 0) {
    const auto part = static_cast<std::streamsize>(std::min<std::uint64_t>(bytes, rest.size()));
    if (in_.rdbuf()->sgetn(rest.data(), part) != part) return false;
    bytes -= static_cast<std::uint64_t>(part);
  }
  return true;
}

std::optional<Framed> MessageReader::next() {
  std::optional<std::uint64_t> length;
  bool any = false;
  const auto broken = [&](std::string why) -> std::optional<Framed> {
    if (!skip_to_header()) found_ = false;
    return Framed{true, std::move(why)};
  };
  std::string line;
  while (true) {
    const bool named = std::exchange(found_, false);
    const Line read = read_line(line);
    if (read == Line::kEnd) {
      if (line.empty() && !any) return std::nullopt;
      return Framed{true, "the input ends in a message's header"};
    }
    if (read == Line::kTooLong)
      return broken("a header line has more than " + std::to_string(kMaxHeader) + " bytes");
    if (line.empty() && !named) {
      if (!any) continue;  // an empty line between messages does no harm
      break;
    }
    if (named) line.insert(0, kLength);
    any = true;
    const auto colon = line.find(':');
    if (colon == std::string::npos) return broken("a header line has no colon");
    const std::string_view name = trimmed(std::string_view(line).substr(0, colon));
    if (!is(name, kLength)) continue;  // Content-Type, or one that is not known
    const std::string_view digits = trimmed(std::string_view(line).substr(colon + 1));
    std::uint64_t value = 0;
    const auto end = digits.data() + digits.size();
    const auto parsed = std::from_chars(digits.data(), end, value);
    if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != end)
      return broken("Content-Length is no number of bytes");
    length = value;
  }
  if (!length) return broken("a header without Content-Length");
  if (*length > kMaxMessage) {
    const std::string why = "a message of " + std::to_string(*length) + " bytes: the limit is " +
                            std::to_string(kMaxMessage);
    if (*length > kMaxSkipped) return broken(why);
    (void)skip(*length);  // where the input ends before, the next call sees it
    return Framed{true, why};
  }
  // As it comes: a length that was promised and never sent takes no memory.
  Framed message;
  std::array<char, 65536> part;
  while (message.text.size() < *length) {
    const auto wanted = static_cast<std::streamsize>(
        std::min<std::uint64_t>(part.size(), *length - message.text.size()));
    const auto got = in_.rdbuf()->sgetn(part.data(), wanted);
    message.text.append(part.data(), static_cast<std::size_t>(got));
    if (got < wanted) return Framed{true, "the input ends in a message's middle"};
  }
  return message;
}

bool write_message(std::ostream& out, std::string_view body) {
  out << "Content-Length: " << body.size() << "\r\n\r\n" << body << std::flush;
  return out.good();
}

}  // namespace espalier::cli::lsp
