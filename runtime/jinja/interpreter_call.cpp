#include <algorithm>

#include "runtime/jinja/interpreter.h"

namespace espalier::runtime::jinja {
namespace {

// What Python keeps from the template on every object.
bool internal_name(std::string_view name) {
  return name.starts_with("__") && name.ends_with("__") && name.size() > 4;
}

// range() gives at most this many items in the sandbox.
constexpr std::int64_t kMaxRange = 100'000;

}  // namespace

Value Interpreter::undefined(UndefinedInfo::Why why, const Str* name, const char* hint) {
  Value made = Value::of(Kind::kUndefined);
  made.undefined = arena_.make(UndefinedInfo{why, name, hint});
  return made;
}

Value Interpreter::fail_undefined(const Value& value) {
  const UndefinedInfo& info = *value.undefined;
  const std::string name = info.name == nullptr ? "" : std::string(info.name->view().substr(0, 80));
  switch (info.why) {
    case UndefinedInfo::Why::kName:
      return fail("'" + name + "' is undefined");
    case UndefinedInfo::Why::kAttribute:
      return fail(std::string("a ") + info.hint + " has no attribute '" + name + "'");
    case UndefinedInfo::Why::kItem:
      return fail(std::string("a ") + info.hint + " has no such element");
    case UndefinedInfo::Why::kUnsafe:
      return fail("the attribute '" + name + "' of a " + info.hint + " is not accessible");
    case UndefinedInfo::Why::kHint:
      return fail(info.hint);
  }
  return value;
}

bool Interpreter::hashable(const Value& value, std::uint32_t depth) {
  switch (value.kind) {
    case Kind::kList:
    case Kind::kDict:
    case Kind::kView:
      return false;
    case Kind::kTuple:
      return depth < kMaxDataNesting &&
             std::all_of(value.list->items, value.list->items + value.list->size,
                         [&](const Value& it) { return hashable(it, depth + 1); });
    default:
      return true;
  }
}

std::optional<std::uint32_t> Interpreter::find_index(const Dict& dict, const Value& key) {
  if (key.is(Kind::kString)) {
    const auto wanted = key.string->view();
    if (!spend(dict.size / 8)) return std::nullopt;
    for (std::uint32_t i = 0; i < dict.size; ++i) {
      const Value& it = dict.entries[i].key;
      if (it.is(Kind::kString) && it.string->view() == wanted) return i;
    }
    return std::nullopt;
  }
  for (std::uint32_t i = 0; i < dict.size; ++i) {
    if (dict.entries[i].key.is(Kind::kString)) continue;
    if (equal(dict.entries[i].key, key)) return i;
    if (failed_) break;
  }
  return std::nullopt;
}

// An attribute that the object's type has by itself; kMissing where it has none of that name.
Value Interpreter::builtin_attribute(const Value& object, const Str& name) {
  const auto text = name.view();
  if (internal_name(text))
    return undefined(UndefinedInfo::Why::kUnsafe, &name, type_name(object.kind));
  switch (object.kind) {
    case Kind::kNamespace:
      for (const Attribute* it = object.ns->first; it != nullptr; it = it->next) {
        if (!spend()) break;
        if (it->name->view() == text) return it->value;
      }
      return {};
    case Kind::kLoop:
      if (const Value found = loop_attribute(*object.loop, text); !found.is(Kind::kMissing))
        return found;
      break;
    case Kind::kMacro: {
      const MacroBody& body = *object.macro->body;
      if (text == "name") return body.name == nullptr ? Value::none() : Value::of(body.name);
      if (text == "catch_kwargs") return Value::of(body.kwargs_slot != MacroBody::kUnused);
      if (text == "catch_varargs") return Value::of(body.varargs_slot != MacroBody::kUnused);
      if (text == "caller") return Value::of(body.caller_slot != MacroBody::kUnused);
      if (text == "arguments") {
        std::vector<Value> names;
        for (const NameExpr* it : body.parameters) names.push_back(Value::of(it->name));
        return list(names, Kind::kTuple);
      }
      return {};
    }
    case Kind::kCycler:
      if (text == "current") return object.cycler->items->items[object.cycler->at];
      break;
    default:
      break;
  }
  switch (const NameId found = attribute_named(object.kind, text)) {
    case NameId::kNone:
      return {};
    case NameId::kUnsafe:
      return undefined(UndefinedInfo::Why::kUnsafe, &name, type_name(object.kind));
    case NameId::kUnsupported:
      return fail(std::string("the attribute '") + std::string(text) + "' of a " +
                      type_name(object.kind) + " is not supported",
                  ErrorCode::kUnsupported);
    default:
      return Value::of(arena_.make(Method{object, found}));
  }
}

Value Interpreter::attribute(const Value& object, const Str& name) {
  if (failed_) return object;
  if (object.is_undefined()) return fail_undefined(object);
  if (const Value found = builtin_attribute(object, name); !found.is(Kind::kMissing)) return found;
  if (object.is(Kind::kDict)) {
    if (const Value* found = find(*object.dict, Value::of(&name)); found != nullptr) return *found;
  }
  return undefined(UndefinedInfo::Why::kAttribute, &name, type_name(object.kind));
}

Value Interpreter::item(const Value& object, const Value& key) {
  if (failed_) return object;
  if (object.is_undefined()) return fail_undefined(object);
  switch (object.kind) {
    case Kind::kDict:
      if (hashable(key)) {
        if (const Value* found = find(*object.dict, key); found != nullptr) return *found;
      }
      break;
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kRange:
      if (key.is_integral()) {
        const std::int64_t length = length_of(object).value_or(0);
        std::int64_t at = key.as_int();
        if (at < 0 && at >= -length) at += length;
        if (at < 0 || at >= length) break;
        if (object.is(Kind::kString)) return characters_slice(object, at, 1, 1);
        if (object.is(Kind::kRange)) return Value::of(object.range->at(at));
        return object.list->items[at];
      }
      break;
    default:
      break;
  }
  if (key.is(Kind::kString)) {
    if (const Value found = builtin_attribute(object, *key.string); !found.is(Kind::kMissing))
      return found;
    return undefined(UndefinedInfo::Why::kAttribute, key.string, type_name(object.kind));
  }
  return undefined(UndefinedInfo::Why::kItem, nullptr, type_name(object.kind));
}

Value Interpreter::loop_attribute(LoopState& loop, std::string_view name) {
  if (name == "index") return Value::of(loop.index0 + 1);
  if (name == "index0") return Value::of(loop.index0);
  if (name == "first") return Value::of(loop.index0 == 0);
  if (name == "last") return Value::of(!peek(loop));
  if (name == "length") return Value::of(length_of(loop));
  if (name == "revindex") return Value::of(length_of(loop) - loop.index0);
  if (name == "revindex0") return Value::of(length_of(loop) - loop.index0 - 1);
  if (name == "depth") return Value::of(loop.depth0 + 1);
  if (name == "depth0") return Value::of(loop.depth0);
  if (name == "previtem")
    return loop.index0 == 0 ? undefined_hint("there is no previous item") : loop.before;
  if (name == "nextitem") return peek(loop) ? loop.after : undefined_hint("there is no next item");
  return {};
}

bool Interpreter::bind(std::string_view what, const CallArguments& given,
                       std::span<const char* const> names, std::span<Value> out,
                       std::size_t required) {
  if (failed_) return false;
  const auto refuse = [&](const std::string& why) {
    fail(std::string(what) + ": " + why);
    return false;
  };
  if (given.positional.size() > names.size())
    return refuse("at most " + std::to_string(names.size()) + " arguments");
  std::copy(given.positional.begin(), given.positional.end(), out.begin());
  for (const NamedValue& it : given.named) {
    const auto found = std::find(names.begin(), names.end(), it.name->view());
    if (found == names.end())
      return refuse("no argument '" + std::string(it.name->view().substr(0, 80)) + "'");
    Value& place = out[static_cast<std::size_t>(found - names.begin())];
    if (!place.is(Kind::kMissing))
      return refuse("the argument '" + std::string(*found) + "' is given twice");
    place = it.value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (out[i].is(Kind::kMissing))
      return refuse("the argument '" + std::string(names[i]) + "' is missing");
  }
  return true;
}

Value Interpreter::call(const Value& callee, const CallArguments& given) {
  const Deeper deeper(*this);
  if (!spend()) return callee;
  switch (callee.kind) {
    case Kind::kUndefined:
      return fail_undefined(callee);
    case Kind::kMacro:
      return call_macro(*callee.macro, given);
    case Kind::kMethod:
      return call_method(callee.method->object, callee.method->name, given);
    case Kind::kFunction:
      return call_function(callee.function, given);
    case Kind::kLoop: {
      LoopState& loop = *callee.loop;
      if (!loop.stmt->recursive) return fail("only a loop marked 'recursive' can be called");
      Value children[1];
      static constexpr const char* kNames[] = {"iterable"};
      if (!bind("loop", given, kNames, children, 1)) return callee;
      LoopState* inner = arena_.make(LoopState{});
      inner->stmt = loop.stmt;
      inner->outer = loop.outer;
      inner->depth0 = loop.depth0 + 1;
      inner->items = items_of(children[0]);
      StrBuilder written;
      StrBuilder* before = std::exchange(out_, &written);
      loop_over(*inner);
      out_ = before;
      return Value::of(written.finish(arena_));
    }
    case Kind::kJoiner:
      if (!callee.joiner->used) {
        callee.joiner->used = true;
        return string("");
      }
      return callee.joiner->separator;
    default:
      return fail(std::string("a ") + type_name(callee.kind) + " cannot be called");
  }
}

Value Interpreter::call_macro(const Macro& macro, const CallArguments& given) {
  const MacroBody& body = *macro.body;
  const std::string name = body.name == nullptr
                               ? "the call block"
                               : "the macro '" + std::string(body.name->view()) + "'";
  Frame* frame = enter(body.scope, macro.defined_in);
  const std::size_t count = body.parameters.size();
  const std::size_t taken = std::min(count, given.positional.size());
  for (std::size_t i = 0; i < taken; ++i)
    frame->slots[body.parameters[i]->slot] = given.positional[i];
  std::vector<Entry> others;
  Value caller = undefined_hint("there is no caller");
  for (const NamedValue& it : given.named) {
    const auto found = std::find_if(
        body.parameters.begin() + static_cast<std::ptrdiff_t>(taken), body.parameters.end(),
        [&](const NameExpr* parameter) { return parameter->name->view() == it.name->view(); });
    if (found != body.parameters.end()) {
      frame->slots[(*found)->slot] = it.value;
    } else if (body.caller_slot != MacroBody::kUnused && it.name->view() == "caller") {
      caller = it.value;
    } else if (body.kwargs_slot != MacroBody::kUnused) {
      others.push_back({Value::of(it.name), it.value});
    } else {
      return fail(name + " takes no argument '" + std::string(it.name->view().substr(0, 80)) + "'");
    }
  }
  if (body.caller_slot != MacroBody::kUnused) frame->slots[body.caller_slot] = caller;
  if (body.kwargs_slot != MacroBody::kUnused)
    frame->slots[body.kwargs_slot] = Value::of(make_dict(arena_, others));
  if (body.varargs_slot != MacroBody::kUnused) {
    const auto rest = given.positional.subspan(taken);
    frame->slots[body.varargs_slot] = list({rest.begin(), rest.end()}, Kind::kTuple);
  } else if (given.positional.size() > count) {
    return fail(name + " takes not more than " + std::to_string(count) + " arguments");
  }
  const std::size_t first_default = count - body.defaults.size();
  for (std::size_t i = 0; i < count; ++i) {
    Value& value = frame->slots[body.parameters[i]->slot];
    if (!value.is(Kind::kMissing)) continue;
    value = i >= first_default ? eval(body.defaults[i - first_default], frame)
                               : undefined(UndefinedInfo::Why::kName, body.parameters[i]->name, "");
  }
  StrBuilder written;
  StrBuilder* before = std::exchange(out_, &written);
  execute(body.body, frame);
  out_ = before;
  return Value::of(written.finish(arena_));
}

Value Interpreter::make_range(const CallArguments& given) {
  if (!given.named.empty() || given.positional.empty() || given.positional.size() > 3)
    return fail("range takes one to three integers");
  std::int64_t parts[3] = {0, 0, 1};
  for (std::size_t i = 0; i < given.positional.size(); ++i) {
    const auto value = as_integer(given.positional[i], "range");
    if (!value) return given.positional[i];
    parts[i] = *value;
  }
  if (given.positional.size() == 1) std::swap(parts[0], parts[1]);
  const auto [start, stop, step] = parts;
  if (step == 0) return fail("the step of a range cannot be 0");
  // In unsigned arithmetic the distance cannot overflow.
  std::uint64_t size = 0;
  if (step > 0 && start < stop)
    size = (static_cast<std::uint64_t>(stop) - static_cast<std::uint64_t>(start) - 1) /
               static_cast<std::uint64_t>(step) +
           1;
  if (step < 0 && start > stop)
    size = (static_cast<std::uint64_t>(start) - static_cast<std::uint64_t>(stop) - 1) /
               (std::uint64_t{0} - static_cast<std::uint64_t>(step)) +
           1;
  if (size > kMaxRange)
    return fail("a range of more than " + std::to_string(kMaxRange) + " items", ErrorCode::kLimit);
  return Value::of(arena_.make(Range{start, step, static_cast<std::uint32_t>(size), stop}));
}

Value Interpreter::merge_dict(const CallArguments& given) {
  if (given.positional.size() > 1) return fail("dict takes one positional argument");
  std::vector<Entry> entries;
  const auto put = [&](const Value& key, const Value& value) {
    const Dict known{entries.data(), static_cast<std::uint32_t>(entries.size())};
    if (const auto found = find_index(known, key))
      entries[*found].value = value;
    else
      entries.push_back({key, value});
  };
  if (!given.positional.empty()) {
    const Value& from = given.positional.front();
    if (from.is(Kind::kDict)) {
      entries.assign(from.dict->entries, from.dict->entries + from.dict->size);
    } else {
      for (const Value& it : items_of(from)) {
        const auto pair = items_of(it);
        if (failed_) return from;
        if (pair.size() != 2 || !hashable(pair[0]))
          return fail("dict needs pairs of a key and a value");
        put(pair[0], pair[1]);
      }
    }
  }
  for (const NamedValue& it : given.named) put(Value::of(it.name), it.value);
  return Value::of(make_dict(arena_, entries));
}

Value Interpreter::make_namespace(const CallArguments& given) {
  const Value initial = merge_dict(given);
  if (failed_) return initial;
  Namespace* made = arena_.make(Namespace{});
  for (const Entry& it : initial.dict->span()) {
    if (!it.key.is(Kind::kString)) return fail("a namespace's attributes have names");
    if (it.key.string->view().starts_with('_'))
      return fail("a namespace cannot have the attribute '" +
                  std::string(it.key.string->view().substr(0, 80)) + "'");
    Attribute* attribute = arena_.make(Attribute{it.key.string, it.value, nullptr});
    (made->first == nullptr ? made->first : made->last->next) = attribute;
    made->last = attribute;
  }
  return Value::of(made);
}

Value Interpreter::call_function(FunctionId function, const CallArguments& given) {
  Value one[1];
  switch (function) {
    case FunctionId::kRange:
      return make_range(given);
    case FunctionId::kDict:
      return merge_dict(given);
    case FunctionId::kNamespace:
      return make_namespace(given);
    case FunctionId::kCycler: {
      if (given.positional.empty() || !given.named.empty())
        return fail("cycler needs at least one item");
      const auto* items = arena_.make(
          List{given.positional.data(), static_cast<std::uint32_t>(given.positional.size())});
      return Value::of(arena_.make(Cycler{items, 0}));
    }
    case FunctionId::kJoiner: {
      static constexpr const char* kNames[] = {"sep"};
      if (!bind("joiner", given, kNames, one, 0)) return one[0];
      return Value::of(
          arena_.make(Joiner{one[0].is(Kind::kMissing) ? string(", ") : one[0], false}));
    }
    case FunctionId::kRaiseException: {
      static constexpr const char* kNames[] = {"message"};
      if (!bind("raise_exception", given, kNames, one, 1)) return one[0];
      return fail(std::string(text_of(one[0])->view().substr(0, 1000)));
    }
    case FunctionId::kStrftimeNow: {
      static constexpr const char* kNames[] = {"format"};
      if (!bind("strftime_now", given, kNames, one, 1)) return one[0];
      if (!one[0].is(Kind::kString)) return fail("strftime_now needs a string");
      return strftime(*one[0].string);
    }
    case FunctionId::kUnsupported:
      return fail("the function is not supported", ErrorCode::kUnsupported);
    case FunctionId::kUnknown:
      break;
  }
  return fail("there is no such function");
}

Value Interpreter::call_method(const Value& object, NameId method, const CallArguments& given) {
  switch (object.kind) {
    case Kind::kString:
      return string_method(object, method, given);
    case Kind::kDict: {
      if (method == NameId::kGet) {
        Value in[2];
        static constexpr const char* kNames[] = {"key", "default"};
        if (!given.named.empty()) return fail("dict.get takes no keyword arguments");
        if (!bind("dict.get", given, kNames, in, 1)) return object;
        if (!hashable(in[0]))
          return fail(std::string("a ") + type_name(in[0].kind) + " cannot be a key");
        if (const Value* found = find(*object.dict, in[0]); found != nullptr) return *found;
        return in[1].is(Kind::kMissing) ? Value::none() : in[1];
      }
      if (!given.positional.empty() || !given.named.empty())
        return fail("the method takes no arguments");
      if (method == NameId::kCopy) return object;
      const auto what = method == NameId::kKeys     ? View::What::kKeys
                        : method == NameId::kValues ? View::What::kValues
                                                    : View::What::kItems;
      return Value::of(arena_.make(View{what, object.dict}));
    }
    case Kind::kList:
    case Kind::kTuple: {
      if (method == NameId::kCopy) return object;
      if (!given.named.empty() || given.positional.size() != 1)
        return fail("the method takes one argument");
      std::int64_t count = 0;
      for (std::uint32_t i = 0; i < object.list->size; ++i) {
        if (failed_ || !equal(object.list->items[i], given.positional[0])) continue;
        if (method == NameId::kIndex) return Value::of(std::int64_t{i});
        ++count;
      }
      return method == NameId::kCount ? Value::of(count) : fail("the value is not in the list");
    }
    case Kind::kLoop: {
      LoopState& loop = *object.loop;
      if (!given.named.empty()) return fail("the method takes no keyword arguments");
      const auto size = static_cast<std::uint32_t>(given.positional.size());
      if (method == NameId::kCycle) {
        if (size == 0) return fail("there are no items to cycle through");
        return given.positional[static_cast<std::size_t>(loop.index0) % size];
      }
      const List* now = arena_.make(List{given.positional.data(), size});
      if (loop.changed != nullptr && equal(Value::of(loop.changed), Value::of(now)))
        return Value::of(false);
      loop.changed = now;
      return Value::of(true);
    }
    case Kind::kCycler: {
      Cycler& cycler = *object.cycler;
      if (method == NameId::kReset) {
        cycler.at = 0;
        return Value::none();
      }
      const Value current = cycler.items->items[cycler.at];
      cycler.at = (cycler.at + 1) % cycler.items->size;
      return current;
    }
    default:
      return fail("the method is not supported", ErrorCode::kUnsupported);
  }
}

}  // namespace espalier::runtime::jinja
