// What a schema's machine holds. Not what all schemas of a vocabulary share: its library of scalars
// and the stems that are the same in all machines.
#include "grammar/schema/schema_machine.h"
#include "grammar/schema/schema_walk.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kCounts = 16;  // of a std::shared_ptr's owners

}  // namespace

std::size_t SchemaMachine::held_bytes() const {
  std::size_t out = held_by_all(
      formulas_, states_, cursor_ids_, closing_sizes_, key_closings_, levels_, level_ids_, leaves_,
      leaf_ids_, texts_, text_ids_, name_sets_, own_keys_, name_texts_, key_words_, found_keys_,
      untaken_, seen_sets_, seen_ids_, scalars_, scalar_ids_, scalars_by_type_, entries_, lists_,
      list_ids_, stem_masks_, object_stems_, next_stems_, any_items_, expanded_, objects_,
      comparable_, value_facts_, plans_, key_facts_, parts_by_name_, key_matches_, key_relations_,
      key_classes_, member_values_, walk_rooms_);
  out += block_bytes(sizeof *parts_ + kCounts) + parts_->held_bytes();
  out += sum_over(found_classes_, [](const auto& entry) {
    const auto& [patterns, matched, names] = entry.first;
    return block_bytes(4 * sizeof(void*) + sizeof entry) +
           held_by_all(patterns, matched, names, entry.second);
  });
  out += sum_over(lists_, [this](const KeptList& kept) -> std::size_t {
    if (kept.list == nullptr || standard(kept.key.place)) return 0;
    return block_bytes(sizeof(List) + kCounts) + kept.list->held_bytes();
  });
  out += sum_over(stem_masks_, [this](const auto& entry) -> std::size_t {
    const auto& [place, mask] = entry;
    if (mask == nullptr || standard(place)) return 0;
    return block_bytes(sizeof(StemMask) + kCounts) + mask->held_bytes();
  });
  return out;
}

std::size_t ScalarRun::held_bytes() const {
  std::size_t out = held_by_all(words_, taken_, pairs_, pair_ids_);
  if (counts_ != nullptr && !shares_) {
    out += block_bytes(sizeof *counts_ + kCounts) +
           held_by_all(counts_->levels, counts_->owed_sizes, counts_->owing);
  }
  if (automaton_ != nullptr) out += automaton_->held_bytes();
  if (multiples_ != nullptr) out += grammar::held_bytes(multiples_);
  if (product_ != nullptr && !shares_) {
    out += block_bytes(sizeof *product_ + kCounts) + product_->held_bytes();
  }
  if (dfa_ != nullptr && dfa_.use_count() == 1) out += dfa_->held_bytes();
  return out;
}

std::size_t ScalarDfa::held_bytes() const {
  std::size_t out = block_bytes(sizeof *this + kCounts) + memory();
  const std::lock_guard lock(mutex_);
  out += held_by_all(tokens_, alike_, alike_tokens_, firsts_, walked_);
  for (const auto& [state, tokens] : tokens_) {  // some states have the same
    const std::size_t one = block_bytes(sizeof *tokens + kCounts) +
                            held_by_all(tokens->stay, tokens->many.words, tokens->exits);
    out += one / static_cast<std::size_t>(tokens.use_count());
  }
  for (const auto& [alphabet, words] : foreign_) out += grammar::held_bytes(*words);
  return out;
}

}  // namespace espalier::grammar
