// Formatting: the % operator, str.format and strftime.
#include <cmath>
#include <cstdio>
#include <ctime>

#include "base/ascii.h"
#include "runtime/jinja/interpreter.h"
#include "runtime/jinja/numbers.h"

namespace espalier::runtime::jinja {
namespace {

constexpr std::int64_t kMaxWidth = 1'000'000;

// A number at text[at), moved past; nothing where it is too large.
std::optional<std::int64_t> take_number(std::string_view text, std::size_t& at) {
  std::int64_t value = 0;
  for (; at < text.size() && is_ascii_digit(text[at]); ++at) {
    value = value * 10 + (text[at] - '0');
    if (value > kMaxWidth) return std::nullopt;
  }
  return value;
}

}  // namespace

Value Interpreter::percent_format(const Value& self, const Value& arguments) {
  const Str& format = *self.string;
  const auto text = format.view();
  const bool tuple = arguments.is(Kind::kTuple);
  std::size_t used = 0;
  const auto next = [&]() -> std::optional<Value> {
    if (tuple ? used < arguments.list->size : used < 1)
      return tuple ? arguments.list->items[used++] : (++used, arguments);
    fail("not enough arguments for the format");
    return std::nullopt;
  };
  StrBuilder out;
  std::size_t at = 0;
  while (at < text.size() && !failed_) {
    const std::size_t mark = std::min(text.find('%', at), text.size());
    out.append(format, at, mark);
    if (mark == text.size()) break;
    at = mark + 1;
    std::optional<Value> value;
    if (at < text.size() && text[at] == '(') {
      const std::size_t end = text.find(')', at);
      if (end == std::string_view::npos) return fail("the format's key has no end");
      if (!arguments.is(Kind::kDict)) return fail("a format with keys needs a dictionary");
      const Value* found = find(*arguments.dict, Value::of(slice(arena_, format, at + 1, end)));
      if (found == nullptr) return fail("the format's key is not there");
      value = *found;
      at = end + 1;
      used = 1;
    }
    bool left = false, zero = false, plus = false, space = false;
    for (; at < text.size(); ++at) {
      if (text[at] == '-')
        left = true;
      else if (text[at] == '0')
        zero = true;
      else if (text[at] == '+')
        plus = true;
      else if (text[at] == ' ')
        space = true;
      else
        break;
    }
    const auto width = take_number(text, at);
    std::optional<std::int64_t> precision;
    bool bad = !width;
    if (at < text.size() && text[at] == '.') {
      precision = take_number(text, ++at);
      bad = bad || !precision;
    }
    if (bad)
      return fail("a width or precision of the format is above " + std::to_string(kMaxWidth),
                  ErrorCode::kLimit);
    if (at == text.size()) return fail("the format is not whole");
    const char kind = text[at++];
    if (kind == '%') {
      out.append("%", kTemplate);
      continue;
    }
    if (!value) value = next();
    if (!value) return self;
    StrBuilder piece;
    bool numeric = false;
    switch (kind) {
      case 's':
      case 'r': {
        const Str* shown = nullptr;
        if (kind == 's') {
          shown = self.safe ? escaped(*value) : text_of(*value);
        } else {
          StrBuilder repr;
          append_repr(repr, *value);
          shown = repr.finish(arena_);
        }
        const std::size_t end = precision ? offset_of(*shown, *precision) : shown->size;
        piece.append(*shown, 0, end);
        break;
      }
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o': {
        numeric = true;
        if (value->is_undefined()) return fail_undefined(*value);
        std::int64_t integer = 0;
        if (value->is_integral()) {
          integer = value->as_int();
        } else if (value->is(Kind::kFloat) && kind != 'x' && kind != 'X' && kind != 'o') {
          const Value whole = to_int(*value, Value::none(), 10);
          if (!whole.is(Kind::kInt)) return fail("the format needs a number");
          integer = whole.integer;
        } else {
          return fail(std::string("%") + kind + " needs a number, not a " + type_name(value->kind));
        }
        char digits[32];
        const auto size = std::snprintf(digits, sizeof digits,
                                        kind == 'x'   ? "%lx"
                                        : kind == 'X' ? "%lX"
                                        : kind == 'o' ? "%lo"
                                                      : "%lu",
                                        integer < 0 ? 0UL - static_cast<unsigned long>(integer)
                                                    : static_cast<unsigned long>(integer));
        std::string shown(digits, static_cast<std::size_t>(size));
        if (precision && *precision > static_cast<std::int64_t>(shown.size()))
          shown.insert(0, static_cast<std::size_t>(*precision) - shown.size(), '0');
        piece.append((integer < 0 ? "-" : plus ? "+" : space ? " " : "") + shown, kTemplate);
        break;
      }
      case 'f':
      case 'F':
      case 'e':
      case 'E':
      case 'g':
      case 'G': {
        numeric = true;
        if (value->is_undefined()) return fail_undefined(*value);
        const auto real = number(*value);
        if (!real)
          return fail(std::string("%") + kind + " needs a number, not a " + type_name(value->kind));
        if (precision.value_or(6) > 400) return fail("a precision above 400", ErrorCode::kLimit);
        const char form[] = {'%', '.', '*', kind, '\0'};
        char shown[1024];
        const auto size = std::snprintf(shown, sizeof shown, form,
                                        static_cast<int>(precision.value_or(6)), std::abs(*real));
        piece.append(std::signbit(*real) && !std::isnan(*real) ? "-"
                     : plus                                    ? "+"
                     : space                                   ? " "
                                                               : "",
                     kTemplate);
        piece.append(std::string_view(shown, static_cast<std::size_t>(size)), kTemplate);
        break;
      }
      case 'c':
      case 'a':
        return fail(std::string("the format %") + kind + " is not supported",
                    ErrorCode::kUnsupported);
      default:
        return fail("the format has no such conversion");
    }
    const std::int64_t length = static_cast<std::int64_t>(count_characters(piece.text().bytes));
    const auto missing = static_cast<std::size_t>(std::max<std::int64_t>(*width - length, 0));
    if (!grows(out, piece.size() + missing)) return self;
    const Str* shown = piece.finish(arena_);
    if (numeric && zero && !left) {
      const auto shown_text = shown->view();
      const std::size_t sign =
          shown_text.starts_with('-') || shown_text.starts_with('+') || shown_text.starts_with(' ')
              ? 1
              : 0;
      out.append(*shown, 0, sign);
      out.append(std::string(missing, '0'), kTemplate);
      out.append(*shown, sign, shown->size);
    } else {
      if (!left) out.append(std::string(missing, ' '), kTemplate);
      out.append(*shown);
      if (left) out.append(std::string(missing, ' '), kTemplate);
    }
  }
  if (tuple ? used < arguments.list->size
            : used < 1 && !arguments.is(Kind::kDict) && !arguments.is(Kind::kList))
    return fail("not all arguments of the format were used");
  return Value::of(out.finish(arena_), self.safe);
}

