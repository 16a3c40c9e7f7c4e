#include "dsl/mcp/events.h"

#include <utility>

namespace espalier::dsl::mcp {

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
    return;
  }
  if (!text.starts_with("data")) return;
  text.remove_prefix(4);
  if (!text.empty() && text.front() != ':') return;  // another field: "database"
  if (!text.empty()) text.remove_prefix(1);
  if (text.starts_with(' ')) text.remove_prefix(1);
  if (std::exchange(has_data_, true)) data_ += '\n';
  data_ += text;
}

}  // namespace espalier::dsl::mcp
