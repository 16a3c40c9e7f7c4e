// What the predefined functions (dsl/builtins.h) compute.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "base/ascii.h"
#include "base/utf8.h"
#include "dsl/evaluate.h"
#include "runtime/jinja/characters.h"

namespace espalier::dsl {
namespace {

namespace jinja = runtime::jinja;

tl::unexpected<Failure> wrong(const Span& span, std::string_view function, const Value& value) {
  return value_failure(
      span, "`" + std::string(function) + "` does not work on " + std::string(name(value.kind())));
}

bool listed(const Value& value) {
  return value.kind() == ValueKind::kList || value.kind() == ValueKind::kRange;
}

// A range's items are not made one by one where a sum or an end is known.
constexpr std::uint64_t kMaxItems = 10'000'000;
// Of a list that a range or a text is made into.
constexpr std::uint64_t kMaxMade = 1'000'000;

Outcome<Value> sum(const Value& list, const Span& span) {
  if (!listed(list)) return wrong(span, "sum", list);
  if (list.length() > kMaxItems) return value_failure(span, "`sum` over more than 10000000 items");
  std::int64_t whole = 0;
  double total = 0;
  bool integral = true;
  for (std::uint64_t i = 0; i < list.length(); ++i) {
    const Value item = list.item(i);
    if (!item.is_number()) return wrong(span, "sum", item);
    if (item.kind() == ValueKind::kFloat) integral = false;
    total += item.as_double();
    if (integral && __builtin_add_overflow(whole, item.as_int(), &whole)) {
      return value_failure(span, "the sum is too large for an int");
    }
  }
  if (integral) return Value::integer(whole);
  if (!std::isfinite(total)) return value_failure(span, "the sum is too large for a float");
  return Value::number(total);
}

// What `sort` and `extreme` order by: a number or a text, the item itself or one of its fields.
Outcome<Value> key_of(const Value& item, std::string_view selector, std::string_view function,
                      const Span& span) {
  Value key = item;
  if (!selector.empty()) {
    auto field = member(item, selector, span);
    if (!field) return field;
    key = std::move(*field);
  }
  if (!key.is_number() && key.kind() != ValueKind::kString) return wrong(span, function, key);
  return key;
}

Outcome<Value> extreme(bool largest, const Value& list, std::string_view selector,
                       const Span& span) {
  const std::string_view function = largest ? "max" : "min";
  if (!listed(list)) return wrong(span, function, list);
  if (list.length() == 0)
    return value_failure(span, "`" + std::string(function) + "` of an empty list");
  if (list.kind() == ValueKind::kRange) return Value::integer(largest ? list.high() : list.low());
  std::size_t best = 0;
  Value best_key;
  for (std::size_t i = 0; i < list.as_list().size(); ++i) {
    auto key = key_of(list.as_list()[i], selector, function, span);
    if (!key) return key;
    if (i > 0) {
      const auto order = compare(*key, best_key);
      if (!order) return wrong(span, function, *key);
      if (largest ? *order <= 0 : *order >= 0) continue;
    }
    best = i;
    best_key = std::move(*key);
  }
  return list.as_list()[best];
}

Outcome<Value> sorted(const Value& list, std::string_view selector, const Span& span) {
  if (!listed(list)) return wrong(span, "sort", list);
  if (list.kind() == ValueKind::kRange) return list;
  std::vector<std::pair<Value, std::size_t>> keys;
  for (std::size_t i = 0; i < list.as_list().size(); ++i) {
    auto key = key_of(list.as_list()[i], selector, "sort", span);
    if (!key) return key;
    if (i > 0 && key->is_number() != keys.front().first.is_number())
      return value_failure(span, "`sort` cannot order numbers and texts together");
    keys.emplace_back(std::move(*key), i);
  }
  std::stable_sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) {
    return compare(a.first, b.first).value_or(0) < 0;
  });
  Value::List out;
  for (const auto& [key, i] : keys) out.push_back(list.as_list()[i]);
  return made(Value::list(std::move(out)), span);
}

Outcome<Value> reversed(const Value& list, const Span& span) {
  if (!listed(list)) return wrong(span, "reverse", list);
  if (list.length() > kMaxMade) return value_failure(span, "`reverse` of more than 1000000 items");
  Value::List out;
  for (std::uint64_t i = list.length(); i-- > 0;) out.push_back(list.item(i));
  return made(Value::list(std::move(out)), span);
}

// The places where `part` stands in `text`, from the left, none inside another.
template <class Visit>
void each_place(std::string_view text, std::string_view part, const Visit& visit) {
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size()))
    visit(at);
}

