// Server-sent events (HTML Living Standard, 9.2): the part that streamable HTTP uses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::dsl::mcp {

/// Takes a stream in pieces of any size and gives the data of each event once it is whole. Comments
/// and other fields are passed over, and so are events without data, but for their id. Bytes that
/// are not yet an event are kept: the stream's own limit bounds them. O(bytes).
class EventStream {
 public:
  [[nodiscard]] std::vector<std::string> feed(std::string_view bytes);
  /// The id of the last whole event that had one (`Last-Event-ID`); empty: the stream cannot be
  /// taken up again.
  [[nodiscard]] const std::string& last_id() const { return last_id_; }
  /// Milliseconds to wait before that, where the stream says so.
  [[nodiscard]] std::optional<std::uint32_t> retry() const { return retry_; }

 private:
  void line(std::string_view text, std::vector<std::string>& out);
  std::string partial_;        // of a line
  bool after_return_ = false;  // the last byte was \r: an \n belongs to it
  bool first_ = true;          // a byte order mark may stand here
  std::string data_;
  bool has_data_ = false;
  std::string id_;  // as the fields so far say; counts once the event is whole
  std::string last_id_;
  std::optional<std::uint32_t> retry_;
};

}  // namespace espalier::dsl::mcp
