// Methods of strings. Every byte of a result keeps its origin.
#include <algorithm>

#include "base/utf8.h"
#include "runtime/jinja/interpreter.h"

namespace espalier::runtime::jinja {
namespace {

bool line_end(char32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

}  // namespace

std::size_t Interpreter::offset_of(const Str& s, std::int64_t index) {
  const auto text = s.view();
  std::size_t at = 0;
  for (; index > 0 && at < text.size(); --index) at += character_at(text, at).length;
  return at;
}

Value Interpreter::characters_slice(const Value& self, std::int64_t start, std::int64_t count,
                                    std::int64_t step) {
  const Str& s = *self.string;
  if (count <= 0) return Value::of(make_str(arena_, "", kTemplate), self.safe);
  if (!spend(s.size / 32)) return self;
  if (step == 1 || count == 1) {
    const std::size_t from = offset_of(s, start);
    std::size_t to = from;
    for (std::int64_t i = 0; i < count; ++i) to += character_at(s.view(), to).length;
    return Value::of(slice(arena_, s, from, to), self.safe);
  }
  std::vector<std::uint32_t> starts;
  for (std::size_t at = 0; at < s.size; at += character_at(s.view(), at).length)
    starts.push_back(static_cast<std::uint32_t>(at));
  starts.push_back(s.size);
  if (!room(s.size)) return self;
  StrBuilder out;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(start + i * step);
    out.append(s, starts[at], starts[at + 1]);
  }
  return Value::of(out.finish(arena_), self.safe);
}

Value Interpreter::strip(const Value& self, const Value& characters, bool left, bool right) {
  auto text = self.string->view();
  if (!spend(text.size() / 32)) return self;
  if (characters.is(Kind::kMissing) || characters.is(Kind::kNone)) {
    if (left) text = strip_left(text);
    if (right) text = strip_right(text);
    return Value::of(slice(arena_, *self.string, text), self.safe);
  }
  if (!characters.is(Kind::kString)) return fail("strip needs a string");
  const auto set = characters.string->view();
  const auto in_set = [&](std::string_view character) {
    for (std::size_t at = 0; at < set.size(); at += character_at(set, at).length) {
      if (set.substr(at, character_at(set, at).length) == character) return true;
    }
    return false;
  };
  while (left && !text.empty()) {
    const std::size_t length = character_at(text, 0).length;
    if (!spend(1 + set.size() / 32) || !in_set(text.substr(0, length))) break;
    text.remove_prefix(length);
  }
  while (right && !text.empty()) {
    const std::size_t start = character_before(text, text.size());
    if (!spend(1 + set.size() / 32) || !in_set(text.substr(start))) break;
    text = text.substr(0, start);
  }
  return Value::of(slice(arena_, *self.string, text), self.safe);
}

Value Interpreter::split(const Value& self, const Value& separator, std::int64_t most,
                         bool from_right) {
  const auto text = self.string->view();
  if (!spend(1 + text.size() / 8)) return self;
  std::vector<std::string_view> parts;
  const auto full = [&] { return most >= 0 && static_cast<std::int64_t>(parts.size()) >= most; };
  if (separator.is(Kind::kMissing) || separator.is(Kind::kNone)) {
    auto rest = from_right ? strip_right(text) : strip_left(text);
    while (!rest.empty()) {
      if (full()) {
        parts.push_back(rest);
        break;
      }
      if (from_right) {
        std::size_t start = rest.size();
        while (start > 0) {
          const std::size_t before = character_before(rest, start);
          if (is_space(character_at(rest, before).code)) break;
          start = before;
        }
        parts.push_back(rest.substr(start));
        rest = strip_right(rest.substr(0, start));
      } else {
        std::size_t end = 0;
        while (end < rest.size() && !is_space(character_at(rest, end).code))
          end += character_at(rest, end).length;
        parts.push_back(rest.substr(0, end));
        rest = strip_left(rest.substr(end));
      }
    }
  } else {
    if (!separator.is(Kind::kString)) return fail("split needs a string");
    const auto mark = separator.string->view();
    if (mark.empty()) return fail("the separator of split is empty");
    auto rest = text;
    while (!full()) {
      const std::size_t found = from_right ? rest.rfind(mark) : rest.find(mark);
      if (found == std::string_view::npos) break;
      parts.push_back(from_right ? rest.substr(found + mark.size()) : rest.substr(0, found));
      rest = from_right ? rest.substr(0, found) : rest.substr(found + mark.size());
    }
    parts.push_back(rest);
  }
  if (from_right) std::reverse(parts.begin(), parts.end());
  if (!room(parts.size() * (sizeof(Value) + sizeof(Str)))) return self;
  std::vector<Value> items;
  for (const auto part : parts)
    items.push_back(Value::of(slice(arena_, *self.string, part), self.safe));
  return list(items);
}

Value Interpreter::split_lines(const Value& self, bool keep) {
  const auto text = self.string->view();
  if (!spend(1 + text.size() / 8)) return self;
  std::vector<Value> lines;
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    if (!line_end(c.code)) {
      at += c.length;
      continue;
    }
    std::size_t after = at + c.length;
    if (c.code == '\r' && after < text.size() && text[after] == '\n') ++after;
    lines.push_back(Value::of(slice(arena_, *self.string, start, keep ? after : at), self.safe));
    if (!spend()) return self;
    start = at = after;
  }
  if (start < text.size())
    lines.push_back(Value::of(slice(arena_, *self.string, start, text.size()), self.safe));
  return list(lines);
}

