#include "grammar/program.h"

#include <algorithm>
#include <tuple>

#include "grammar/automaton.h"
#include "grammar/prefix_freedom.h"
#include "grammar/schema/schema_machine.h"
#include "grammar/span_source.h"
#include "grammar/token_trie.h"

namespace espalier::grammar {
namespace {

constexpr std::uint64_t kCompared =
    256;  // closings up to this many bytes are compared by tokens, longer ones by bytes

constexpr std::uint32_t kNestedProducts = 100;

}  // namespace

Result<ProgramRef> Program::create(std::shared_ptr<const ExpressionPool> pool, Expr root,
                                   VocabularyRef vocabulary, std::string follow,
                                   const Limits& limits, Fuel& fuel) {
  ESP_TRY(pool->status());
  const std::shared_ptr<Program> program(new Program());
  program->pool_ = std::move(pool);
  program->root_ = root;
  program->vocabulary_ = std::move(vocabulary);
  program->follow_ = std::move(follow);
  program->max_depth_ = limits.max_depth;
  program->single_ = program->vocabulary_->single_bytes();
  program->spells_all_bytes_ = program->single_ == ByteSet::all();
  const std::uint32_t end = 0;
  program->spelling_costs(program->follow_, {}, std::span(&end, 1), program->follow_costs_);
  if (!program->follow_spells(0)) {
    return fail(ErrorCode::kInvalid, "the vocabulary cannot spell the text after the hole");
  }
  ESP_TRY(program->find_facts(fuel));
  const PrefixFreedom words(*program->pool_);
  program->prefix_free_ = words.prefix_free(root);
  if (!program->follow_.empty() && !program->prefix_free_) {
    Automaton scratch(program);
    program->follow_first_wins_ = !words.ends_decide(scratch, root, program->follow_);
    if (program->follow_first_wins_) program->build_follow_scanner();
  }
  return program;
}

void Program::build_follow_scanner() {
  const std::size_t n = follow_.size();
  kmp_.assign((n + 1) * 256, 0);
  kmp_[static_cast<unsigned char>(follow_[0])] = 1;
  std::size_t border = 0;
  for (std::size_t q = 1; q <= n; ++q) {
    for (std::size_t b = 0; b < 256; ++b) kmp_[q * 256 + b] = kmp_[border * 256 + b];
    if (q < n) {
      const auto b = static_cast<unsigned char>(follow_[q]);
      const std::uint32_t next_border = kmp_[border * 256 + b];
      kmp_[q * 256 + b] = static_cast<std::uint32_t>(q + 1);
      border = next_border;
    }
  }
  may_start_.assign(n + 1, 0);
  for (std::uint32_t start = 0; start < n; ++start) {
    std::uint32_t q = start;
    std::size_t read = 0;
    while (read < n && q != n) q = follow_step(q, static_cast<unsigned char>(follow_[read++]));
    may_start_[start] = q == n && read == n ? 1 : 0;
  }
}

unsigned char Program::closing_byte(const ByteSet& set) const {
  const ByteSet spelled = set & single_;
  return static_cast<unsigned char>((spelled.none() ? set : spelled).lowest());
}

void Program::spelling_costs(std::string_view text, std::string_view tail,
                             std::span<const std::uint32_t> tail_costs,
                             std::vector<std::uint32_t>& costs) const {
  const TokenTrie& trie = vocabulary_->trie();
  costs.assign(text.size() + 1, kNever);
  costs[text.size()] = tail_costs[0];
  for (std::size_t p = text.size(); p-- > 0;) {
    std::uint32_t best = kNever;
    std::uint32_t node = TokenTrie::kRoot;
    for (std::size_t e = p; e < text.size() + tail.size() && e - p < kLongestPiece; ++e) {
      const char c = e < text.size() ? text[e] : tail[e - text.size()];
      node = trie.child(node, static_cast<std::uint8_t>(c));
      if (node == TokenTrie::kNone) break;
      if (trie.nodes()[node].token_count == 0) continue;
      const std::uint32_t after =
          e + 1 <= text.size() ? costs[e + 1] : tail_costs[e + 1 - text.size()];
      if (after != kNever) best = std::min(best, after + 1);
    }
    costs[p] = best;
  }
}

std::uint32_t Program::standalone_cost(Expr e, Fuel& fuel) const {
  if (size_[e.id] > kCompared) return static_cast<std::uint32_t>(size_[e.id]);
  std::string word;
  append_closing(e, word);
  if (!fuel.spend(1 + word.size() / 16)) return kNever;
  std::vector<std::uint32_t> costs;
  const std::uint32_t end = 0;
  spelling_costs(word, {}, std::span(&end, 1), costs);
  return costs[0];
}

void Program::append_closing(Expr start, std::string& out) const {
  struct Item {
    Expr e;
    std::uint32_t at;  // kConcat: next child; kRepeat: times written
  };
  std::vector<Item> work{{start, 0}};
  while (!work.empty()) {
    Item& top = work.back();
    const auto& node = pool_->node(top.e);
    switch (node.op) {
      case Op::kNothing:
      case Op::kEmpty:
        work.pop_back();
        break;
      case Op::kBytes:
        out += pool_->bytes_of(top.e);
        work.pop_back();
        break;
      case Op::kSet:
        out += static_cast<char>(closing_byte(pool_->set_of(top.e)));
        work.pop_back();
        break;
      case Op::kMultiple:
        out += pool_->multiple_of(top.e).closing(DecimalMultiple::kStart);
        work.pop_back();
        break;
      case Op::kConcat: {
        if (top.at == node.count) {
          work.pop_back();
          break;
        }
        const Expr child = pool_->children(top.e)[top.at++];
        work.push_back({child, 0});
        break;
      }
      case Op::kChoice:
        top = {pool_->children(top.e)[chosen_[top.e.id]], 0};
        break;
      case Op::kRepeat: {
        if (top.at == node.a || size_[top.e.id] == 0) {
          work.pop_back();
          break;
        }
        ++top.at;
        work.push_back({pool_->children(top.e)[0], 0});
        break;
      }
      case Op::kRule:
        top = {pool_->rule_body(node.a), 0};
        break;
      case Op::kCapture:
      case Op::kCodePoints:
        top = {pool_->children(top.e)[0], 0};
        break;
      case Op::kFactor: {
        const SourceWords& words = pool_->source_of(top.e);
        out += words.closing(words.start());
        work.pop_back();
        break;
      }
      case Op::kIntersection:
      case Op::kDifference:
      case Op::kContextFree:
      case Op::kSchema:
        out += product_closing_[top.e.id];
        work.pop_back();
        break;
    }
  }
}

void Program::compute_node(std::uint32_t id, Fuel& fuel) {
  const Expr e{id};
  const auto& node = pool_->node(e);
  const auto children = pool_->children(e);
  std::uint32_t need = kNever;
  std::uint64_t size = kTooLong;
  switch (node.op) {
    case Op::kNothing:
      break;
    case Op::kEmpty:
      need = 0, size = 0;
      break;
    case Op::kBytes:
      need = 0, size = std::min<std::uint64_t>(pool_->bytes_of(e).size(), kTooLong);
      break;
    case Op::kSet:
    case Op::kMultiple:
      need = 0, size = 1;
      break;
    case Op::kConcat:
      need = 0, size = 0;
      for (const Expr c : children) {
        need = std::max(need, need_[c.id]);
        size = closing_sum(size, size_[c.id]);
      }
      break;
    case Op::kChoice: {
      std::uint32_t cost = kNever;
      bool any = false;
      for (std::uint32_t i = 0; i < node.count; ++i) {
        const Expr c = children[i];
        if (need_[c.id] == kNever) continue;
        if (any && need_[c.id] > need) continue;
        // A lone or least-nesting alternative needs no spelling; comparing costs one.
        const std::uint32_t c_cost = standalone_cost(c, fuel);
        if (!any || std::tie(need_[c.id], c_cost, size_[c.id]) < std::tie(need, cost, size)) {
          need = need_[c.id], cost = c_cost, size = size_[c.id];
          chosen_[id] = i;
          any = true;
        }
      }
      break;
    }
    case Op::kRepeat:
      if (node.a == 0) {
        need = 0, size = 0;
      } else {
        need = need_[children[0].id];
        const std::uint64_t one = size_[children[0].id];
        size = one == 0 ? 0
                        : std::min<std::uint64_t>(one * std::min<std::uint64_t>(node.a, kTooLong),
                                                  kTooLong);
      }
      break;
    case Op::kRule: {
      const Expr body = pool_->rule_body(node.a);
      // Only what already settled counts, so the closing of a rule never runs through itself.
      if (need_[body.id] != kNever) need = need_[body.id] + 1, size = size_[body.id];
      break;
    }
    case Op::kCapture:
    case Op::kCodePoints:
      need = need_[children[0].id], size = size_[children[0].id];
      break;
    case Op::kIntersection:
    case Op::kDifference:
      if (product_state_[id] == Product::kEmpty || product_state_[id] == Product::kUndecided) break;
      if (product_state_[id] == Product::kCloses) {
        need = 0, size = product_closing_[id].size();
      } else if (need_[children[0].id] != kNever &&
                 (node.op == Op::kDifference || need_[children[1].id] != kNever)) {
        need = 0,
        size = std::max<std::uint64_t>(size_[children[0].id], 1);  // until the search has looked
      }
      break;
    case Op::kFactor:
      need = 0, size = pool_->source_of(e).closing_size(pool_->source_of(e).start());
      break;
    case Op::kContextFree:
      if (product_state_[id] == Product::kCloses) need = 0, size = product_closing_[id].size();
      break;
    case Op::kSchema:
      if (product_state_[id] == Product::kEmpty || product_state_[id] == Product::kUndecided) break;
      need = 0;
      size = product_state_[id] == Product::kCloses ? product_closing_[id].size() : 1;
      break;
  }
  need_[id] = need;
  size_[id] = need == kNever ? kTooLong : size;
}

// Fixpoint over rules: passes until nothing new has a word. A node's facts are frozen by the pass
// that first finds it a word, so its closing only runs through what was settled before it, and is
// finite.
Status Program::settle(Fuel& fuel) {
  const std::size_t n = pool_->size();
  need_.assign(n, kNever);
  size_.assign(n, kTooLong);
  chosen_.assign(n, 0);
  std::vector<std::uint32_t> open = settled_;  // nodes without a word so far
  for (bool changed = true; changed && !open.empty();) {
    changed = false;
    std::vector<std::uint32_t> still;
    for (const std::uint32_t id : open) {
      if (!fuel.spend()) return fail(fuel.error("grammar"));
      compute_node(id, fuel);
      if (need_[id] == kNever) {
        still.push_back(id);
      } else {
        changed = true;
      }
    }
    if (fuel.exhausted()) return fail(fuel.error("grammar"));
    open.swap(still);
  }
  return {};
}

Status Program::find_facts(Fuel& fuel) {
  const std::size_t n = pool_->size();
  product_state_.assign(n, Product::kUnknown);
  product_closing_.assign(n, {});
  std::vector<std::uint32_t> products;
  std::vector<std::uint32_t> nested(
      n, 0);  // products inside products; automata recurse over these alone
  for (std::uint32_t id = 0; id < n; ++id) {
    const Op op = pool_->node(Expr{id}).op;
    for (const Expr c : pool_->children(Expr{id})) nested[id] = std::max(nested[id], nested[c.id]);
    if (op != Op::kIntersection && op != Op::kDifference && op != Op::kSchema) continue;
    products.push_back(id);
    if (op == Op::kSchema) continue;
    if (++nested[id] > kNestedProducts) {
      return fail(ErrorCode::kLimit, "grammar: more than " + std::to_string(kNestedProducts) +
                                         " intersections inside each other");
    }
  }
  find_settled();
  ESP_TRY(settle(fuel));
  // Inner products have smaller numbers, so each search stands on settled ones.
  if (!products.empty()) {
    Automaton scratch(std::shared_ptr<const Program>(std::shared_ptr<const Program>(), this));
    for (const std::uint32_t id : products) {
      if (need_[id] == kNever) {
        product_state_[id] = Product::kEmpty;
        continue;
      }
      if (pool_->node(Expr{id}).op == Op::kSchema) {
        const auto closing = scratch.schema_closing(Expr{id});
        machines_.emplace(id, scratch.take_machine(Expr{id}));
        product_state_[id] = closing.undecided ? Product::kUndecided
                             : closing.word    ? Product::kCloses
                                               : Product::kEmpty;
        if (closing.word) product_closing_[id] = *closing.word;
        continue;
      }
      Fuel search("states", std::min<std::uint64_t>(kProductSearch, fuel.limit() - fuel.used()));
      const std::optional<std::string> word = scratch.find_product_closing(Expr{id}, search);
      if (!fuel.spend(search.used())) return fail(fuel.error("grammar"));
      product_state_[id] = word                 ? Product::kCloses
                           : search.exhausted() ? Product::kUndecided
                                                : Product::kEmpty;
      if (word) product_closing_[id] = *word;
    }
  }
  ESP_TRY(close_grammars(fuel));
  return settle(fuel);
}

// What automata run themselves: reached from the root or a product without going into a
// kContextFree, whose insides context_free_facts() knows of.
void Program::find_settled() {
  std::vector<bool> seen(pool_->size(), false);
  std::vector<Expr> work{root_};
  for (std::uint32_t id = 0; id < pool_->size(); ++id) {
    const Op op = pool_->node(Expr{id}).op;
    if (op == Op::kIntersection || op == Op::kDifference) work.push_back(Expr{id});
  }
  while (!work.empty()) {
    const Expr e = work.back();
    work.pop_back();
    if (seen[e.id]) continue;
    seen[e.id] = true;
    const auto& node = pool_->node(e);
    if (node.op == Op::kContextFree) continue;
    if (node.op == Op::kRule) work.push_back(pool_->rule_body(node.a));
    for (const Expr c : pool_->children(e)) work.push_back(c);
  }
  settled_.clear();
  for (std::uint32_t id = 0; id < pool_->size(); ++id) {
    if (seen[id]) settled_.push_back(id);
  }
}

Status Program::close_grammars(Fuel& fuel) {
  std::vector<Expr> grammars;
  for (std::uint32_t id = 0; id < pool_->size(); ++id) {
    if (pool_->node(Expr{id}).op == Op::kContextFree) grammars.push_back(Expr{id});
  }
  if (grammars.empty()) return {};
  if (!fuel.spend(pool_->size())) return fail(fuel.error("grammar"));
  context_free_facts_ = ContextFreeFacts(*pool_, grammars, [this](Expr product) {
    return product_state_[product.id] == Product::kCloses
               ? static_cast<std::uint32_t>(product_closing_[product.id].size())
               : ContextFreeFacts::kNever;
  });
  Automaton scratch(std::shared_ptr<const Program>(std::shared_ptr<const Program>(), this));
  for (const Expr e : grammars) {
    if (!context_free_facts_.productive(pool_->children(e)[0])) continue;
    bool overflowed = false;
    std::optional<std::string> word;
    if (context_free_facts_.size(pool_->children(e)[0]) <= kLongestClosing) {
      word = scratch.find_context_free_closing(e, &overflowed);
    }
    if (overflowed) {
      return fail(ErrorCode::kLimit, "grammar: the rules can be at more than " +
                                         std::to_string(ContextFreeMachine::kMostVisits) +
                                         " places at once");
    }
    if (!word) {
      return fail(ErrorCode::kLimit, "grammar: the shortest text is longer than " +
                                         std::to_string(kLongestClosing) + " bytes");
    }
    product_state_[e.id] = Product::kCloses;
    product_closing_[e.id] = *word;
  }
  return {};
}

Program::~Program() = default;

std::unique_ptr<SchemaMachine> Program::take_machine(Expr schema) const {
  const std::lock_guard lock(machines_mutex_);
  const auto it = machines_.find(schema.id);
  return it == machines_.end() ? nullptr : std::move(it->second);
}

bool Program::rests_on_undecided() const {
  std::vector<bool> seen(pool_->size(), false);
  std::vector<Expr> work{root_};
  while (!work.empty()) {
    const Expr e = work.back();
    work.pop_back();
    if (seen[e.id]) continue;
    seen[e.id] = true;
    if (product(e) == Product::kUndecided) return true;
    if (pool_->node(e).op == Op::kRule) work.push_back(pool_->rule_body(pool_->node(e).a));
    for (const Expr c : pool_->children(e)) work.push_back(c);
  }
  return false;
}

}  // namespace espalier::grammar
