#include "dsl/mcp/events.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace espalier::dsl::mcp {
namespace {

constexpr std::size_t kMaxId = 1024;  // bytes

}  // namespace

std::vector<std::string> EventStream::feed(std::string_view bytes) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < bytes.size();) {
    if (std::exchange(after_return_, false) && bytes[at] == '\n') {
      ++at;
      continue;
    }
    const std::size_t end = bytes.find_first_of("\r\n", at);
    partial_ += bytes.substr(at, end == std::string_view::npos ? end : end - at);
    if (end == std::string_view::npos) break;
    after_return_ = bytes[end] == '\r';
    line(std::exchange(partial_, {}), out);
    at = end + 1;
  }
  return out;
}

void EventStream::line(std::string_view text, std::vector<std::string>& out) {
  if (std::exchange(first_, false) && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.empty()) {
    if (has_data_) out.push_back(std::exchange(data_, {}));
    has_data_ = false;
    last_id_ = id_;
    return;
  }
  const std::string_view field = text.substr(0, text.find(':'));
  std::string_view value = text.substr(std::min(text.size(), field.size() + 1));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    if (std::exchange(has_data_, true)) data_ += '\n';
    data_ += value;
  } else if (field == "id") {
    // It goes back in a header: what no header can hold names no event.
    const bool visible =
        std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
    if (visible && value.size() <= kMaxId) id_ = value;
  } else if (field == "retry") {
    std::uint32_t milliseconds = 0;
    const char* const end = value.data() + value.size();
    const auto read = std::from_chars(value.data(), end, milliseconds);
    if (read.ec == std::errc() && read.ptr == end) retry_ = milliseconds;
  }
}

}  // namespace espalier::dsl::mcp
