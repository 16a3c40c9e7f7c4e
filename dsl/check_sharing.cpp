// W0603: an insert of what differs between calls, with constant text behind it that is then
// computed anew in each of them.
//
// A prompt is shared from its beginning to the first thing that differs, so what counts is the
// order in which a generator writes, across its turns: text in a straight line, up to the first
// hole (what stands behind depends on the model). What stands in loops, branches and forks is
// looked at for itself, since nothing says here how often it comes, or whether.
#include <algorithm>

#include "dsl/check.h"
#include "dsl/checker.h"

namespace espalier::dsl {
namespace {

constexpr std::size_t kSharedBytes = 400;  // constant bytes behind an insert, worth a warning

const Expr* root_of(const Expr& node) {
  const Expr* at = &node;
  while (true) {
    if (const auto* member = std::get_if<MemberExpr>(&at->node)) {
      at = member->object.get();
    } else if (const auto* index = std::get_if<IndexExpr>(&at->node)) {
      at = index->object.get();
    } else {
      return at;
    }
  }
}

}  // namespace

/// What was written so far in a straight line.
struct Checker::Written {
  const Insert* first = nullptr;  // that differs between calls
  std::string behind;             // the constant text since
  bool over = false;              // there was a hole
};

bool Checker::differs(const Insert& insert) const {
  const auto* root = std::get_if<NameExpr>(&root_of(*insert.value)->node);
  return root != nullptr &&
         std::any_of(gen_->parameters.begin(), gen_->parameters.end(),
                     [&](const Parameter& p) { return p.name == root->name.text; });
}

void Checker::prefix_breaking(const Block& body) {
  Written written;
  follow_writing(body, written);
  end_of_writing(written);
}

void Checker::end_of_writing(Written& written) {
  if (written.first != nullptr && written.behind.size() >= kSharedBytes) {
    const Span& place = written.first->span;
    diagnostics_.add(unshared(place, std::to_string(written.behind.size()) + " constant bytes"));
    program_.unshared.push_back({place, std::move(written.behind)});
  }
  written = {};
}

void Checker::follow_text(const Text& text, Written& written) {
  for (const Chunk& chunk : text.chunks) {
    if (std::holds_alternative<Hole>(chunk)) {
      end_of_writing(written);
      written.over = true;
      return;
    }
    const auto* literal = std::get_if<LiteralChunk>(&chunk);
    if (literal != nullptr && written.first != nullptr) written.behind += literal->bytes;
    const auto* insert = std::get_if<Insert>(&chunk);
    if (insert != nullptr && written.first == nullptr && differs(*insert)) written.first = insert;
  }
}

// What a spliced generator writes by itself, where an insert stands before it.
void Checker::follow_splice(const SpliceStmt& splice, Written& written) {
  const CallInfo& call = program_.calls[splice.call->id];
  if (call.kind != CalleeKind::kGen || written.first == nullptr) return end_of_writing(written);
  for (const Stmt& stmt : program_.gens[call.index].decl->body.statements) {
    const auto* text = std::get_if<TextStmt>(&stmt.node);
    if (text == nullptr) return end_of_writing(written);
    follow_text(text->text, written);
    if (written.over) return;
  }
}

void Checker::follow_writing(const Block& body, Written& written) {
  const auto apart = [&](const Block& block) {
    end_of_writing(written);
    prefix_breaking(block);
  };
  const auto forked = [&](const ExprPtr& expr) {
    if (expr == nullptr) return;
    if (const auto* fork = std::get_if<ForkExpr>(&expr->node)) prefix_breaking(fork->body);
  };
  for (const Stmt& stmt : body.statements) {
    if (const auto* text = std::get_if<TextStmt>(&stmt.node)) {
      follow_text(text->text, written);
    } else if (const auto* role = std::get_if<RoleStmt>(&stmt.node)) {
      follow_writing(role->body, written);
    } else if (const auto* splice = std::get_if<SpliceStmt>(&stmt.node)) {
      follow_splice(*splice, written);
    } else if (const auto* let = std::get_if<LetStmt>(&stmt.node)) {
      forked(let->value);
    } else if (const auto* branches = std::get_if<IfStmt>(&stmt.node)) {
      for (const IfBranch& branch : branches->branches) apart(branch.body);
      if (branches->otherwise) apart(*branches->otherwise);
    } else if (const auto* loop = std::get_if<ForStmt>(&stmt.node)) {
      apart(loop->body);
    } else if (const auto* match = std::get_if<MatchStmt>(&stmt.node)) {
      for (const MatchArm& arm : match->arms) apart(arm.body);
    } else if (const auto* retry = std::get_if<RetryStmt>(&stmt.node)) {
      apart(retry->body);
      if (retry->otherwise) apart(*retry->otherwise);
    } else if (const auto* leave = std::get_if<ReturnStmt>(&stmt.node)) {
      forked(leave->value);
    } else if (const auto* yield = std::get_if<YieldStmt>(&stmt.node)) {
      forked(yield->value);
    }
    if (written.over) return;
  }
}

Diagnostic unshared(const Span& insert, const std::string& text) {
  return {Severity::kWarning,
          "W0603",
          "this insert stops " + text + " behind it from being shared",
          {insert, "changes with every call"},
          {},
          "move it below the constant text",
          {}};
}

}  // namespace espalier::dsl
