#include "grammar/json_expression.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "grammar/number_expression.h"

namespace espalier::grammar {
namespace {

// The short escape of a code point inside a JSON string, or empty.
std::string_view short_escape(char32_t c) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return {};
  }
}

std::string escape(char32_t c) {
  if (const std::string_view known = short_escape(c); !known.empty()) return std::string(known);
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\\u00";
  out += kHex[(c >> 4) & 15];
  out += kHex[c & 15];
  return out;
}

constexpr std::size_t kDepth = 1000;  // of constants: the JSON library prints them by recursion

std::uint32_t bound_of(std::uint64_t n) {
  // Beyond 2^32 - 2 characters there is no text to be had: the same as no bound.
  return n >= ExpressionPool::kUnbounded ? ExpressionPool::kUnbounded
                                         : static_cast<std::uint32_t>(n);
}

}  // namespace

Expr JsonExpressions::whitespace() {
  if (!whitespace_) {
    whitespace_ =
        pool_.choice({pool_.empty(), pool_.bytes(" "),
                      pool_.concat({pool_.bytes("\n"), pool_.repeat(pool_.bytes(" "), 0, 16)})});
  }
  return *whitespace_;
}

Expr JsonExpressions::string_character() {
  if (character_) return *character_;
  const Expr hex = pool_.byte_set(ByteSet::of("0123456789abcdefABCDEF"));
  const Expr d = pool_.byte_set(ByteSet::of("dD"));
  const Expr not_d = pool_.byte_set(ByteSet::of("0123456789abcefABCEF"));
  const Expr unit =
      pool_.choice({pool_.concat({not_d, pool_.repeat(hex, 3, 3)}),
                    pool_.concat({d, pool_.byte_range('0', '7'), pool_.repeat(hex, 2, 2)}),
                    pool_.concat({d, pool_.byte_set(ByteSet::of("89abAB")), pool_.repeat(hex, 2, 2),
                                  pool_.bytes("\\u"), d, pool_.byte_set(ByteSet::of("cdefCDEF")),
                                  pool_.repeat(hex, 2, 2)})});
  character_ = pool_.choice(
      {pool_.code_points(kUnescaped),
       pool_.concat({pool_.bytes("\\"), pool_.choice({pool_.byte_set(ByteSet::of("\"\\/bfnrt")),
                                                      pool_.concat({pool_.bytes("u"), unit})})})});
  return *character_;
}

Expr JsonExpressions::string_characters_of(std::span<const CodePointRange> ranges) {
  std::vector<CodePointRange> plain;
  std::vector<std::string> escaped;
  const auto put_plain = [&](char32_t low, char32_t high) {
    if (low <= high) plain.emplace_back(low, high);
  };
  for (const auto& [low, high] : ranges) {
    const auto inside = [low = low, high = high](char32_t c) { return c >= low && c <= high; };
    for (char32_t c = 0; c < 0x20; ++c) {
      if (inside(c)) escaped.push_back(escape(c));
    }
    for (const char32_t c : {U'"', U'\\'}) {
      if (inside(c)) escaped.push_back(escape(c));
    }
    for (const auto& [from, to] : kUnescaped) put_plain(std::max(low, from), std::min(high, to));
  }
  return pool_.choice({pool_.code_points(plain), pool_.words(escaped)});
}

Expr JsonExpressions::string(std::uint64_t low, std::optional<std::uint64_t> high) {
  if (high && low > *high) return pool_.nothing();
  const std::uint32_t to = high ? bound_of(*high) : ExpressionPool::kUnbounded;
  return string_of(pool_.repeat(string_character(), bound_of(low), to));
}

Expr JsonExpressions::string_of(Expr body) {
  return pool_.capture(Capture::kJsonString,
                       pool_.concat({pool_.bytes("\""), body, pool_.bytes("\"")}));
}

Expr JsonExpressions::string_content(std::string_view text) { return pool_.bytes(spelled(text)); }

std::string JsonExpressions::spelled(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20 || c == '"' || c == '\\') {
      out += escape(u);
    } else {
      out += c;
    }
  }
  return out;
}