// {}, {0}, {name}, {0.a[b]}: without conversions and format specifications.
Value Interpreter::brace_format(const Value& self, const CallArguments& given) {
  const Str& format = *self.string;
  const auto text = format.view();
  StrBuilder out;
  std::size_t automatic = 0;
  for (std::size_t at = 0; at < text.size() && !failed_;) {
    const std::size_t mark = std::min(text.find_first_of("{}", at), text.size());
    out.append(format, at, mark);
    if (mark == text.size()) break;
    if (mark + 1 < text.size() && text[mark + 1] == text[mark]) {
      out.append(format, mark, mark + 1);
      at = mark + 2;
      continue;
    }
    if (text[mark] == '}') return fail("the format has a '}' without '{'");
    const std::size_t end = text.find('}', mark);
    if (end == std::string_view::npos) return fail("the format has a '{' without '}'");
    auto field = text.substr(mark + 1, end - mark - 1);
    if (field.find_first_of("{!:") != std::string_view::npos)
      return fail("format specifications are not supported", ErrorCode::kUnsupported);
    const std::size_t name_end = std::min(field.find_first_of(".["), field.size());
    const auto name = field.substr(0, name_end);
    field.remove_prefix(name_end);
    Value value;
    if (name.empty() || is_ascii_digit(name.front())) {
      std::size_t read = 0;
      const auto index = name.empty() ? static_cast<std::int64_t>(automatic++)
                                      : take_number(name, read).value_or(kMaxWidth);
      if (static_cast<std::uint64_t>(index) >= given.positional.size())
        return fail("the format has too few arguments");
      value = given.positional[static_cast<std::size_t>(index)];
    } else {
      for (const NamedValue& it : given.named) {
        if (it.name->view() == name) value = it.value;
      }
      if (value.is(Kind::kMissing)) return fail("the format's argument is not there");
    }
    while (!field.empty() && !failed_) {
      const bool attribute_part = field.front() == '.';
      field.remove_prefix(1);
      std::size_t part_end = attribute_part ? field.find_first_of(".[") : field.find(']');
      part_end = std::min(part_end, field.size());
      const Str* part = make_str(arena_, field.substr(0, part_end), kTemplate);
      std::size_t read = 0;
      const auto index = take_number(part->view(), read);
      const bool numeric = !attribute_part && part->size > 0 && index && read == part->size;
      value = attribute_part ? attribute(value, *part)
                             : item(value, numeric ? Value::of(*index) : Value::of(part));
      field.remove_prefix(part_end);
      if (!attribute_part && !field.empty()) field.remove_prefix(1);
    }
    if (value.is_undefined()) return fail_undefined(value);
    const Str* shown = self.safe ? escaped(value) : text_of(value);
    if (!grows(out, shown->size)) break;
    out.append(*shown);
    at = end + 1;
  }
  return Value::of(out.finish(arena_), self.safe);
}

