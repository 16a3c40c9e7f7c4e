// The one place where PEGTL's templates are instantiated (they are costly to compile): grammar.h
// matched with a control that records kept rules as flat nodes and turns unmet commit points into
// Failures.
#include "dsl/grammar.h"
#include "dsl/grammar_errors.h"
#include "dsl/program.h"

namespace espalier::dsl {
namespace syntax {
namespace {

template <class Rule>
struct NoAction : nothing<Rule> {};

[[noreturn]] void stop(MatchState& state, std::uint32_t offset, std::string message,
                       std::string help) {
  state.diagnostics.error("E0113", {state.file, offset, offset}, std::move(message)).help =
      std::move(help);
  throw Stopped{};
}

/// Rules that make the tree deeper: limited by kMaxNesting. From kInsert on they stand around an
/// expression, a type or a block, which counts itself: walks take that much more stack there.
constexpr bool nests(Kind kind) {
  return kind == Kind::kExpr || kind == Kind::kType || kind == Kind::kBlock ||
         kind == Kind::kMatch || kind == Kind::kAlternatives || kind == Kind::kInsert ||
         kind == Kind::kHole || kind == Kind::kCall || kind == Kind::kRecordType ||
         kind == Kind::kTypeArguments || kind == Kind::kFork || kind == Kind::kTurn ||
         kind == Kind::kRole || kind == Kind::kRecordLiteral || kind == Kind::kIf ||
         kind == Kind::kFor || kind == Kind::kRetry;
}
/// Links of a chain: each makes the tree of the enclosing expression or type one deeper.
constexpr bool chains(Kind kind) {
  return kind == Kind::kOperator || kind == Kind::kPrefix || kind == Kind::kCall ||
         kind == Kind::kMember || kind == Kind::kIndex || kind == Kind::kQuestion ||
         kind == Kind::kLength;
}

void deepen(MatchState& state, std::uint32_t offset) {
  if (++state.depth > kMaxNesting)
    stop(state, offset,
         "nested or chained more than " + std::to_string(kMaxNesting) + " levels deep",
         "name parts of it with `let`, or move them into a declaration of their own");
}

void begin_node(MatchState& state, Kind kind, std::uint32_t offset) {
  auto& nodes = state.tree.nodes;
  if (nodes.size() >= kMaxSyntaxNodes)
    stop(state, offset,
         "the file has more than " + std::to_string(kMaxSyntaxNodes) + " syntax nodes",
         "split it into several files, or pass data as arguments");
  state.open.push_back(static_cast<std::uint32_t>(nodes.size()));
  // While a node is open, `next` keeps the depth to go back to.
  nodes.push_back({kind, offset, offset, state.depth});
  if (nests(kind)) deepen(state, offset);
}

void end_node(MatchState& state, std::uint32_t offset) {
  auto& nodes = state.tree.nodes;
  const std::uint32_t index = state.open.back();
  state.open.pop_back();
  SyntaxNode& node = nodes[index];
  const std::uint32_t outer = node.next;
  node.end =
      offset == state.space_end && state.space_begin >= node.begin ? state.space_begin : offset;
  node.next = static_cast<std::uint32_t>(nodes.size());
  state.depth = outer;
  if (chains(node.kind)) deepen(state, node.begin);
  if (node.kind == Kind::kDoc) state.tree.docs[node.begin] = node.end;
  if (node.kind == Kind::kDoc || node.kind == Kind::kComment) nodes.resize(index);
}

void drop_node(MatchState& state) {
  const std::uint32_t index = state.open.back();
  state.open.pop_back();
  state.depth = state.tree.nodes[index].next;
  state.tree.nodes.resize(index);
}

template <class Rule>
struct Recording : normal<Rule> {
  static constexpr bool kSpace = std::is_same_v<Rule, ws>;
  static constexpr bool enable = kept<Rule>::value || kSpace;

  template <class Input>
  static void start(const Input& in, MatchState& state) {
    const auto offset = static_cast<std::uint32_t>(in.byte());
    if constexpr (kSpace) {
      state.space_started = offset;
    } else {
      begin_node(state, kept<Rule>::kind, offset);
    }
  }
  template <class Input>
  static void success(const Input& in, MatchState& state) {
    const auto offset = static_cast<std::uint32_t>(in.byte());
    if constexpr (kSpace) {
      state.space_begin = state.space_started;
      state.space_end = offset;
    } else {
      end_node(state, offset);
    }
  }
  template <class Input>
  static void failure(const Input& /*in*/, MatchState& state) {
    if constexpr (!kSpace) drop_node(state);
  }
  template <class Input>
  static void unwind(const Input& /*in*/, MatchState& state) {
    if constexpr (!kSpace) drop_node(state);
  }
  template <class Input>
  [[noreturn]] static void raise(const Input& in, MatchState& state) {
    const std::uint32_t opening =
        state.open.empty() ? 0 : state.tree.nodes[state.open.back()].begin;
    throw Failure{static_cast<std::uint32_t>(in.byte()), &kErrorOf<Rule>, opening};
  }
};

}  // namespace
}  // namespace syntax

SyntaxResult match_syntax(const Source& source, std::uint32_t file, Diagnostics& diagnostics) {
  syntax::MatchState state{source, file, diagnostics, {}, {}};
  tao::pegtl::memory_input<tao::pegtl::tracking_mode::lazy, tao::pegtl::eol::lf_crlf, const char*>
      input(source.text().data(), source.text().size(), "");
  SyntaxResult result;
  try {
    result.complete =
        tao::pegtl::parse<syntax::file, syntax::NoAction, syntax::Recording>(input, state);
  } catch (const syntax::Stopped&) {
    result.complete = false;
  } catch (syntax::Failure& failure) {
    // Nothing recovered: report it and give up.
    syntax::recover(syntax::Skip::kDeclaration, failure, 0, 0, state);
    result.complete = false;
  }
  if (!result.complete) state.tree.nodes.clear();
  result.tree = std::move(state.tree);
  return result;
}

}  // namespace espalier::dsl