Value Interpreter::replace(const Value& self, const Str& from, const Str& to, std::int64_t most) {
  const Str& s = *self.string;
  const auto text = s.view();
  if (!spend(1 + text.size() / 8)) return self;
  StrBuilder out;
  const auto more = [&] { return most < 0 || most-- > 0; };
  std::size_t at = 0;
  if (from.size == 0) {  // between all characters
    while (true) {
      if (!more()) break;
      out.append(to);
      if (at == text.size() || !grows(out, to.size)) break;
      const std::size_t next = at + character_at(text, at).length;
      out.append(s, at, next);
      at = next;
    }
  } else {
    for (std::size_t found = text.find(from.view()); found != std::string_view::npos && more();
         found = text.find(from.view(), at)) {
      if (!grows(out, to.size)) return self;
      out.append(s, at, found);
      out.append(to);
      at = found + from.size;
    }
    if (at == 0) return self;
  }
  if (at < text.size()) out.append(s, at, text.size());
  return Value::of(out.finish(arena_), self.safe);
}

Value Interpreter::in_case(const Value& self, NameId how) {
  const Str& s = *self.string;
  if (!room(s.size * std::uint64_t{3})) return self;
  StrBuilder out;
  std::string piece;
  bool in_word = false;  // title: within cased letters
  bool first = true;
  bool cased_before = false;  // for the final sigma
  std::size_t offset = 0;
  for_each_run(s, 0, s.size, [&](std::string_view bytes, Origin origin) {
    piece.clear();
    for (std::size_t at = 0; at < bytes.size();) {
      const Character c = character_at(bytes, at);
      const auto raw = bytes.substr(at, c.length);
      const std::size_t after = offset + at + c.length;
      at += c.length;
      if (c.code == kMalformed) {
        piece += raw;
        in_word = cased_before = first = false;
        continue;
      }
      const bool cased = has_upper(c.code) || has_lower(c.code);
      Case wanted = Case::kLower;
      switch (how) {
        case NameId::kUpper:
          wanted = Case::kUpper;
          break;
        case NameId::kCapitalize:
          wanted = first ? Case::kTitle : Case::kLower;
          break;
        case NameId::kTitle:
          wanted = in_word ? Case::kLower : Case::kTitle;
          break;
        case NameId::kSwapCase:
          wanted = has_upper(c.code) ? Case::kLower : Case::kUpper;
          break;
        default:
          break;
      }
      if (c.code == kSigma && wanted == Case::kLower) {
        utf8::append(piece, lower_sigma(cased_before, s.view().substr(after)));
      } else {
        append_in_case(piece, c.code, wanted);
      }
      in_word = cased_before = cased;
      first = false;
    }
    offset += bytes.size();
    out.append(piece, origin);
  });
  return Value::of(out.finish(arena_), self.safe);
}