Value Interpreter::strftime(const Str& format) {
  const auto day = std::chrono::floor<std::chrono::days>(options_.now);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(options_.now - day);
  std::tm tm{};
  tm.tm_year = static_cast<int>(date.year()) - 1900;
  tm.tm_mon = static_cast<int>(static_cast<unsigned>(date.month())) - 1;
  tm.tm_mday = static_cast<int>(static_cast<unsigned>(date.day()));
  tm.tm_hour = static_cast<int>(time.hours().count());
  tm.tm_min = static_cast<int>(time.minutes().count());
  tm.tm_sec = static_cast<int>(time.seconds().count());
  tm.tm_wday = static_cast<int>(std::chrono::weekday(day).c_encoding());
  tm.tm_yday = static_cast<int>((day - std::chrono::sys_days(date.year() / 1 / 1)).count());
  // One directive at a time, so that a text of any length and any bytes goes through.
  StrBuilder out;
  const auto text = format.view();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t mark = std::min(text.find('%', at), text.size());
    out.append(format, at, mark);
    if (mark + 1 >= text.size()) {
      out.append(format, mark, text.size());
      break;
    }
    std::size_t end = mark + 1;
    if (text[end] == '-' || text[end] == '_' || text[end] == '0' || text[end] == '^' ||
        text[end] == '#')
      ++end;
    if (end == text.size()) return fail("the time format is not whole");
    static constexpr std::string_view kKnown = "aAbBcCdDeFgGhHIjklmMnpPrRStTuUVwWxXyY%";
    const char kind = text[end++];
    if (kind == 'f') {
      out.append("000000", kTemplate);  // the clock counts seconds
    } else if (kind == 'z' || kind == 'Z') {
      // A time without a zone.
    } else if (kKnown.find(kind) == std::string_view::npos) {
      return fail(std::string("the time format %") + kind + " is not supported",
                  ErrorCode::kUnsupported);
    } else {
      const std::string directive(text.substr(mark, end - mark));
      char shown[128];
      const std::size_t size = std::strftime(shown, sizeof shown, directive.c_str(), &tm);
      out.append(std::string_view(shown, size), kTemplate);
    }
    if (!grows(out, 16)) break;
    at = end;
  }
  return Value::of(out.finish(arena_));
}

}  // namespace espalier::runtime::jinja
