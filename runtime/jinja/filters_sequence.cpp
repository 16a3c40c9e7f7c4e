// Filters on lists and dictionaries.
#include <algorithm>
#include <numeric>

#include "runtime/jinja/interpreter.h"

namespace espalier::runtime::jinja {

Value Interpreter::sequence_filter(FilterId id, const Value& subject, const CallArguments& given) {
  Value in[3];
  switch (id) {
    case FilterId::kDefault: {
      static constexpr const char* kNames[] = {"default_value", "boolean"};
      if (!bind("default", given, kNames, in, 0)) return subject;
      const bool replaced = subject.is_undefined() || (truth(in[1]) && !truth(subject));
      if (!replaced) return subject;
      return in[0].is(Kind::kMissing) ? string("") : in[0];
    }
    case FilterId::kAttr: {
      static constexpr const char* kNames[] = {"name"};
      if (!bind("attr", given, kNames, in, 1)) return subject;
      if (subject.is_undefined()) return fail_undefined(subject);
      const Str* name = text_of(in[0]);
      const Value found = builtin_attribute(subject, *name);
      return found.is(Kind::kMissing)
                 ? undefined(UndefinedInfo::Why::kAttribute, name, type_name(subject.kind))
                 : found;
    }
    case FilterId::kJoin: {
      static constexpr const char* kNames[] = {"d", "attribute"};
      if (!bind("join", given, kNames, in, 0)) return subject;
      const auto items = items_of(subject);
      const Str* separator =
          in[0].is(Kind::kMissing) ? make_str(arena_, "", kTemplate) : text_of(in[0]);
      if (in[1].is(Kind::kMissing) || in[1].is(Kind::kNone))
        return failed_ ? subject : join(*separator, items, false, false);
      std::vector<Value> values;
      for (const Value& it : items) values.push_back(by_path(it, in[1], Value()));
      return failed_ ? subject : join(*separator, values, false, false);
    }
    case FilterId::kMap:
      return map(subject, given);
    case FilterId::kSelect:
    case FilterId::kSelectAttr:
    case FilterId::kReject:
    case FilterId::kRejectAttr:
      return select(id, subject, given);
    case FilterId::kSort:
      return sort(items_of(subject), given);
    case FilterId::kDictsort:
      return dict_sort(subject, given);
    case FilterId::kUnique:
      return unique(subject, given);
    case FilterId::kGroupby:
      return group_by(subject, given);
    case FilterId::kMax:
    case FilterId::kMin:
      return extreme(id, subject, given);
    case FilterId::kBatch:
    case FilterId::kSlice:
      return batches(id, subject, given);
    case FilterId::kSum: {
      static constexpr const char* kNames[] = {"attribute", "start"};
      if (!bind("sum", given, kNames, in, 0)) return subject;
      Value total = in[1].is(Kind::kMissing) ? Value::of(std::int64_t{0}) : in[1];
      if (total.is(Kind::kString)) return fail("sum cannot start with a string");
      const bool whole = in[0].is(Kind::kMissing) || in[0].is(Kind::kNone);
      for (const Value& it : items_of(subject)) {
        total = binary(BinaryOp::kAdd, total, whole ? it : by_path(it, in[0], Value()));
        if (failed_) break;
      }
      return total;
    }
    default:
      break;
  }
  if (!bind("the filter", given, {}, {}, 0)) return subject;
  switch (id) {
    case FilterId::kLength: {
      const auto length = length_of(subject);
      return length ? Value::of(*length)
                    : fail(std::string("a ") + type_name(subject.kind) + " has no length");
    }
    case FilterId::kList: {
      const auto items = items_of(subject);
      return list({items.begin(), items.end()});
    }
    case FilterId::kItems:
      if (subject.is_undefined()) return iterator({});
      if (!subject.is(Kind::kDict)) {
        fail("items needs a mapping");
        return iterator_failing({});
      }
      return iterator(items_of(Value::of(arena_.make(View{View::What::kItems, subject.dict}))));
    case FilterId::kFirst: {
      if (subject.is(Kind::kString)) return item(subject, Value::of(std::int64_t{0}));
      if (subject.is(Kind::kIterator)) {
        Iterator& it = *subject.iterator;
        if (it.at < it.size) return it.items[it.at++];
        return it.failure != nullptr ? fail(std::string(it.failure->view()))
                                     : undefined_hint("the sequence was empty");
      }
      const auto items = items_of(subject);
      return items.empty() ? undefined_hint("the sequence was empty") : items.front();
    }
    case FilterId::kLast: {
      if (subject.is(Kind::kString)) return item(subject, Value::of(std::int64_t{-1}));
      if (subject.is_undefined()) return fail("an undefined value cannot be reversed");
      if (subject.is(Kind::kIterator)) return fail("an iterator cannot be reversed");
      const auto items = items_of(subject);
      return items.empty() ? undefined_hint("the sequence was empty") : items.back();
    }
    case FilterId::kReverse: {
      if (subject.is(Kind::kString)) {
        const std::int64_t length = length_of(subject).value_or(0);
        return characters_slice(Value::of(subject.string, subject.safe), length - 1, length, -1);
      }
      const auto items = items_of(subject);
      std::vector<Value> reversed(items.rbegin(), items.rend());
      // What has no __reversed__ gives a list, the others an iterator.
      if (subject.is(Kind::kIterator) || subject.is_undefined()) return list(reversed);
      return iterator(arena_.copy(reversed));
    }
    default:
      return fail("the filter is not supported", ErrorCode::kUnsupported);
  }
}

Value Interpreter::by_path(const Value& from, const Value& path, const Value& otherwise) {
  Value value = from;
  if (!path.is(Kind::kString)) {
    value = item(value, path);
  } else {
    auto rest = path.string->view();
    while (!failed_) {
      const std::size_t end = std::min(rest.find('.'), rest.size());
      const auto part = rest.substr(0, end);
      const bool numeric = !part.empty() && part.size() < 10 &&
                           part.find_first_not_of("0123456789") == std::string_view::npos;
      value = numeric
                  ? item(value, Value::of(static_cast<std::int64_t>(std::stoll(std::string(part)))))
                  : item(value, Value::of(slice(arena_, *path.string, part)));
      if (!otherwise.is(Kind::kMissing) && !otherwise.is(Kind::kNone) && value.is_undefined())
        value = otherwise;
      if (end == rest.size()) break;
      rest.remove_prefix(end + 1);
    }
  }
  if (!otherwise.is(Kind::kMissing) && !otherwise.is(Kind::kNone) && value.is_undefined())
    value = otherwise;
  return value;
}

Value Interpreter::folded(const Value& value) {
  return value.is(Kind::kString) ? in_case(value, NameId::kLower) : value;
}

Value Interpreter::map(const Value& subject, const CallArguments& given) {
  // A generator: what is wrong with an item shows when a pass gets there.
  if (given.positional.empty()) {
    Value in[2];
    static constexpr const char* kNames[] = {"attribute", "default"};
    if (given.named.empty()) {
      fail("map needs a filter's name or an attribute");
      return iterator_failing({});
    }
    if (!bind("map", given, kNames, in, 1)) return iterator_failing({});
    std::vector<Value> values;
    if (!truth(subject)) return iterator({});
    for (const Value& it : items_of(subject)) {
      const Value value = by_path(it, in[0], in[1]);
      if (failed_) break;
      values.push_back(value);
    }
    return iterator_failing(values);
  }
  if (!truth(subject)) return iterator({});
  const Str* name = text_of(given.positional.front());
  const CallArguments rest{given.positional.subspan(1), given.named};
  std::vector<Value> values;
  for (const Value& it : items_of(subject)) {
    const Value value = filter(filter_named(name->view()), *name, it, rest);
    if (failed_) break;
    values.push_back(value);
  }
  return iterator_failing(values);
}

Value Interpreter::select(FilterId id, const Value& subject, const CallArguments& given) {
  const bool by_attribute = id == FilterId::kSelectAttr || id == FilterId::kRejectAttr;
  const bool wanted = id == FilterId::kSelect || id == FilterId::kSelectAttr;
  if (!truth(subject)) return iterator({});
  auto positional = given.positional;
  Value path;
  if (by_attribute) {
    if (positional.empty()) {
      fail("the filter needs an attribute's name");
      return iterator_failing({});
    }
    path = positional.front();
    positional = positional.subspan(1);
  }
  const Str* name = positional.empty() ? nullptr : text_of(positional.front());
  const CallArguments rest{positional.empty() ? positional : positional.subspan(1), given.named};
  std::vector<Value> chosen;
  for (const Value& it : items_of(subject)) {
    const Value value = by_attribute ? by_path(it, path, Value()) : it;
    const bool holds =
        name == nullptr ? truth(value) : test(test_named(name->view()), *name, value, rest);
    if (failed_) break;
    if (holds == wanted) chosen.push_back(it);
  }
  return iterator_failing(chosen);
}

// Fills `places` with the stable order of `keys`. n log n comparisons, each of them paid for.
bool Interpreter::sort_by(std::vector<Value>& keys, std::vector<std::uint32_t>& places,
                          bool reverse) {
  places.resize(keys.size());
  std::iota(places.begin(), places.end(), 0U);
  // A merge sort of our own: a comparison can fail in the middle.
  std::vector<std::uint32_t> merged(places.size());
  for (std::size_t width = 1; width < places.size(); width *= 2) {
    for (std::size_t begin = 0; begin < places.size(); begin += 2 * width) {
      const std::size_t middle = std::min(begin + width, places.size());
      const std::size_t end = std::min(begin + 2 * width, places.size());
      std::size_t left = begin, right = middle;
      for (std::size_t out = begin; out < end; ++out) {
        bool take_left = right == end;
        if (left < middle && right < end) {
          const auto order_of = reverse ? order(keys[places[left]], keys[places[right]])
                                        : order(keys[places[right]], keys[places[left]]);
          if (!order_of) return false;
          take_left = *order_of >= 0;  // equal ones stay as they are
        }
        merged[out] = take_left && left < middle ? places[left++] : places[right++];
      }
    }
    places.swap(merged);
  }
  return true;
}

Value Interpreter::sort(std::span<const Value> items, const CallArguments& given) {
  static constexpr const char* kNames[] = {"reverse", "case_sensitive", "attribute"};
  Value in[3];
  if (!bind("sort", given, kNames, in, 0)) return Value::none();
  const bool by_attribute = !in[2].is(Kind::kMissing) && !in[2].is(Kind::kNone);
  std::vector<Value> paths;
  if (by_attribute && in[2].is(Kind::kString)) {
    const Value parts = split(in[2], string(","), -1, false);
    paths.assign(parts.list->items, parts.list->items + parts.list->size);
  } else if (by_attribute) {
    paths.push_back(in[2]);
  }
  std::vector<Value> keys;
  for (const Value& it : items) {
    if (!by_attribute) {
      keys.push_back(truth(in[1]) ? it : folded(it));
      continue;
    }
    std::vector<Value> parts;
    for (const Value& path : paths) {
      const Value value = by_path(it, path, Value());
      parts.push_back(truth(in[1]) ? value : folded(value));
    }
    if (failed_) break;
    keys.push_back(list(parts));
  }
  std::vector<std::uint32_t> places;
  if (failed_ || !sort_by(keys, places, truth(in[0]))) return Value::none();
  std::vector<Value> sorted;
  for (const std::uint32_t place : places) sorted.push_back(items[place]);
  return list(sorted);
}

Value Interpreter::dict_sort(const Value& subject, const CallArguments& given) {
  static constexpr const char* kNames[] = {"case_sensitive", "by", "reverse"};
  Value in[3];
  if (!bind("dictsort", given, kNames, in, 0)) return subject;
  if (subject.is_undefined()) return fail_undefined(subject);
  if (!subject.is(Kind::kDict)) return fail("dictsort needs a dictionary");
  const std::string_view by = in[1].is(Kind::kString) ? in[1].string->view() : "key";
  if (by != "key" && by != "value") return fail("dictsort sorts by key or by value");
  std::vector<Value> keys;
  for (const Entry& it : subject.dict->span()) {
    const Value& key = by == "key" ? it.key : it.value;
    keys.push_back(truth(in[0]) ? key : folded(key));
  }
  std::vector<std::uint32_t> places;
  if (failed_ || !sort_by(keys, places, truth(in[2]))) return subject;
  const auto pairs = items_of(Value::of(arena_.make(View{View::What::kItems, subject.dict})));
  if (failed_) return subject;
  std::vector<Value> sorted;
  for (const std::uint32_t place : places) sorted.push_back(pairs[place]);
  return list(sorted);
}

Value Interpreter::unique(const Value& subject, const CallArguments& given) {
  static constexpr const char* kNames[] = {"case_sensitive", "attribute"};
  Value in[2];
  if (!bind("unique", given, kNames, in, 0)) return iterator_failing({});
  const bool by_attribute = !in[1].is(Kind::kMissing) && !in[1].is(Kind::kNone);
  std::vector<Value> seen;
  std::vector<Value> kept;
  for (const Value& it : items_of(subject)) {
    Value key = by_attribute ? by_path(it, in[1], Value()) : it;
    if (!truth(in[0])) key = folded(key);
    if (failed_) break;
    if (!hashable(key)) {
      fail(std::string("a ") + type_name(key.kind) + " cannot be looked up");
      break;
    }
    const bool known = std::any_of(seen.begin(), seen.end(), [&](const Value& other) {
      return !failed_ && equal(other, key);
    });
    if (failed_) break;
    if (known) continue;
    seen.push_back(key);
    kept.push_back(it);
  }
  return iterator_failing(kept);
}

Value Interpreter::group_by(const Value& subject, const CallArguments& given) {
  static constexpr const char* kNames[] = {"attribute", "default", "case_sensitive"};
  Value in[3];
  if (!bind("groupby", given, kNames, in, 1)) return subject;
  const auto items = items_of(subject);
  std::vector<Value> keys;
  for (const Value& it : items) {
    const Value key = by_path(it, in[0], in[1]);
    if (failed_) return subject;
    keys.push_back(truth(in[2]) ? key : folded(key));
  }
  std::vector<std::uint32_t> places;
  if (failed_ || !sort_by(keys, places, false)) return subject;
  std::vector<Value> groups;
  std::vector<Value> members;
  for (std::size_t i = 0; i < places.size() && !failed_; ++i) {
    members.push_back(items[places[i]]);
    if (i + 1 < places.size() && equal(keys[places[i]], keys[places[i + 1]])) continue;
    const Value key = by_path(members.front(), in[0], in[1]);
    groups.push_back(list({key, list(members)}, Kind::kTuple));
    members.clear();
  }
  return list(groups);
}

Value Interpreter::extreme(FilterId id, const Value& subject, const CallArguments& given) {
  static constexpr const char* kNames[] = {"case_sensitive", "attribute"};
  Value in[2];
  if (!bind("min and max", given, kNames, in, 0)) return subject;
  const bool by_attribute = !in[1].is(Kind::kMissing) && !in[1].is(Kind::kNone);
  const auto items = items_of(subject);
  if (items.empty()) return undefined_hint("the sequence was empty");
  const auto key_of = [&](const Value& it) {
    const Value key = by_attribute ? by_path(it, in[1], Value()) : it;
    return truth(in[0]) ? key : folded(key);
  };
  std::size_t best = 0;
  Value best_key = key_of(items[0]);
  for (std::size_t i = 1; i < items.size() && !failed_; ++i) {
    const Value key = key_of(items[i]);
    const auto found = id == FilterId::kMin ? order(key, best_key) : order(best_key, key);
    if (!found || *found >= 0) continue;
    best = i;
    best_key = key;
  }
  return items[best];
}

Value Interpreter::batches(FilterId id, const Value& subject, const CallArguments& given) {
  static constexpr const char* kNames[] = {"count", "fill_with"};
  Value in[2];
  if (!bind("batch and slice", given, kNames, in, 1)) return subject;
  const auto count = as_integer(in[0], "batch and slice");
  const auto items = items_of(subject);
  if (!count || failed_) return subject;
  const bool fill = !in[1].is(Kind::kMissing) && !in[1].is(Kind::kNone);
  std::vector<Value> groups;
  if (id == FilterId::kSlice) {
    if (*count <= 0) return fail("slice needs a positive number");
    if (!room(static_cast<std::uint64_t>(*count) * sizeof(Value))) return subject;
    const auto parts = static_cast<std::size_t>(*count);
    const std::size_t each = items.size() / parts;
    const std::size_t longer = items.size() % parts;
    std::size_t at = 0;
    for (std::size_t i = 0; i < parts && spend(); ++i) {
      const std::size_t size = each + (i < longer ? 1 : 0);
      std::vector<Value> group(items.begin() + static_cast<std::ptrdiff_t>(at),
                               items.begin() + static_cast<std::ptrdiff_t>(at + size));
      at += size;
      if (fill && i >= longer) group.push_back(in[1]);
      groups.push_back(list(group));
    }
    return iterator(arena_.copy(groups));
  }
  std::vector<Value> group;
  for (const Value& it : items) {
    if (static_cast<std::int64_t>(group.size()) == *count) {
      groups.push_back(list(group));
      group.clear();
    }
    group.push_back(it);
  }
  if (!group.empty()) {
    if (fill && *count > static_cast<std::int64_t>(group.size())) {
      if (!room(static_cast<std::uint64_t>(std::min<std::int64_t>(*count, INT64_MAX / 64)) *
                sizeof(Value)))
        return subject;
      group.resize(static_cast<std::size_t>(*count), in[1]);
    }
    groups.push_back(list(group));
  }
  return iterator(arena_.copy(groups));
}

}  // namespace espalier::runtime::jinja
