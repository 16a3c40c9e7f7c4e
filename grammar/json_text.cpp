#include "grammar/json_text.h"

#include <cstddef>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grammar/decimal.h"
#include "grammar/json_schema_document.h"
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

// What stands between the library's reader and a value: each member that it reads for itself is
// looked for among all that its object has, which takes quadratic time where they are many. Here
// those of a large object are found by a table. The last of equal keys counts, in the first's
// place.
class Builder {
 public:
  Builder(Json& root, bool exact) : root_(root), exact_(exact) {}

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(Json::number_integer_t value) { return put(value); }
  bool number_unsigned(Json::number_unsigned_t value) { return put(value); }
  bool number_float(Json::number_float_t value, const std::string& text) {
    return put(exact_ ? exactly(value, text) : Json(value));
  }
  bool string(std::string& value) { return put(std::move(value)); }
  bool binary(Json::binary_t& value) { return put(std::move(value)); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_array() { return close(); }
  bool start_object(std::size_t) { return open(Json::object()); }
  bool end_object() { return close(); }
  bool key(std::string& name) {
    Open& top = open_.back();
    auto& members = static_cast<Members&>(top.value->get_ref<Json::object_t&>());
    const std::size_t at = find(top, members, name);
    if (exact_ && at != members.size()) {
      ended_ = "the member `" + name + "` stands twice in " + pointer();
      return false;
    }
    if (at == members.size()) {
      if (!top.table.empty()) top.table.emplace(name, at);
      members.emplace_back(std::move(name), Json());
    }
    top.member = &members[at].second;
    return true;
  }
  /// What ended the reading, if it was no error of the text's.
  [[nodiscard]] const std::string& ended() const { return ended_; }
  template <class Exception>
  bool parse_error(std::size_t end, const std::string& token, const Exception& error) {
    if constexpr (std::is_same_v<Exception, nlohmann::json::out_of_range>) {
      // Well-formed all the same: the library asks for a double first.
      ended_ = "the number `" + token.substr(0, 40) + (token.size() > 40 ? "…" : "") +
               "`, which ends at byte " + std::to_string(end) + ", is beyond any double";
      return false;
    } else {
      throw error;
    }
  }

 private:
  using Members = Json::object_t::Container;
  static constexpr std::size_t kFew = 32;  // members that are looked through

  struct Open {
    Json* value;             // the last of what holds it, which grows no further while it is open
    Json* member = nullptr;  // of an object: what stands behind the key that was read
    std::unordered_map<std::string, std::size_t> table;  // of an object with more than a few
  };

  // Of the object that is being read.
  [[nodiscard]] std::string pointer() const {
    std::string out = "#";
    for (std::size_t i = 0; i + 1 < open_.size(); ++i) {
      const Json& holder = *open_[i].value;
      if (holder.is_array()) {
        out += "/" + std::to_string(holder.size() - 1);
        continue;
      }
      for (const auto& [name, value] : holder.get_ref<const Json::object_t&>()) {
        if (&value == open_[i].member) out += "/" + grammar::pointer_token(name);
      }
    }
    return out;
  }
  static Json exactly(double value, const std::string& text) {
    const auto number = grammar::Decimal::read(text);
    if (number && *number == grammar::Decimal(value)) return value;
    if (number && number->whole()) {
      if (*number >= INT64_MIN && *number <= INT64_MAX) return std::stoll(number->text());
      if (*number >= 0 && *number <= UINT64_MAX) return std::stoull(number->text());
    }
    return Json::binary({text.begin(), text.end()});
  }
  static std::size_t find(Open& top, const Members& members, const std::string& name) {
    if (members.size() < kFew) {
      std::size_t at = 0;
      while (at < members.size() && members[at].first != name) ++at;
      return at;
    }
    if (top.table.empty()) {
      for (std::size_t i = 0; i < members.size(); ++i) top.table.emplace(members[i].first, i);
    }
    const auto it = top.table.find(name);
    return it == top.table.end() ? members.size() : it->second;
  }
  Json* place(Json&& value) {
    Json* at = &root_;
    if (!open_.empty() && open_.back().value->is_array()) {
      at = &open_.back().value->get_ref<Json::array_t&>().emplace_back();
    } else if (!open_.empty()) {
      at = open_.back().member;
    }
    *at = std::move(value);
    return at;
  }
  bool put(Json&& value) {
    place(std::move(value));
    return true;
  }
  bool open(Json&& value) {
    open_.push_back({place(std::move(value)), nullptr, {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  Json& root_;
  bool exact_;
  std::vector<Open> open_;
  std::string ended_;
};

Result<Json> build(std::string_view text, bool exact) {
  Json out;
  Builder builder(out, exact);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    return fail(ErrorCode::kInvalid, builder.ended());
  }
  return out;
}

// What `parse` makes of the text, or why it is not JSON.
template <class Parse>
auto read(std::string_view text, std::uint32_t max_depth, Parse&& parse)
    -> Result<typename decltype(parse())::value_type> {
  if (const auto at = find_too_deep(text, max_depth); at != std::string_view::npos) {
    return fail(ErrorCode::kLimit, "JSON is nested more than " + std::to_string(max_depth) +
                                       " levels deep at byte " + std::to_string(at));
  }
  // The library takes a NUL for the end of its input; whatever follows would pass unread.
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    return fail(ErrorCode::kInvalid, "not JSON: a NUL at byte " + std::to_string(nul));
  }
  try {
    return parse();
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
  return read(text, max_depth, [&] { return build(text, false); });
}

Result<Json> read_json_exactly(std::string_view text, std::uint32_t max_depth) {
  return read(text, max_depth, [&] { return build(text, true); });
}

Result<nlohmann::json> read_json_by_key(std::string_view text, std::uint32_t max_depth) {
  return read(text, max_depth, [&]() -> Result<nlohmann::json> {
    return nlohmann::json::parse(text.begin(), text.end());
  });
}

std::string write_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace espalier