Outcome<Value> split(std::string_view text, std::string_view by, const Span& span) {
  if (by.empty()) return value_failure(span, "`split` needs a text to split by, not an empty one");
  std::uint64_t places = 0;
  each_place(text, by, [&](std::size_t) { ++places; });
  if (places >= kMaxMade) return value_failure(span, "`split` into more than 1000000 parts");
  Value::List parts;
  std::size_t begin = 0;
  each_place(text, by, [&](std::size_t at) {
    parts.push_back(Value::string(std::string(text.substr(begin, at - begin))));
    begin = at + by.size();
  });
  parts.push_back(Value::string(std::string(text.substr(begin))));
  return made(Value::list(std::move(parts)), span);
}

Outcome<Value> replace(std::string_view text, std::string_view old, std::string_view with,
                       const Span& span) {
  if (old.empty())
    return value_failure(span, "`replace` needs a text to replace, not an empty one");
  std::string out;
  std::size_t begin = 0;
  bool fits = true;
  each_place(text, old, [&](std::size_t at) {
    fits = fits && out.size() + (at - begin) + with.size() <= Value::kMaxWeight;
    if (fits) out.append(text.substr(begin, at - begin)).append(with);
    begin = at + old.size();
  });
  if (!fits || out.size() + (text.size() - begin) > Value::kMaxWeight) return text_too_long(span);
  out += text.substr(begin);
  return Value::string(std::move(out));
}

Outcome<Value> join(const Value& list, std::string_view with, const Span& span) {
  if (!listed(list)) return wrong(span, "join", list);
  if (list.weight() > Value::kMaxWeight) return text_too_long(span);
  std::string out;
  for (std::uint64_t i = 0; i < list.length(); ++i) {
    if (i > 0) out += with;
    out += print(list.item(i));
    if (out.size() > Value::kMaxWeight) return text_too_long(span);
  }
  return Value::string(std::move(out));
}

Outcome<Value> to_int(const Value& value, const Span& span) {
  if (value.kind() == ValueKind::kInt) return value;
  if (value.kind() == ValueKind::kBool) return Value::integer(value.as_bool() ? 1 : 0);
  if (value.kind() == ValueKind::kFloat) {
    const double truncated = std::trunc(value.as_double());
    if (!(truncated >= -0x1p63 && truncated < 0x1p63))
      return value_failure(span, "the float is too large for an int");
    return Value::integer(static_cast<std::int64_t>(truncated));
  }
  if (const auto text = text_of(value)) {
    const std::string_view digits = trimmed(*text);
    std::int64_t out = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    if (error == std::errc() && end == digits.data() + digits.size()) return Value::integer(out);
    return value_failure(span, "\"" + text->substr(0, 40) + "\" is no int");
  }
  return wrong(span, "int", value);
}

Outcome<Value> to_float(const Value& value, const Span& span) {
  if (value.is_number()) return Value::number(value.as_double());
  if (const auto text = text_of(value)) {
    const std::string_view digits = trimmed(*text);
    double out = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    if (error == std::errc() && end == digits.data() + digits.size() && std::isfinite(out))
      return Value::number(out);
    return value_failure(span, "\"" + text->substr(0, 40) + "\" is no float");
  }
  return wrong(span, "float", value);
}

Outcome<Value> round(const Value& value, const Value* digits, const Span& span) {
  if (!value.is_number()) return wrong(span, "round", value);
  if (digits == nullptr) {
    if (value.kind() == ValueKind::kInt) return value;
    return to_int(Value::number(std::nearbyint(value.as_double())), span);  // ties to even
  }
  if (digits->kind() != ValueKind::kInt || digits->as_int() < 0 || digits->as_int() > 15) {
    return value_failure(span, "`round` takes 0 to 15 digits");
  }
  const double scale = std::pow(10.0, static_cast<double>(digits->as_int()));
  const double scaled = value.as_double() * scale;
  if (!std::isfinite(scaled) || std::abs(scaled) >= 0x1p53) return Value::number(value.as_double());
  return Value::number(std::nearbyint(scaled) / scale);
}

Outcome<Value> in_case(std::string_view text, jinja::Case wanted, const Span& span) {
  std::string out;
  out.reserve(text.size());
  bool cased_before = false;
  for (std::size_t at = 0; at < text.size();) {
    const jinja::Character c = jinja::character_at(text, at);
    at += c.length;
    if (c.code == jinja::kSigma && wanted == jinja::Case::kLower) {
      utf8::append(out, jinja::lower_sigma(cased_before, text.substr(at)));
    } else {
      jinja::append_in_case(out, c.code, wanted);
    }
    cased_before = jinja::has_upper(c.code) || jinja::has_lower(c.code);
  }
  if (out.size() > Value::kMaxWeight) return text_too_long(span);  // a character may become three
  return Value::string(std::move(out));
}

}  // namespace

