// What a program holds, with its expressions.
#include "grammar/program.h"
#include "grammar/schema/schema_graph.h"
#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {

std::size_t ExpressionPool::held_bytes() const {
  std::size_t out = block_bytes(sizeof *this);
  out += held_by_all(nodes_, children_, strings_, sets_, captures_, classes_, rules_, schemas_,
                     factors_, multiples_, node_ids_, string_ids_, set_ids_, class_ids_,
                     capture_ids_, last_choice_);
  for (const auto& schema : schemas_) out += schema->held_bytes();
  return out;
}

std::size_t Program::held_bytes() const {
  std::size_t out = block_bytes(sizeof *this) + pool_->held_bytes();
  out += held_by_all(follow_, need_, size_, chosen_, product_state_, product_closing_, settled_,
                     context_free_facts_, follow_costs_, kmp_, may_start_);
  const std::lock_guard lock(machines_mutex_);
  return out + grammar::held_bytes(machines_);
}

}  // namespace espalier::grammar