// `strict`: as str.join, which takes strings only; else each item's text.
Value Interpreter::join(const Str& separator, std::span<const Value> items, bool strict,
                        bool safe) {
  StrBuilder out;
  for (std::size_t i = 0; i < items.size() && !failed_; ++i) {
    if (strict && !items[i].is(Kind::kString))
      return fail(std::string("join needs strings, not a ") + type_name(items[i].kind));
    const Str* text = safe ? escaped(items[i]) : text_of(items[i]);
    if (!grows(out, std::uint64_t{text->size} + separator.size)) break;
    if (i > 0) out.append(separator);
    out.append(*text);
  }
  return Value::of(out.finish(arena_), safe);
}

Value Interpreter::pad(const Value& self, std::int64_t width, const Str& fill, NameId where) {
  const std::int64_t length = length_of(self).value_or(0);
  if (width <= length) return self;
  const std::int64_t more = width - length;
  std::int64_t left = 0;
  if (where == NameId::kRjust) left = more;
  if (where == NameId::kCenter) left = more / 2 + (more & width & 1);
  if (!room(static_cast<std::uint64_t>(std::min<std::int64_t>(more, INT64_MAX / 8)) * fill.size +
            self.string->size))
    return self;
  StrBuilder out;
  for (std::int64_t i = 0; i < left; ++i) out.append(fill);
  out.append(*self.string);
  for (std::int64_t i = left; i < more; ++i) out.append(fill);
  return Value::of(out.finish(arena_), self.safe);
}

Value Interpreter::find_in(const Value& self, const CallArguments& given, NameId how) {
  static constexpr const char* kNames[] = {"sub", "start", "end"};
  Value in[3];
  if (!bind("find", given, kNames, in, 1)) return self;
  if (!in[0].is(Kind::kString)) return fail("a string contains strings only");
  const Str& s = *self.string;
  const std::int64_t length = length_of(self).value_or(0);
  std::int64_t bounds[2] = {0, length};
  for (int i = 0; i < 2; ++i) {
    if (in[i + 1].is(Kind::kMissing) || in[i + 1].is(Kind::kNone)) continue;
    const auto value = as_integer(in[i + 1], "find");
    if (!value) return self;
    bounds[i] = *value < 0 ? (*value < -length ? 0 : *value + length)
                           : std::min(*value, i == 0 ? length + 1 : length);
  }
  const bool possible = bounds[0] <= bounds[1] && bounds[0] <= length;
  const std::size_t from = offset_of(s, bounds[0]);
  const auto text =
      possible ? s.view().substr(from, offset_of(s, bounds[1]) - from) : std::string_view();
  const auto wanted = in[0].string->view();
  if (!spend(1 + s.size / 32)) return self;
  if (how == NameId::kCount) {
    if (!possible) return Value::of(std::int64_t{0});
    if (wanted.empty()) return Value::of(bounds[1] - bounds[0] + 1);
    std::int64_t count = 0;
    for (std::size_t at = text.find(wanted); at != std::string_view::npos;
         at = text.find(wanted, at + wanted.size()))
      ++count;
    return Value::of(count);
  }
  const bool last = how == NameId::kRfind || how == NameId::kRindex;
  const std::size_t found = !possible ? std::string_view::npos
                            : last    ? text.rfind(wanted)
                                      : text.find(wanted);
  if (found == std::string_view::npos) {
    if (how == NameId::kIndex || how == NameId::kRindex) return fail("the substring is not there");
    return Value::of(std::int64_t{-1});
  }
  return Value::of(bounds[0] + static_cast<std::int64_t>(count_characters(text.substr(0, found))));
}

Value Interpreter::affix(const Value& self, const CallArguments& given, bool at_start) {
  static constexpr const char* kNames[] = {"affix", "start", "end"};
  Value in[3];
  if (!bind(at_start ? "startswith" : "endswith", given, kNames, in, 1)) return self;
  if (!in[1].is(Kind::kMissing))
    return fail("startswith and endswith with bounds are not supported", ErrorCode::kUnsupported);
  const auto text = self.string->view();
  const auto matches = [&](const Value& it) {
    if (!it.is(Kind::kString)) {
      fail("startswith and endswith need a string or a tuple of strings");
      return false;
    }
    return at_start ? text.starts_with(it.string->view()) : text.ends_with(it.string->view());
  };
  if (!in[0].is(Kind::kTuple)) return Value::of(matches(in[0]));
  bool any = false;
  for (const Value& it : in[0].list->span()) {
    if (spend() && matches(it)) {
      any = true;
      break;
    }
  }
  return Value::of(any);
}

