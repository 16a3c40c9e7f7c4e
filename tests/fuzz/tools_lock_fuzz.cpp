// Any bytes as a `tools.lock`: refused, or what is written of it is read back as the same. Two
// texts as tool objects: what differs can be said exactly when their fingerprints differ.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dsl/mcp/lock.h"
#include "dsl/tool_answer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier;
  using namespace espalier::dsl;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto lock = mcp::Lock::read(text)) {
    const auto again = mcp::Lock::read(lock->text());
    ESP_CHECK(again && *again == *lock);
  }
  const std::size_t cut = text.find('\n');
  if (cut == std::string_view::npos) return 0;
  const auto before = read_answer(text.substr(0, cut));
  const auto now = read_answer(text.substr(cut + 1));
  if (!before || !now) return 0;
  const bool same = mcp::fingerprint(*before) == mcp::fingerprint(*now);
  ESP_CHECK(same == mcp::differences(*before, *now).empty());
  mcp::Lock lock;
  lock.pin("server", "tool", *before);
  ESP_CHECK(mcp::check_pinned(lock, "server", "tool", *now).has_value() == same);
  if (before->is_object()) {
    const auto again = mcp::Lock::read(lock.text());
    ESP_CHECK(again &&
              mcp::fingerprint(*again->find("server", "tool")) == mcp::fingerprint(*before));
  }
  return 0;
}
