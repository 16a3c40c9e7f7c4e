// Filters on texts and numbers, and the way to all filters.
#include <algorithm>
#include <cmath>

#include "runtime/jinja/interpreter.h"
#include "runtime/jinja/numbers.h"

namespace espalier::runtime::jinja {

Value Interpreter::filter(FilterId id, const Str& name, const Value& subject,
                          const CallArguments& given) {
  if (!spend()) return subject;
  switch (id) {
    case FilterId::kUnknown:
      return fail("there is no filter '" + std::string(name.view().substr(0, 80)) + "'");
    case FilterId::kUnsupported:
      return fail("the filter '" + std::string(name.view()) + "' is not supported",
                  ErrorCode::kUnsupported);
    case FilterId::kToJson:
      return to_json(subject, given);
    case FilterId::kAbs:
    case FilterId::kCapitalize:
    case FilterId::kCenter:
    case FilterId::kEscape:
    case FilterId::kFloat:
    case FilterId::kForceEscape:
    case FilterId::kFormat:
    case FilterId::kIndent:
    case FilterId::kInt:
    case FilterId::kLower:
    case FilterId::kReplace:
    case FilterId::kRound:
    case FilterId::kSafe:
    case FilterId::kString:
    case FilterId::kTitle:
    case FilterId::kTrim:
    case FilterId::kUpper:
    case FilterId::kUrlEncode:
    case FilterId::kWordCount:
      return text_filter(id, subject, given);
    default:
      return sequence_filter(id, subject, given);
  }
}

Value Interpreter::text_filter(FilterId id, const Value& subject, const CallArguments& given) {
  Value in[3];
  switch (id) {
    case FilterId::kTrim: {
      static constexpr const char* kNames[] = {"chars"};
      if (!bind("trim", given, kNames, in, 0)) return subject;
      return strip(soft_text(subject), in[0], true, true);
    }
    case FilterId::kReplace: {
      static constexpr const char* kNames[] = {"old", "new", "count"};
      if (!bind("replace", given, kNames, in, 2)) return subject;
      std::int64_t most = -1;
      if (!in[2].is(Kind::kMissing) && !in[2].is(Kind::kNone))
        most = as_integer(in[2], "replace").value_or(-1);
      if (failed_) return subject;
      return replace(Value::of(text_of(subject)), *text_of(in[0]), *text_of(in[1]), most);
    }
    case FilterId::kIndent:
      return indent(subject, given);
    case FilterId::kFormat: {
      if (!given.positional.empty() && !given.named.empty())
        return fail("format takes positional or named arguments, not both");
      if (!given.named.empty()) {
        std::vector<Entry> entries;
        for (const NamedValue& it : given.named) entries.push_back({Value::of(it.name), it.value});
        return percent_format(soft_text(subject), Value::of(make_dict(arena_, entries)));
      }
      return percent_format(soft_text(subject),
                            list({given.positional.begin(), given.positional.end()}, Kind::kTuple));
    }
    case FilterId::kInt: {
      static constexpr const char* kNames[] = {"default", "base"};
      if (!bind("int", given, kNames, in, 0)) return subject;
      const std::int64_t base =
          in[1].is(Kind::kMissing) ? 10 : as_integer(in[1], "int").value_or(10);
      return to_int(subject, in[0].is(Kind::kMissing) ? Value::of(std::int64_t{0}) : in[0], base);
    }
    case FilterId::kFloat: {
      static constexpr const char* kNames[] = {"default"};
      if (!bind("float", given, kNames, in, 0)) return subject;
      return to_float(subject, in[0].is(Kind::kMissing) ? Value::of(0.0) : in[0]);
    }
    case FilterId::kRound:
      return round(subject, given);
    case FilterId::kCenter: {
      static constexpr const char* kNames[] = {"width"};
      if (!bind("center", given, kNames, in, 0)) return subject;
      const std::int64_t width =
          in[0].is(Kind::kMissing) ? 80 : as_integer(in[0], "center").value_or(0);
      return failed_ ? subject
                     : pad(soft_text(subject), width, *make_str(arena_, " ", kTemplate),
                           NameId::kCenter);
    }
    default:
      break;
  }
  if (!bind("the filter", given, {}, {}, 0)) return subject;
  switch (id) {
    case FilterId::kUpper:
      return in_case(soft_text(subject), NameId::kUpper);
    case FilterId::kLower:
      return in_case(soft_text(subject), NameId::kLower);
    case FilterId::kCapitalize:
      return in_case(soft_text(subject), NameId::kCapitalize);
    case FilterId::kTitle: {
      // Jinja's own: words begin after white space and after -({[<.
      const Value text = soft_text(subject);
      const Str& s = *text.string;
      StrBuilder out;
      std::size_t start = 0;
      const auto word = [&](std::size_t end) {
        if (end <= start) return;
        const std::size_t second = start + character_at(s.view(), start).length;
        out.append(*in_case(Value::of(slice(arena_, s, start, second)), NameId::kUpper).string);
        out.append(*in_case(Value::of(slice(arena_, s, second, end)), NameId::kLower).string);
      };
      for (std::size_t at = 0; at < s.size && spend();) {
        const Character c = character_at(s.view(), at);
        const bool between =
            is_space(c.code) ||
            (c.code < 0x80 &&
             std::string_view("-({[<").find(static_cast<char>(c.code)) != std::string_view::npos);
        if (between) {
          word(at);
          out.append(s, at, at + c.length);
          start = at + c.length;
        }
        at += c.length;
      }
      word(s.size);
      return Value::of(out.finish(arena_));
    }
    case FilterId::kSafe:
      return Value::of(text_of(subject), true);
    case FilterId::kString:
      return soft_text(subject);
    case FilterId::kEscape:
      return Value::of(escaped(subject), true);
    case FilterId::kForceEscape:
      return Value::of(escaped(Value::of(text_of(subject))), true);
    case FilterId::kUrlEncode:
      return url_encode(subject);
    case FilterId::kWordCount: {
      // Runs of letters, digits and underscores.
      const Str* text = text_of(subject);
      std::int64_t words = 0;
      bool in_word = false;
      for (std::size_t at = 0; at < text->size && spend();) {
        const Character c = character_at(text->view(), at);
        at += c.length;
        const bool part =
            c.code == '_' || (c.code != kMalformed && (is(CharacterClass::kAlpha, c.code) ||
                                                       is(CharacterClass::kNumeric, c.code)));
        words += part && !in_word ? 1 : 0;
        in_word = part;
      }
      return Value::of(words);
    }
    case FilterId::kAbs:
      if (subject.is_undefined()) return fail_undefined(subject);
      if (subject.is(Kind::kFloat)) return Value::of(std::abs(subject.real));
      if (!subject.is_integral())
        return fail(std::string("abs needs a number, not a ") + type_name(subject.kind));
      return subject.as_int() < 0 ? negate(subject) : Value::of(subject.as_int());
    default:
      return subject;
  }
}

Value Interpreter::indent(const Value& subject, const CallArguments& given) {
  static constexpr const char* kNames[] = {"width", "first", "blank"};
  Value in[3];
  if (!bind("indent", given, kNames, in, 0)) return subject;
  if (subject.is_undefined()) return fail_undefined(subject);
  if (!subject.is(Kind::kString))
    return fail(std::string("indent needs a string, not a ") + type_name(subject.kind));
  const Str* by = nullptr;
  if (in[0].is(Kind::kString)) {
    by = in[0].string;
  } else {
    const auto width = in[0].is(Kind::kMissing) ? 4 : as_integer(in[0], "indent");
    if (!width || !room(static_cast<std::uint64_t>(std::max<std::int64_t>(*width, 0))))
      return subject;
    by = make_str(arena_,
                  std::string(static_cast<std::size_t>(std::max<std::int64_t>(*width, 0)), ' '),
                  kTemplate);
  }
  // With a newline at its end, so that an empty last line counts.
  if (!room(std::uint64_t{subject.string->size} + 1)) return subject;
  const Value text =
      Value::of(concat(arena_, *subject.string, *make_str(arena_, "\n", kTemplate)), subject.safe);
  const Value lines = split_lines(text, false);
  StrBuilder out;
  for (std::uint32_t i = 0; i < lines.list->size && !failed_; ++i) {
    const Str& line = *lines.list->items[i].string;
    if (!grows(out, std::uint64_t{line.size} + by->size)) break;
    if (i > 0) out.append("\n", kTemplate);
    if (i == 0 ? truth(in[1]) : line.size > 0 || truth(in[2])) out.append(*by);
    out.append(line);
  }
  return Value::of(out.finish(arena_), subject.safe);
}

Value Interpreter::round(const Value& subject, const CallArguments& given) {
  static constexpr const char* kNames[] = {"precision", "method"};
  Value in[2];
  if (!bind("round", given, kNames, in, 0)) return subject;
  const std::int64_t precision =
      in[0].is(Kind::kMissing) ? 0 : as_integer(in[0], "round").value_or(0);
  const std::string_view method = in[1].is(Kind::kString) ? in[1].string->view() : "common";
  if (failed_) return subject;
  if (subject.is_undefined()) return fail_undefined(subject);
  const auto real = number(subject);
  if (!real) return fail(std::string("round needs a number, not a ") + type_name(subject.kind));
  if (precision < 0 || precision > 300)
    return fail("round to such a precision is not supported", ErrorCode::kUnsupported);
  if (method == "common") {
    if (subject.is_integral()) return Value::of(subject.as_int());
    if (std::isnan(*real) || std::isinf(*real)) return subject;
    return Value::of(parse_float(fixed_text(*real, static_cast<int>(precision))).value_or(*real));
  }
  if (method != "ceil" && method != "floor")
    return fail("the method of round is common, ceil or floor");
  const double power = std::pow(10.0, static_cast<double>(precision));
  const double scaled = *real * power;
  if (std::isnan(scaled) || std::isinf(scaled)) return fail("round needs a finite number");
  return Value::of((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / power);
}

Value Interpreter::url_encode(const Value& subject) {
  if (iterable(subject) && !subject.is(Kind::kString))
    return fail("urlencode of anything but a text is not supported", ErrorCode::kUnsupported);
  const Str* text = text_of(subject);
  if (!room(text->size * std::uint64_t{3})) return subject;
  StrBuilder out;
  for_each_run(*text, 0, text->size, [&](std::string_view bytes, Origin origin) {
    for (const char c : bytes) {
      const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                         (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-' || c == '~' ||
                         c == '/';
      if (plain) {
        out.append(std::string_view(&c, 1), origin);
      } else {
        static constexpr char kHex[] = "0123456789ABCDEF";
        const auto byte = static_cast<unsigned char>(c);
        const char escape[] = {'%', kHex[byte >> 4], kHex[byte & 15]};
        out.append(std::string_view(escape, 3), origin);
      }
    }
  });
  return Value::of(out.finish(arena_));
}

}  // namespace espalier::runtime::jinja
