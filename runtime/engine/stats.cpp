#include "runtime/engine/engine.h"

namespace espalier::runtime {

Stats& Stats::operator+=(const Stats& other) {
  const auto add = [&](auto... members) { ((this->*members += other.*members), ...); };
  add(&Stats::prompt_tokens, &Stats::reused_tokens, &Stats::computed_tokens,
      &Stats::generated_tokens, &Stats::forced_tokens, &Stats::select_tokens,
      &Stats::recomputed_tokens, &Stats::steps, &Stats::prefill_seconds, &Stats::decode_seconds,
      &Stats::mask_seconds, &Stats::pages_total, &Stats::pages_free, &Stats::pages_held,
      &Stats::pages_retained, &Stats::prefill_rows, &Stats::decode_rows, &Stats::logits_rows,
      &Stats::backend_steps, &Stats::prefill_steps, &Stats::steps_ahead, &Stats::wasted_rows,
      &Stats::rows_squared, &Stats::rows_seconds, &Stats::drafted_tokens, &Stats::accepted_tokens,
      &Stats::model_drafted_tokens, &Stats::model_accepted_tokens, &Stats::draft_seconds,
      &Stats::requests, &Stats::preemptions, &Stats::queue_steps, &Stats::queue_seconds,
      &Stats::looked_up_tokens, &Stats::found_tokens, &Stats::tree_seconds, &Stats::disk_read_pages,
      &Stats::disk_written_pages, &Stats::disk_dropped_pages, &Stats::disk_read_seconds,
      &Stats::host_pages_total, &Stats::host_pages_held, &Stats::host_saved_pages,
      &Stats::host_loaded_pages, &Stats::host_dropped_pages, &Stats::host_load_seconds);
  evicted_pages.dead += other.evicted_pages.dead;
  evicted_pages.once += other.evicted_pages.once;
  evicted_pages.again += other.evicted_pages.again;
  evicted_pages.expected += other.evicted_pages.expected;
  evicted_pages.retained += other.evicted_pages.retained;
  return *this;
}

}  // namespace espalier::runtime
