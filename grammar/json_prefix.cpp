#include "grammar/json_prefix.h"

#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "base/utf8.h"

namespace espalier::grammar {
namespace {

std::optional<unsigned> hex4(std::string_view text, std::size_t at) {
  unsigned value = 0;
  if (at + 4 > text.size()) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + at + 4, value, 16);
  if (error != std::errc() || end != text.data() + at + 4) return std::nullopt;
  return value;
}

}  // namespace

std::string decode_json_string(std::string_view text) {
  std::string out;
  std::size_t i = text.starts_with('"') ? 1 : 0;
  while (i < text.size() && text[i] != '"') {
    if (text[i] != '\\') {
      const utf8::Decoded d = utf8::decode(text, i);
      if (d.length == 0) break;
      out += text.substr(i, d.length);
      i += d.length;
      continue;
    }
    if (i + 1 >= text.size()) break;
    const char c = text[i + 1];
    if (c != 'u') {
      static constexpr std::string_view kFrom = "bfnrt";
      static constexpr std::string_view kTo = "\b\f\n\r\t";
      const std::size_t at = kFrom.find(c);
      out += at == std::string_view::npos ? c : kTo[at];
      i += 2;
      continue;
    }
    const auto high = hex4(text, i + 2);
    if (!high) break;
    if (*high < 0xD800 || *high > 0xDFFF) {
      utf8::append(out, *high);
      i += 6;
      continue;
    }
    const auto low = hex4(text, i + 8);
    if (!low) break;
    utf8::append(out, 0x10000 + ((*high & 0x3FF) << 10) + (*low & 0x3FF));
    i += 12;
  }
  return out;
}

Json json_prefix(std::string_view text) {
  struct Open {
    Json value;
    std::string key;
    bool has_key = false;
  };
  std::vector<Open> open;
  std::optional<Json> whole;
  const auto deliver = [&](Json value) {
    if (open.empty()) {
      whole = std::move(value);
    } else if (open.back().value.is_array()) {
      open.back().value.push_back(std::move(value));
    } else if (open.back().has_key) {
      open.back().value[open.back().key] = std::move(value);
      open.back().has_key = false;
    }
  };
  std::size_t i = 0;
  while (i < text.size()) {
    const char c = text[i];
    if (c == '{' || c == '[') {
      open.push_back({c == '{' ? Json::object() : Json::array(), {}, false});
      ++i;
    } else if (c == '}' || c == ']') {
      if (open.empty()) break;
      Json value = std::move(open.back().value);
      open.pop_back();
      deliver(std::move(value));
      ++i;
    } else if (c == '"') {
      std::size_t end = i + 1;
      while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
      const bool complete = end < text.size();
      const bool key = !open.empty() && open.back().value.is_object() && !open.back().has_key;
      std::string content = decode_json_string(text.substr(i, end - i));
      if (!key) {
        deliver(std::move(content));
      } else if (complete) {
        open.back().key = std::move(content);
        open.back().has_key = true;
      }
      i = end + 1;
    } else if (c == ',' || c == ':' || c == ' ' || c == '\n' || c == '\t' || c == '\r') {
      ++i;
    } else {
      const std::size_t end = std::min(text.find_first_of(",}] \n\t\r", i), text.size());
      const bool cut = end == text.size() && !open.empty();  // more could follow
      Json value = Json::parse(text.substr(i, end - i), nullptr, false);
      if (!cut && !value.is_discarded()) deliver(std::move(value));
      i = end;
    }
  }
  while (!open.empty()) {
    Json value = std::move(open.back().value);
    open.pop_back();
    deliver(std::move(value));
  }
  return whole ? std::move(*whole) : Json();
}

}  // namespace espalier::grammar