Outcome<Value> call_builtin(Builtin id, const std::vector<const Value*>& arguments,
                            std::string_view selector, const Span& span) {
  const auto argument = [&](std::size_t i) {
    return i < arguments.size() ? arguments[i] : nullptr;
  };
  const auto text = [&](std::size_t i) { return text_of(*argument(i)); };
  if (argument(0) == nullptr) return value_failure(span, "an argument is missing");
  const Value& x = *argument(0);
  switch (id) {
    case Builtin::kNear: {
      const Value* y = argument(1);
      const Value* within = argument(2);
      if (y == nullptr || within == nullptr) return value_failure(span, "an argument is missing");
      for (const Value* one : {&x, y, within}) {
        if (!one->is_number()) return wrong(span, "near", *one);
      }
      return Value::boolean(std::abs(x.as_double() - y->as_double()) <= within->as_double());
    }
    case Builtin::kSum:
      return sum(x, span);
    case Builtin::kMin:
      return extreme(false, x, selector, span);
    case Builtin::kMax:
      return extreme(true, x, selector, span);
    case Builtin::kKeys: {
      if (x.kind() != ValueKind::kRecord) return wrong(span, "keys", x);
      Value::List keys;
      for (const Value::Entry& entry : x.as_record()) keys.push_back(Value::string(entry.name));
      auto list = Value::list(std::move(keys));
      if (!list) return value_failure(span, list.error().message);
      return std::move(*list);
    }
    case Builtin::kLen:
      if (listed(x)) {
        return Value::integer(static_cast<std::int64_t>(
            std::min<std::uint64_t>(x.length(), std::numeric_limits<std::int64_t>::max())));
      }
      if (const auto s = text_of(x))
        return Value::integer(static_cast<std::int64_t>(utf8::count(*s)));
      if (x.kind() == ValueKind::kRecord)
        return Value::integer(static_cast<std::int64_t>(x.as_record().size()));
      return wrong(span, "len", x);
    case Builtin::kSort:
      return sorted(x, selector, span);
    case Builtin::kReverse:
      return reversed(x, span);
    case Builtin::kSplit:
    case Builtin::kReplace: {
      std::vector<std::string> texts;
      for (const Value* one : arguments) {
        if (one == nullptr) return value_failure(span, "an argument is missing");
        auto given = text_of(*one);
        if (!given) return wrong(span, info(id).name, *one);
        texts.push_back(std::move(*given));
      }
      return id == Builtin::kSplit ? split(texts[0], texts[1], span)
                                   : replace(texts[0], texts[1], texts[2], span);
    }
    case Builtin::kJoin:
      return join(x, argument(1) == nullptr ? std::string() : print(*argument(1)), span);
    case Builtin::kInt:
      return to_int(x, span);
    case Builtin::kFloat:
      return to_float(x, span);
    case Builtin::kStr:
      if (x.weight() > Value::kMaxWeight) return text_too_long(span);
      return Value::string(print(x));
    case Builtin::kRound:
      return round(x, argument(1), span);
    case Builtin::kAbs:
      if (x.kind() == ValueKind::kFloat) return Value::number(std::abs(x.as_double()));
      if (x.kind() != ValueKind::kInt) return wrong(span, "abs", x);
      if (x.as_int() == std::numeric_limits<std::int64_t>::min()) {
        return value_failure(span, "the result is too large for an int");
      }
      return Value::integer(std::abs(x.as_int()));
    case Builtin::kLower:
      if (const auto s = text(0)) return in_case(*s, jinja::Case::kLower, span);
      return wrong(span, "lower", x);
    case Builtin::kUpper:
      if (const auto s = text(0)) return in_case(*s, jinja::Case::kUpper, span);
      return wrong(span, "upper", x);
    case Builtin::kTrim:
      if (const auto s = text(0)) return Value::string(std::string(trimmed(*s)));
      return wrong(span, "trim", x);
    case Builtin::kContains: {
      const Value* part = argument(1);
      if (part == nullptr) return value_failure(span, "an argument is missing");
      if (x.kind() == ValueKind::kList) {
        const auto& items = x.as_list();
        return Value::boolean(std::any_of(items.begin(), items.end(),
                                          [&](const Value& item) { return equal(item, *part); }));
      }
      const auto whole = text_of(x);
      const auto piece = text_of(*part);
      if (whole && piece) return Value::boolean(whole->find(*piece) != std::string::npos);
      return wrong(span, "contains", x);
    }
    case Builtin::kJson:
      if (x.weight() > Value::kMaxWeight) return text_too_long(span);
      return Value::string(written_json(x).dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return value_failure(span, "unknown function");
}

}  // namespace espalier::dsl