Expr JsonExpressions::literal(const Json& value) {
  // Work list instead of recursion: a schema's constant may be nested as deep as its text is long.
  struct Open {
    const Json* value;
    Json::const_iterator at;
    std::vector<Expr> parts;
  };
  std::vector<Open> open;
  Expr done = pool_.empty();
  const auto enter = [&](const Json& v) -> bool {  // true where `v` is complete at once
    if (v.is_structured() && !v.empty()) {
      if (open.size() == kDepth) {
        pool_.refuse(
            {ErrorCode::kLimit, "a constant with more than " + std::to_string(kDepth) + " levels"});
        done = pool_.nothing();
        return true;
      }
      open.push_back({&v, v.begin(), {}});
      return false;
    }
    if (v.is_structured()) {
      done = pool_.concat({pool_.bytes(v.is_array() ? "[" : "{"), whitespace(),
                           pool_.bytes(v.is_array() ? "]" : "}")});
    } else if (v.is_string()) {
      done = pool_.concat(
          {pool_.bytes("\""), string_content(v.get_ref<const std::string&>()), pool_.bytes("\"")});
    } else {
      done = pool_.bytes(v.dump());
    }
    return true;
  };
  bool complete = enter(value);
  while (!open.empty()) {
    Open& top = open.back();
    if (complete) {
      top.parts.push_back(done);
      ++top.at;
    }
    if (top.at == top.value->end()) {
      const bool array = top.value->is_array();
      top.parts.push_back(whitespace());
      top.parts.push_back(pool_.bytes(array ? "]" : "}"));
      done = pool_.concat(top.parts);
      open.pop_back();
      complete = true;
      continue;
    }
    const bool array = top.value->is_array();
    if (top.parts.empty()) {
      top.parts.push_back(pool_.concat({pool_.bytes(array ? "[" : "{"), whitespace()}));
    } else {
      top.parts.push_back(comma());
    }
    if (!array) {
      top.parts.push_back(pool_.concat(
          {pool_.bytes("\""), string_content(top.at.key()), pool_.bytes("\":"), whitespace()}));
    }
    complete = enter(*top.at);  // may move `open`; `top` is not used after
  }
  return pool_.ok() ? pool_.constant(value, done) : pool_.nothing();
}

Expr JsonExpressions::object(Expr members, bool may_be_empty) {
  const Expr filled = pool_.concat({members, whitespace()});
  return pool_.capture(
      Capture::kObject,
      pool_.concat({pool_.bytes("{"), whitespace(), may_be_empty ? pool_.optional(filled) : filled,
                    pool_.bytes("}")}));
}

Expr JsonExpressions::member(std::string_view key, Expr value) {
  return pool_.concat({pool_.bytes("\""), string_content(key), pool_.bytes("\":"), whitespace(),
                       pool_.field(key, value)});
}

Expr JsonExpressions::free_member(Expr key, Expr value) {
  return pool_.concat({pool_.capture(Capture::kKey, key), pool_.bytes(":"), whitespace(), value});
}

Expr JsonExpressions::comma() { return pool_.concat({pool_.bytes(","), whitespace()}); }

Expr JsonExpressions::array(Expr item, std::uint32_t low, std::uint32_t high) {
  if (low > high) return pool_.nothing();
  const Expr filled = pool_.concat(
      {pool_.separated(item, comma(), std::max(low, 1U), std::max(high, 1U)), whitespace()});
  const Expr inside = high == 0 ? pool_.empty() : low == 0 ? pool_.optional(filled) : filled;
  return pool_.capture(Capture::kArray,
                       pool_.concat({pool_.bytes("["), whitespace(), inside, pool_.bytes("]")}));
}

Expr JsonExpressions::any() {
  if (any_) return *any_;
  const Rule value = pool_.declare_rule("json");
  any_ = pool_.rule(value);
  const Expr member = free_member(string(), *any_);
  pool_.define_rule(value, pool_.choice({object(pool_.separated(member, comma(), 1), true),
                                         array(*any_), string(), number(), boolean(), null()}));
  return *any_;
}

Expr JsonExpressions::number() { return pool_.capture(Capture::kNumber, decimal_range(pool_, {})); }

Expr JsonExpressions::boolean() {
  return pool_.choice(
      {pool_.constant(true, pool_.bytes("true")), pool_.constant(false, pool_.bytes("false"))});
}

Expr JsonExpressions::null() { return pool_.constant(nullptr, pool_.bytes("null")); }

}  // namespace espalier::grammar
