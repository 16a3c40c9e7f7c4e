// Server-sent events (HTML Living Standard, 9.2): the part that streamable HTTP uses.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace espalier::dsl::mcp {

/// Takes a stream in pieces of any size and gives the data of each event once it is whole. Events
/// without data, comments and other fields are passed over. Bytes that are not yet an event are
/// kept: the stream's own limit bounds them. O(bytes).
class EventStream {
 public:
  [[nodiscard]] std::vector<std::string> feed(std::string_view bytes);

 private:
  void line(std::string_view text, std::vector<std::string>& out);
  std::string partial_;        // of a line
  bool after_return_ = false;  // the last byte was \r: an \n belongs to it
  bool first_ = true;          // a byte order mark may stand here
  std::string data_;
  bool has_data_ = false;
};

}  // namespace espalier::dsl::mcp
