#include "dsl/tool_answer.h"

#include <cstdint>
#include <string>
#include <vector>

#include "grammar/json_structure.h"
#include "grammar/json_text.h"

namespace espalier::dsl {
namespace {

// Whether the members of the text's objects can be read in a bounded time. On malformed text any
// answer will do: it is refused anyway.
bool few_members(std::string_view text) {
  std::vector<std::uint64_t> open;  // members so far, of each object or list that is not closed
  std::uint64_t work = 0;
  bool too_deep = false;  // refused by its depth
  for_each_outside_strings(text, [&](char c, std::size_t) {
    if (c == '{' || c == '[') {
      too_deep = open.size() >= kMaxJsonTextDepth;
      open.push_back(0);
    } else if ((c == '}' || c == ']') && !open.empty()) {
      open.pop_back();
    } else if (c == ':' && !open.empty()) {
      work += ++open.back();
    }
    return !too_deep && work <= kMaxMemberWork;
  });
  return too_deep || work <= kMaxMemberWork;
}

}  // namespace

Result<Json> read_answer(std::string_view text) {
  if (!few_members(text))
    return fail(ErrorCode::kLimit,
                "its objects have too many members: finding each in order would take more than " +
                    std::to_string(kMaxMemberWork) + " comparisons");
  return read_json(text);
}

}  // namespace espalier::dsl
