#include "grammar/json_text.h"

#include <string>

#include "grammar/json_structure.h"

namespace espalier {
namespace {

// The offset at which nesting passes `max_depth`, or npos. Brackets inside strings do not count; on
// malformed text the answer is only an upper bound on the depth, which is all that is needed.
std::size_t find_too_deep(std::string_view text, std::uint32_t max_depth) {
  std::uint32_t depth = 0;
  std::size_t found = std::string_view::npos;
  for_each_outside_strings(text, [&](char c, std::size_t at) {
    if (c == '[' || c == '{') {
      if (++depth > max_depth) found = at;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
    return found == std::string_view::npos;
  });
  return found;
}

template <class Value>
Result<Value> read(std::string_view text, std::uint32_t max_depth) {
  if (const auto at = find_too_deep(text, max_depth); at != std::string_view::npos) {
    return fail(ErrorCode::kLimit, "JSON is nested more than " + std::to_string(max_depth) +
                                       " levels deep at byte " + std::to_string(at));
  }
  // The library takes a NUL for the end of its input; whatever follows would pass unread.
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    return fail(ErrorCode::kInvalid, "not JSON: a NUL at byte " + std::to_string(nul));
  }
  try {
    return Value::parse(text.begin(), text.end());
  } catch (const nlohmann::json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 4: syntax error …": without
    // the library's tag.
    const std::string_view what = error.what();
    const auto tag = what.find("] ");
    return fail(
        ErrorCode::kInvalid,
        "not JSON: " + std::string(tag == std::string_view::npos ? what : what.substr(tag + 2)));
  }
}

}  // namespace

Result<Json> read_json(std::string_view text, std::uint32_t max_depth) {
  return read<Json>(text, max_depth);
}

Result<nlohmann::json> read_json_by_key(std::string_view text, std::uint32_t max_depth) {
  return read<nlohmann::json>(text, max_depth);
}

std::string write_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace espalier
