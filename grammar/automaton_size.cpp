// What an automaton holds.
#include "grammar/automaton.h"
#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {

std::size_t Automaton::held_bytes() const {
  std::size_t out = block_bytes(sizeof *this);
  out += held_by_all(positions_, position_ids_, closures_, facts_, states_, position_states_,
                     state_ids_, token_steps_, context_free_, factor_places_, factor_ids_, pairs_,
                     pair_ids_, prefixes_, machines_, kept_closings_, near_masks_, mask_builder_,
                     masks_, mask_ids_);
  constexpr std::size_t kCounts = 16;  // of a std::shared_ptr's owners
  out += sum_over(masks_, [](const MaskRef& mask) {
    return block_bytes(sizeof *mask + kCounts) + mask->held_bytes();
  });
  if (program_.use_count() == 1) out += program_->held_bytes();
  return out;
}

std::size_t ContextFreeMachine::held_bytes() const {
  return held_by_all(locals_, local_sizes_, expansions_, origins_, seen_, left_, local_ids_,
                     concat_sizes_, nodes_, node_ids_, group_ids_, sets_, set_ids_, kernels_,
                     kernel_ids_, returns_, pending_, pending_by_rule_);
}

}  // namespace espalier::grammar