Value Interpreter::partition(const Value& self, const Str& separator, bool from_right) {
  if (separator.size == 0) return fail("the separator of partition is empty");
  const Str& s = *self.string;
  const auto text = s.view();
  const std::size_t found = from_right ? text.rfind(separator.view()) : text.find(separator.view());
  const Value empty = Value::of(make_str(arena_, "", kTemplate), self.safe);
  if (found == std::string_view::npos)
    return from_right ? list({empty, empty, self}, Kind::kTuple)
                      : list({self, empty, empty}, Kind::kTuple);
  const auto part = [&](std::size_t from, std::size_t to) {
    return Value::of(slice(arena_, s, from, to), self.safe);
  };
  return list(
      {part(0, found), part(found, found + separator.size), part(found + separator.size, s.size)},
      Kind::kTuple);
}

bool Interpreter::classify(const Str& s, NameId how) {
  const auto text = s.view();
  bool cased = false;    // a cased character has been seen
  bool in_word = false;  // istitle: the character before was cased
  if (text.empty()) return how == NameId::kIsAscii;
  for (std::size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    at += c.length;
    const bool malformed = c.code == kMalformed;
    const auto in = [&](CharacterClass wanted) { return !malformed && is(wanted, c.code); };
    const bool upper = !malformed && has_upper(c.code);
    const bool lower = !malformed && has_lower(c.code) && !upper;
    switch (how) {
      case NameId::kIsAlnum:
        if (!in(CharacterClass::kAlpha) && !in(CharacterClass::kDecimal) &&
            !in(CharacterClass::kDigit) && !in(CharacterClass::kNumeric))
          return false;
        break;
      case NameId::kIsAlpha:
        if (!in(CharacterClass::kAlpha)) return false;
        break;
      case NameId::kIsAscii:
        if (malformed || c.code >= 0x80) return false;
        break;
      case NameId::kIsDecimal:
        if (!in(CharacterClass::kDecimal)) return false;
        break;
      case NameId::kIsDigit:
        if (!in(CharacterClass::kDigit)) return false;
        break;
      case NameId::kIsNumeric:
        if (!in(CharacterClass::kNumeric)) return false;
        break;
      case NameId::kIsSpace:
        if (malformed || !is_space(c.code)) return false;
        break;
      case NameId::kIsLower:
        if (upper) return false;
        cased = cased || lower;
        break;
      case NameId::kIsUpper:
        if (lower) return false;
        cased = cased || upper;
        break;
      default:  // istitle
        if (upper && in_word) return false;
        if (lower && !in_word) return false;
        in_word = upper || lower;
        cased = cased || in_word;
        break;
    }
  }
  const bool needs_cased =
      how == NameId::kIsLower || how == NameId::kIsUpper || how == NameId::kIsTitle;
  return !needs_cased || cased;
}

