#include "runtime/jinja/interpreter.h"

#include <algorithm>

#include "base/utf8.h"
#include "runtime/jinja/parser.h"

namespace espalier::runtime::jinja {
namespace {

// Bytes of text that count as one step.
constexpr std::size_t kBytesAStep = 32;
// A template's tree; the largest known one takes 200 KB.
constexpr std::size_t kTreeBytes = 256u << 20;

}  // namespace

Result<Rendered> Interpreter::run(Body body, const ScopeLayout& scope) {
  StrBuilder out;
  out_ = root_out_ = &out;
  execute(body, enter(scope, nullptr));
  if (error_) return tl::unexpected<Error>(*error_);
  return Rendered{std::move(out.text()), std::move(generation_)};
}

Value Interpreter::fail(std::string message, ErrorCode code) {
  if (!failed_) {
    failed_ = true;
    error_ = Error{code, "line " + std::to_string(line_) + ": " + std::move(message)};
  }
  Value nothing = Value::of(Kind::kUndefined);
  static constexpr UndefinedInfo kFailed{UndefinedInfo::Why::kHint, nullptr,
                                         "the rendering failed"};
  nothing.undefined = &kFailed;
  return nothing;
}

bool Interpreter::spend(std::uint64_t steps) {
  if (failed_) return false;
  if (steps > steps_left_) {
    steps_left_ = 0;
    fail("more than " + std::to_string(options_.limits.steps) + " steps", ErrorCode::kLimit);
    return false;
  }
  steps_left_ -= steps;
  if (arena_.exhausted()) {
    fail("more than " + std::to_string(arena_.limit()) + " bytes of values", ErrorCode::kLimit);
    return false;
  }
  return true;
}

bool Interpreter::room(std::uint64_t bytes) {
  if (failed_) return false;
  if (!arena_.fits(bytes) || bytes > UINT32_MAX / 2) {
    fail("more than " + std::to_string(arena_.limit()) + " bytes of values", ErrorCode::kLimit);
    return false;
  }
  return spend(bytes / kBytesAStep);
}

bool Interpreter::grows(const StrBuilder& out, std::uint64_t more) {
  if (failed_) return false;
  if (!arena_.fits(out.size() + more)) {
    fail("more than " + std::to_string(arena_.limit()) + " bytes of values", ErrorCode::kLimit);
    return false;
  }
  return spend(1 + more / kBytesAStep);
}

Interpreter::Flow Interpreter::execute(Body body, Frame* frame) {
  for (const Stmt* stmt : body) {
    const Flow flow = execute(*stmt, frame);
    if (flow != Flow::kOn || failed_) return flow;
  }
  return Flow::kOn;
}

template <class F>
const Str* Interpreter::capture(const F& write_it) {
  StrBuilder written;
  StrBuilder* before = std::exchange(out_, &written);
  write_it();
  out_ = before;
  return written.finish(arena_);
}

Interpreter::Flow Interpreter::execute(const Stmt& stmt, Frame* frame) {
  const Deeper deeper(*this);
  line_ = stmt.line;
  if (!spend()) return Flow::kOn;
  switch (stmt.kind) {
    case StmtKind::kOutput:
      output(static_cast<const OutputStmt&>(stmt), frame);
      return Flow::kOn;
    case StmtKind::kIf:
      for (const IfBranch& branch : static_cast<const IfStmt&>(stmt).branches) {
        if (branch.test == nullptr || truth(eval(branch.test, frame)))
          return execute(branch.body, frame);
        if (failed_) break;
      }
      return Flow::kOn;
    case StmtKind::kFor:
      return for_loop(static_cast<const ForStmt&>(stmt), frame);
    case StmtKind::kSet: {
      const auto& it = static_cast<const SetStmt&>(stmt);
      assign(*it.target, eval(it.value, frame), frame);
      return Flow::kOn;
    }
    case StmtKind::kSetBlock: {
      const auto& it = static_cast<const SetBlockStmt&>(stmt);
      Frame* inner = enter(it.scope, frame);
      const Str* written = capture([&] { execute(it.body, inner); });
      assign(*it.target, filter_written(it.filter, written, inner), frame);
      return Flow::kOn;
    }
    case StmtKind::kMacro: {
      const auto& it = static_cast<const MacroStmt&>(stmt);
      Frame* at = frame;
      for (std::uint32_t i = 0; i < it.target->hops; ++i) at = at->parent;
      at->slots[it.target->slot] = Value::of(make_macro(it.macro, frame));
      return Flow::kOn;
    }
    case StmtKind::kCallBlock: {
      const auto& it = static_cast<const CallBlockStmt&>(stmt);
      write(eval_call(*it.call, frame, make_macro(it.macro, frame)));
      return Flow::kOn;
    }
    case StmtKind::kFilterBlock: {
      const auto& it = static_cast<const FilterBlockStmt&>(stmt);
      Frame* inner = enter(it.scope, frame);
      const Str* written = capture([&] { execute(it.body, inner); });
      write(filter_written(it.filter, written, inner));
      return Flow::kOn;
    }
    case StmtKind::kWith: {
      const auto& it = static_cast<const WithStmt&>(stmt);
      Frame* inner = enter(it.scope, frame);
      for (std::size_t i = 0; i < it.targets.size(); ++i)
        assign(*it.targets[i], eval(it.values[i], frame), inner);
      return execute(it.body, inner);
    }
    case StmtKind::kGeneration: {
      const auto& it = static_cast<const GenerationStmt&>(stmt);
      const std::size_t begin = root_out_->size();
      execute(it.macro.body, enter(it.macro.scope, frame));
      if (out_ == root_out_) generation_.emplace_back(begin, root_out_->size());
      return Flow::kOn;
    }
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kOn;
}

void Interpreter::output(const OutputStmt& stmt, Frame* frame) {
  for (const Expr* part : stmt.parts) {
    write(part->kind == ExprKind::kConst ? static_cast<const ConstExpr*>(part)->value
                                         : eval(part, frame));
    if (failed_) return;
  }
}

void Interpreter::write(const Value& value) {
  if (failed_) return;
  const std::size_t before = out_->size();
  append_text(*out_, value);
  const std::size_t more = out_->size() - before;
  written_ += more;
  if (written_ > options_.limits.output_bytes)
    fail("more than " + std::to_string(options_.limits.output_bytes) + " bytes of output",
         ErrorCode::kLimit);
  spend(1 + more / kBytesAStep);
}

Value Interpreter::filter_written(const Expr* filter, const Str* written, Frame* frame) {
  const Value text = Value::of(written);
  if (filter == nullptr || failed_) return text;
  // The innermost filter's subject is the text: the chain is walked from there outwards.
  std::vector<const FilterExpr*> chain;
  for (const Expr* it = filter; it != nullptr; it = static_cast<const FilterExpr*>(it)->subject)
    chain.push_back(static_cast<const FilterExpr*>(it));
  Value value = text;
  for (; !chain.empty(); chain.pop_back()) value = eval_filter(*chain.back(), frame, &value);
  return value;
}

Frame* Interpreter::enter(const ScopeLayout& scope, Frame* parent) {
  Frame* frame = arena_.make(Frame{parent, arena_.array<Value>(scope.slots.size())});
  initialize(scope, frame);
  return frame;
}

void Interpreter::initialize(const ScopeLayout& scope, Frame* frame) {
  for (std::size_t i = 0; i < scope.slots.size(); ++i) {
    const Slot& slot = scope.slots[i];
    Value& value = frame->slots[i];
    value = Value();
    if (slot.load == Load::kOuter) {
      const Frame* outer = frame->parent;
      for (std::uint32_t hop = 0; hop < slot.hops; ++hop) outer = outer->parent;
      value = outer->slots[slot.slot];
    } else if (slot.load == Load::kContext) {
      if (const Value* found = find(variables_, Value::of(slot.name)); found != nullptr) {
        value = *found;
      } else if (const FunctionId function = function_named(slot.name->view());
                 function != FunctionId::kUnknown) {
        value = Value::of(function);
      }
    }
  }
}

void Interpreter::assign(const Target& target, const Value& value, Frame* frame) {
  if (failed_) return;
  switch (target.kind) {
    case Target::Kind::kName: {
      Frame* at = frame;
      for (std::uint32_t i = 0; i < target.name->hops; ++i) at = at->parent;
      at->slots[target.name->slot] = value;
      return;
    }
    case Target::Kind::kAttribute:
      return assign_attribute(target, value, frame);
    case Target::Kind::kTuple: {
      const auto items = items_of(value);
      if (failed_) return;
      if (items.size() != target.parts.size()) {
        fail("cannot unpack " + std::to_string(items.size()) + " values into " +
             std::to_string(target.parts.size()));
        return;
      }
      for (std::size_t i = 0; i < items.size(); ++i) assign(*target.parts[i], items[i], frame);
    }
  }
}

void Interpreter::assign_attribute(const Target& target, const Value& value, Frame* frame) {
  const Value object = eval_name(*target.name, frame);
  if (!object.is(Kind::kNamespace)) {
    fail("an attribute can be assigned to on a namespace only");
    return;
  }
  if (target.attribute->view().starts_with('_')) {
    fail("a namespace cannot have the attribute '" + std::string(target.attribute->view()) + "'");
    return;
  }
  for (Attribute* it = object.ns->first; it != nullptr; it = it->next) {
    if (!spend()) return;
    if (it->name->view() == target.attribute->view()) {
      it->value = value;
      return;
    }
  }
  Attribute* made = arena_.make(Attribute{target.attribute, value, nullptr});
  (object.ns->first == nullptr ? object.ns->first : object.ns->last->next) = made;
  object.ns->last = made;
}

const Macro* Interpreter::make_macro(const MacroBody& body, Frame* frame) {
  return arena_.make(Macro{&body, frame});
}

Interpreter::Flow Interpreter::for_loop(const ForStmt& stmt, Frame* frame) {
  LoopState* loop = arena_.make(LoopState{});
  loop->stmt = &stmt;
  loop->outer = frame;
  const Value list = eval(stmt.list, frame);
  if (list.is(Kind::kIterator))
    loop->iterator = list.iterator;
  else
    loop->items = items_of(list);
  loop_over(*loop);
  return Flow::kOn;
}

void Interpreter::loop_over(LoopState& loop) {
  const ForStmt& stmt = *loop.stmt;
  Frame* frame = nullptr;
  while (!failed_ && advance(loop)) {
    if (!spend()) return;
    if (frame == nullptr)
      frame = enter(stmt.scope, loop.outer);
    else
      initialize(stmt.scope, frame);
    frame->slots[stmt.loop_slot] = Value::of(&loop);
    assign(*stmt.target, loop.current, frame);
    if (execute(stmt.body, frame) == Flow::kBreak) return;
  }
  if (failed_ || loop.index0 >= 0 || stmt.otherwise.empty()) return;
  execute(stmt.otherwise, enter(stmt.otherwise_scope, loop.outer));
}

// The next item that passes the loop's test.
bool Interpreter::take(LoopState& loop, Value& item) {
  while (spend()) {
    Value next;
    if (loop.iterator != nullptr) {
      Iterator& it = *loop.iterator;
      if (it.at == it.size) {
        if (it.failure != nullptr) fail(std::string(it.failure->view()));
        return false;
      }
      next = it.items[it.at++];
    } else {
      if (loop.taken == loop.items.size()) return false;
      next = loop.items[loop.taken++];
    }
    if (loop.stmt->test != nullptr) {
      Frame* frame = enter(loop.stmt->test_scope, loop.outer);
      assign(*loop.stmt->test_target, next, frame);
      if (!truth(eval(loop.stmt->test, frame)) || failed_) continue;
    }
    item = next;
    return true;
  }
  return false;
}

bool Interpreter::peek(LoopState& loop) {
  return !loop.after.is(Kind::kMissing) || take(loop, loop.after);
}

bool Interpreter::advance(LoopState& loop) {
  Value next;
  if (!loop.after.is(Kind::kMissing))
    next = std::exchange(loop.after, Value());
  else if (!take(loop, next))
    return false;
  ++loop.index0;
  loop.before = loop.current;
  loop.current = next;
  return true;
}

std::int64_t Interpreter::length_of(LoopState& loop) {
  if (loop.length) return *loop.length;
  if (loop.iterator == nullptr && loop.stmt->test == nullptr) {
    loop.length = static_cast<std::int64_t>(loop.items.size());
    return *loop.length;
  }
  std::vector<Value> rest;
  Value item;
  while (take(loop, item)) rest.push_back(item);
  loop.length = loop.index0 + 1 + static_cast<std::int64_t>(rest.size()) +
                (loop.after.is(Kind::kMissing) ? 0 : 1);
  // What is left has passed the test: from here on it comes from a list of its own.
  ForStmt* untested = arena_.make(ForStmt(*loop.stmt));
  untested->test = nullptr;
  loop.stmt = untested;
  loop.iterator = nullptr;
  loop.items = arena_.copy(rest);
  loop.taken = 0;
  return *loop.length;
}

// --- The template
// ----------------------------------------------------------------------------------

struct Template::Compiled {
  Arena arena{kTreeBytes};
  ParsedTemplate parsed;
};

Template::Template(std::unique_ptr<Compiled> compiled) : compiled_(std::move(compiled)) {}
Template::~Template() = default;

Result<std::shared_ptr<const Template>> Template::compile(std::string_view source) {
  if (source.size() > kMaxSourceBytes) {
    return espalier::fail(ErrorCode::kLimit, "the template has " + std::to_string(source.size()) +
                                                 " bytes; at most " +
                                                 std::to_string(kMaxSourceBytes));
  }
  if (const std::size_t bad = utf8::find_malformed(source); bad != std::string_view::npos) {
    return espalier::fail(ErrorCode::kInvalid,
                          "the template is not UTF-8 at byte " + std::to_string(bad));
  }
  auto compiled = std::make_unique<Compiled>();
  ESP_ASSIGN(compiled->parsed, parse(source, compiled->arena));
  return std::shared_ptr<const Template>(new Template(std::move(compiled)));
}

Result<Rendered> Template::render(Arena& arena, const Dict& variables,
                                  const RenderOptions& options) const {
  return Interpreter(arena, variables, options)
      .run(compiled_->parsed.body, compiled_->parsed.scope);
}

}  // namespace espalier::runtime::jinja
