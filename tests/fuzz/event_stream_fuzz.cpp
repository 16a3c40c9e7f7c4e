// A stream of server-sent events, cut anywhere: the pieces give what the whole gives.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dsl/mcp/events.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using espalier::dsl::mcp::EventStream;
  if (size == 0) return 0;
  // The first byte is the length of a piece.
  const std::size_t step = data[0] % 7U + 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::vector<std::string> whole = EventStream().feed(bytes);
  EventStream stream;
  std::vector<std::string> pieces;
  std::size_t content = 0;
  for (std::size_t at = 0; at < bytes.size(); at += step)
    for (std::string& event : stream.feed(bytes.substr(at, step)))
      pieces.push_back(std::move(event));
  ESP_CHECK(pieces == whole);
  for (const std::string& event : whole) {
    ESP_CHECK(event.find('\r') == std::string::npos);
    content += event.size();
  }
  ESP_CHECK(content <= bytes.size());
  return 0;
}
