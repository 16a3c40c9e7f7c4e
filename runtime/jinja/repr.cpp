// str() and repr() of values, and HTML escapes.
#include "runtime/jinja/interpreter.h"
#include "runtime/jinja/numbers.h"

namespace espalier::runtime::jinja {

const Str* Interpreter::text_of(const Value& value) {
  if (value.is(Kind::kString)) return value.string;
  StrBuilder out;
  append_text(out, value);
  return out.finish(arena_);
}

Value Interpreter::soft_text(const Value& value) {
  return value.is(Kind::kString) ? value : Value::of(text_of(value));
}

void Interpreter::append_text(StrBuilder& out, const Value& value) {
  if (value.is(Kind::kString))
    out.append(*value.string);
  else if (!value.is_undefined())
    append_repr(out, value);
}

void Interpreter::append_repr(StrBuilder& out, const Value& value, std::uint32_t depth) {
  if (depth > kMaxDataNesting) {
    fail("values nested deeper than " + std::to_string(kMaxDataNesting), ErrorCode::kLimit);
    return;
  }
  if (!spend()) return;
  const auto write = [&](std::string_view text) { out.append(text, kTemplate); };
  const auto items = [&](std::span<const Value> list, std::string_view open,
                         std::string_view close) {
    write(open);
    for (std::size_t i = 0; i < list.size() && !failed_; ++i) {
      if (i > 0) write(", ");
      append_repr(out, list[i], depth + 1);
    }
    write(close);
  };
  if (!grows(out, 0)) return;
  switch (value.kind) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return write("Undefined");
    case Kind::kNone:
      return write("None");
    case Kind::kBool:
      return write(value.boolean ? "True" : "False");
    case Kind::kInt:
      return write(std::to_string(value.integer));
    case Kind::kFloat:
      return write(float_text(value.real));
    case Kind::kString:
      if (value.safe) write("Markup(");
      append_string_repr(out, *value.string);
      if (value.safe) write(")");
      return;
    case Kind::kList:
      return items(value.list->span(), "[", "]");
    case Kind::kTuple:
      return items(value.list->span(), "(", value.list->size == 1 ? ",)" : ")");
    case Kind::kDict:
      write("{");
      for (std::uint32_t i = 0; i < value.dict->size && !failed_; ++i) {
        if (i > 0) write(", ");
        append_repr(out, value.dict->entries[i].key, depth + 1);
        write(": ");
        append_repr(out, value.dict->entries[i].value, depth + 1);
      }
      return write("}");
    case Kind::kView: {
      const auto what = value.view->what;
      write(what == View::What::kKeys     ? "dict_keys("
            : what == View::What::kValues ? "dict_values("
                                          : "dict_items(");
      items(items_of(value), "[", "]");
      return write(")");
    }
    case Kind::kRange: {
      const Range& it = *value.range;
      write("range(" + std::to_string(it.start) + ", " + std::to_string(it.stop));
      if (it.step != 1) write(", " + std::to_string(it.step));
      return write(")");
    }
    case Kind::kMacro: {
      write("<Macro ");
      if (value.macro->body->name == nullptr)
        write("anonymous");
      else
        append_string_repr(out, *value.macro->body->name);
      return write(">");
    }
    case Kind::kLoop:
      return write("<LoopContext " + std::to_string(value.loop->index0 + 1) + "/" +
                   std::to_string(length_of(*value.loop)) + ">");
    case Kind::kNamespace: {
      write("<Namespace {");
      for (const Attribute* it = value.ns->first; it != nullptr && !failed_; it = it->next) {
        if (it != value.ns->first) write(", ");
        append_string_repr(out, *it->name);
        write(": ");
        append_repr(out, it->value, depth + 1);
      }
      return write("}>");
    }
    case Kind::kIterator:
    case Kind::kMethod:
    case Kind::kFunction:
    case Kind::kCycler:
    case Kind::kJoiner:
      fail(std::string("the text of a ") + type_name(value.kind) + " is not supported",
           ErrorCode::kUnsupported);
      return;
  }
}

// Single quotes, unless there are some inside and no double ones.
void Interpreter::append_string_repr(StrBuilder& out, const Str& s) {
  const auto text = s.view();
  const bool single =
      text.find('\'') == std::string_view::npos || text.find('"') != std::string_view::npos;
  const char quote = single ? '\'' : '"';
  if (!room(2 * std::uint64_t{s.size})) return;
  out.append(std::string_view(&quote, 1), kTemplate);
  for_each_run(s, 0, s.size, [&](std::string_view bytes, Origin origin) {
    for (std::size_t at = 0; at < bytes.size();) {
      const Character c = character_at(bytes, at);
      const auto raw = bytes.substr(at, c.length);
      at += c.length;
      char escape[16];
      if (c.code == '\n') {
        out.append("\\n", origin);
      } else if (c.code == '\r') {
        out.append("\\r", origin);
      } else if (c.code == '\t') {
        out.append("\\t", origin);
      } else if (c.code == '\\' || c.code == static_cast<char32_t>(quote)) {
        out.append("\\", origin);
        out.append(raw, origin);
      } else if (c.code == kMalformed || is(CharacterClass::kPrintable, c.code)) {
        out.append(raw, origin);
      } else {
        const char* format = c.code < 0x100 ? "\\x%02x" : c.code < 0x10000 ? "\\u%04x" : "\\U%08x";
        const int length =
            std::snprintf(escape, sizeof escape, format, static_cast<unsigned>(c.code));
        out.append(std::string_view(escape, static_cast<std::size_t>(length)), origin);
      }
    }
  });
  out.append(std::string_view(&quote, 1), kTemplate);
}

// The text with &, <, >, ' and " as character references; markup stays as it is.
const Str* Interpreter::escaped(const Value& value) {
  const Str* text = text_of(value);
  if (value.is(Kind::kString) && value.safe) return text;
  if (text->view().find_first_of("&<>'\"") == std::string_view::npos ||
      !room(text->size * std::uint64_t{5}))
    return text;
  StrBuilder out;
  for_each_run(*text, 0, text->size, [&](std::string_view bytes, Origin origin) {
    while (!bytes.empty()) {
      const std::size_t plain = std::min(bytes.find_first_of("&<>'\""), bytes.size());
      out.append(bytes.substr(0, plain), origin);
      bytes.remove_prefix(plain);
      if (bytes.empty()) break;
      const char c = bytes.front();
      out.append(c == '&'   ? "&amp;"
                 : c == '<' ? "&lt;"
                 : c == '>' ? "&gt;"
                 : c == '"' ? "&#34;"
                            : "&#39;",
                 origin);
      bytes.remove_prefix(1);
    }
  });
  return out.finish(arena_);
}

}  // namespace espalier::runtime::jinja