Value Interpreter::string_method(const Value& self, NameId method, const CallArguments& given) {
  Value in[3];
  // A string argument; markup escapes it.
  const auto text_argument = [&](const Value& value) -> const Str* {
    if (!value.is(Kind::kString)) {
      fail(std::string("the method needs a string, not a ") + type_name(value.kind));
      return make_str(arena_, "", kTemplate);
    }
    return self.safe ? escaped(value) : value.string;
  };
  const auto integer = [&](const Value& value, std::int64_t otherwise) {
    return value.is(Kind::kMissing) ? otherwise
                                    : as_integer(value, "the method").value_or(otherwise);
  };
  switch (method) {
    case NameId::kUpper:
    case NameId::kLower:
    case NameId::kTitle:
    case NameId::kCapitalize:
    case NameId::kSwapCase:
    case NameId::kIsAlnum:
    case NameId::kIsAlpha:
    case NameId::kIsAscii:
    case NameId::kIsDecimal:
    case NameId::kIsDigit:
    case NameId::kIsLower:
    case NameId::kIsNumeric:
    case NameId::kIsSpace:
    case NameId::kIsTitle:
    case NameId::kIsUpper:
      if (!bind("the method", given, {}, {}, 0)) return self;
      if (method == NameId::kUpper || method == NameId::kLower || method == NameId::kTitle ||
          method == NameId::kCapitalize || method == NameId::kSwapCase)
        return in_case(self, method);
      return spend(self.string->size / 32) ? Value::of(classify(*self.string, method)) : self;
    case NameId::kStrip:
    case NameId::kLstrip:
    case NameId::kRstrip: {
      static constexpr const char* kNames[] = {"chars"};
      if (!bind("strip", given, kNames, in, 0)) return self;
      return strip(self, in[0], method != NameId::kRstrip, method != NameId::kLstrip);
    }
    case NameId::kSplit:
    case NameId::kRsplit: {
      static constexpr const char* kNames[] = {"sep", "maxsplit"};
      if (!bind("split", given, kNames, in, 0)) return self;
      const std::int64_t most = integer(in[1], -1);
      return failed_ ? self : split(self, in[0], most, method == NameId::kRsplit);
    }
    case NameId::kSplitLines: {
      static constexpr const char* kNames[] = {"keepends"};
      if (!bind("splitlines", given, kNames, in, 0)) return self;
      return split_lines(self, truth(in[0]));
    }
    case NameId::kReplace: {
      static constexpr const char* kNames[] = {"old", "new", "count"};
      if (!bind("replace", given, kNames, in, 2)) return self;
      const Str* from = text_argument(in[0]);
      const Str* to = text_argument(in[1]);
      const std::int64_t most = integer(in[2], -1);
      return failed_ ? self : replace(self, *from, *to, most);
    }
    case NameId::kJoin: {
      static constexpr const char* kNames[] = {"iterable"};
      if (!bind("join", given, kNames, in, 1)) return self;
      return join(*self.string, items_of(in[0]), true, self.safe);
    }
    case NameId::kStartsWith:
    case NameId::kEndsWith:
      return affix(self, given, method == NameId::kStartsWith);
    case NameId::kFind:
    case NameId::kRfind:
    case NameId::kIndex:
    case NameId::kRindex:
    case NameId::kCount:
      return find_in(self, given, method);
    case NameId::kRemovePrefix:
    case NameId::kRemoveSuffix: {
      static constexpr const char* kNames[] = {"affix"};
      if (!bind("the method", given, kNames, in, 1)) return self;
      const auto affix_text = text_argument(in[0])->view();
      const auto text = self.string->view();
      if (failed_) return self;
      if (method == NameId::kRemovePrefix)
        return text.starts_with(affix_text)
                   ? Value::of(slice(arena_, *self.string, affix_text.size(), text.size()),
                               self.safe)
                   : self;
      return text.ends_with(affix_text)
                 ? Value::of(slice(arena_, *self.string, 0, text.size() - affix_text.size()),
                             self.safe)
                 : self;
    }
    case NameId::kPartition:
    case NameId::kRpartition: {
      static constexpr const char* kNames[] = {"sep"};
      if (!bind("partition", given, kNames, in, 1)) return self;
      const Str* separator = text_argument(in[0]);
      return failed_ ? self : partition(self, *separator, method == NameId::kRpartition);
    }
    case NameId::kCenter:
    case NameId::kLjust:
    case NameId::kRjust: {
      static constexpr const char* kNames[] = {"width", "fillchar"};
      if (!bind("the method", given, kNames, in, 1)) return self;
      const std::int64_t width = integer(in[0], 0);
      const Str* fill =
          in[1].is(Kind::kMissing) ? make_str(arena_, " ", kTemplate) : text_argument(in[1]);
      if (failed_) return self;
      if (count_characters(fill->view()) != 1) return fail("the fill must be one character");
      return pad(self, width, *fill, method);
    }
    case NameId::kZfill: {
      static constexpr const char* kNames[] = {"width"};
      if (!bind("zfill", given, kNames, in, 1)) return self;
      const std::int64_t width = integer(in[0], 0);
      if (failed_) return self;
      const auto text = self.string->view();
      const std::size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
      const Value digits = Value::of(slice(arena_, *self.string, sign, text.size()));
      const Value padded = pad(digits, width - static_cast<std::int64_t>(sign),
                               *make_str(arena_, "0", kTemplate), NameId::kRjust);
      const Str* front = slice(arena_, *self.string, 0, sign);
      if (!room(self.string->size)) return self;
      return Value::of(concat(arena_, *front, *padded.string), self.safe);
    }
    case NameId::kFormat:
      return brace_format(self, given);
    default:
      return fail("the method is not supported", ErrorCode::kUnsupported);
  }
}

}  // namespace espalier::runtime::jinja
