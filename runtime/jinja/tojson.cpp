// The tojson filter, as the transformers library defines it: Python's json.dumps with ensure_ascii
// off unless asked for.
#include <algorithm>
#include <cmath>

#include "runtime/jinja/interpreter.h"
#include "runtime/jinja/numbers.h"

namespace espalier::runtime::jinja {
namespace {

struct Style {
  bool ascii = false;
  bool sorted = false;
  bool lines = false;           // indented
  const Str* indent = nullptr;  // of one level, where lines
  const Str* between = nullptr;
  const Str* after_key = nullptr;
};

void append_string(StrBuilder& out, const Str& s, bool ascii) {
  const auto escape = [&](char32_t unit, Origin origin) {
    char text[16];
    std::snprintf(text, sizeof text, "\\u%04x", static_cast<unsigned>(unit));
    out.append(std::string_view(text, 6), origin);
  };
  out.append("\"", kTemplate);
  for_each_run(s, 0, s.size, [&](std::string_view bytes, Origin origin) {
    std::size_t plain = 0;  // from here on nothing needs an escape
    for (std::size_t at = 0; at < bytes.size();) {
      const auto byte = static_cast<unsigned char>(bytes[at]);
      if (byte >= 0x20 && byte != '"' && byte != '\\' && (byte < 0x80 || !ascii)) {
        ++at;
        continue;
      }
      const Character c = character_at(bytes, at);
      out.append(bytes.substr(plain, at - plain), origin);
      at += c.length;
      plain = at;
      static constexpr std::string_view kFrom = "\"\\\n\r\t\b\f";
      static constexpr std::string_view kTo = "\"\\nrtbf";
      if (c.code < 0x80) {
        if (const auto found = kFrom.find(static_cast<char>(c.code));
            found != std::string_view::npos) {
          const char pair[] = {'\\', kTo[found]};
          out.append(std::string_view(pair, 2), origin);
        } else {
          escape(c.code, origin);
        }
      } else if (c.code == kMalformed) {
        escape(0xDC00 + byte, origin);  // as Python's surrogateescape would have it
      } else if (c.code < 0x10000) {
        escape(c.code, origin);
      } else {
        escape(0xD800 + ((c.code - 0x10000) >> 10), origin);
        escape(0xDC00 + ((c.code - 0x10000) & 0x3FF), origin);
      }
    }
    out.append(bytes.substr(plain), origin);
  });
  out.append("\"", kTemplate);
}

std::string float_json(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return float_text(value);
}

}  // namespace

Value Interpreter::to_json(const Value& value, const CallArguments& given) {
  static constexpr const char* kNames[] = {"ensure_ascii", "indent", "separators", "sort_keys"};
  Value in[4];
  if (!bind("tojson", given, kNames, in, 0)) return value;
  Style style;
  style.ascii = truth(in[0]);
  style.sorted = truth(in[3]);
  if (!in[1].is(Kind::kMissing) && !in[1].is(Kind::kNone)) {
    style.lines = true;
    if (in[1].is(Kind::kString)) {
      style.indent = in[1].string;
    } else {
      const auto width = as_integer(in[1], "tojson's indent");
      if (!width || !room(static_cast<std::uint64_t>(std::max<std::int64_t>(*width, 0))))
        return value;
      style.indent = make_str(
          arena_, std::string(static_cast<std::size_t>(std::max<std::int64_t>(*width, 0)), ' '),
          kTemplate);
    }
  }
  style.between = make_str(arena_, style.lines ? "," : ", ", kTemplate);
  style.after_key = make_str(arena_, ": ", kTemplate);
  if (!in[2].is(Kind::kMissing) && !in[2].is(Kind::kNone)) {
    const auto pair = items_of(in[2]);
    if (failed_) return value;
    if (pair.size() != 2 || !pair[0].is(Kind::kString) || !pair[1].is(Kind::kString))
      return fail("tojson's separators are two strings");
    style.between = pair[0].string;
    style.after_key = pair[1].string;
  }

  StrBuilder out;
  const auto new_line = [&](std::uint32_t depth) {
    if (!style.lines || !spend(1 + depth * style.indent->size / 32)) return;
    out.append("\n", kTemplate);
    for (std::uint32_t i = 0; i < depth; ++i) out.append(*style.indent);
  };
  const auto write = [&](const auto& self, const Value& it, std::uint32_t depth) -> void {
    if (depth > kMaxDataNesting) {
      fail("values nested deeper than " + std::to_string(kMaxDataNesting), ErrorCode::kLimit);
      return;
    }
    if (!spend() || !grows(out, 0)) return;
    switch (it.kind) {
      case Kind::kNone:
        return out.append("null", kTemplate);
      case Kind::kBool:
        return out.append(it.boolean ? "true" : "false", kTemplate);
      case Kind::kInt:
        return out.append(std::to_string(it.integer), kTemplate);
      case Kind::kFloat:
        return out.append(float_json(it.real), kTemplate);
      case Kind::kString:
        if (room(it.string->size * std::uint64_t{6})) append_string(out, *it.string, style.ascii);
        return;
      case Kind::kList:
      case Kind::kTuple:
        out.append("[", kTemplate);
        for (std::uint32_t i = 0; i < it.list->size && !failed_; ++i) {
          if (i > 0) out.append(*style.between);
          new_line(depth + 1);
          self(self, it.list->items[i], depth + 1);
        }
        if (it.list->size > 0) new_line(depth);
        return out.append("]", kTemplate);
      case Kind::kDict: {
        std::vector<Entry> entries(it.dict->entries, it.dict->entries + it.dict->size);
        if (style.sorted && entries.size() > 1) {
          std::vector<Value> keys;
          std::vector<std::uint32_t> places;
          for (const Entry& entry : entries) keys.push_back(entry.key);
          if (!sort_by(keys, places, false)) return;
          for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = it.dict->entries[places[i]];
        }
        out.append("{", kTemplate);
        bool first = true;
        for (const Entry& entry : entries) {
          if (failed_) return;
          if (!first) out.append(*style.between);
          first = false;
          new_line(depth + 1);
          switch (entry.key.kind) {
            case Kind::kString:
              append_string(out, *entry.key.string, style.ascii);
              break;
            case Kind::kNone:
            case Kind::kBool:
            case Kind::kInt:
            case Kind::kFloat:
              out.append("\"", kTemplate);
              self(self, entry.key, depth + 1);
              out.append("\"", kTemplate);
              break;
            default:
              fail(std::string("a ") + type_name(entry.key.kind) + " cannot be a key in JSON");
              return;
          }
          out.append(*style.after_key);
          self(self, entry.value, depth + 1);
        }
        if (!entries.empty()) new_line(depth);
        return out.append("}", kTemplate);
      }
      default:
        fail(std::string("a ") + type_name(it.kind) + " cannot be written as JSON");
        return;
    }
  };
  write(write, value, 0);
  return Value::of(out.finish(arena_));
}

}  // namespace espalier::runtime::jinja
