#include "cli/stats.h"

#include <ostream>
#include <span>

#include "cli/options.h"
#include "cli/session.h"
#include "grammar/json_text.h"

namespace espalier::cli {

Json stats_json(const runtime::Stats& stats, const dsl::Runner::Dropped& dropped,
                double load_seconds, double wall_seconds, std::uint64_t peak_rss_bytes) {
  return {
      {"prompt_tokens", stats.prompt_tokens},
      {"reused_tokens", stats.reused_tokens},
      {"computed_tokens", stats.computed_tokens},
      {"generated_tokens", stats.generated_tokens},
      {"forced_tokens", stats.forced_tokens},
      {"select_tokens", stats.select_tokens},
      {"recomputed_tokens", stats.recomputed_tokens},
      {"dropped_turns", dropped.turns},
      {"dropped_tokens", dropped.tokens},
      {"steps", stats.steps},
      {"prefill_seconds", stats.prefill_seconds},
      {"decode_seconds", stats.decode_seconds},
      {"mask_seconds", stats.mask_seconds},
      {"load_seconds", load_seconds},
      {"wall_seconds", wall_seconds},
      {"peak_rss_bytes", peak_rss_bytes},
      {"pages_total", stats.pages_total},
      {"pages_free_at_end", stats.pages_free},
      {"pages_retained", stats.pages_retained},
      {"prefill_rows", stats.prefill_rows},
      {"decode_rows", stats.decode_rows},
      {"logits_rows", stats.logits_rows},
      {"steps_ahead", stats.steps_ahead},
      {"wasted_rows", stats.wasted_rows},
      {"drafted_tokens", stats.drafted_tokens},
      {"accepted_tokens", stats.accepted_tokens},
      {"model_drafted_tokens", stats.model_drafted_tokens},
      {"model_accepted_tokens", stats.model_accepted_tokens},
      {"draft_seconds", stats.draft_seconds},
      {"requests", stats.requests},
      {"preemptions", stats.preemptions},
      {"queue_steps", stats.queue_steps},
      {"queue_seconds", stats.queue_seconds},
      {"looked_up_tokens", stats.looked_up_tokens},
      {"found_tokens", stats.found_tokens},
      {"tree_seconds", stats.tree_seconds},
      {"evicted_pages",
       {{"dead", stats.evicted_pages.dead},
        {"once", stats.evicted_pages.once},
        {"again", stats.evicted_pages.again},
        {"expected", stats.evicted_pages.expected},
        {"retained", stats.evicted_pages.retained}}},
      {"disk_read_pages", stats.disk_read_pages},
      {"disk_written_pages", stats.disk_written_pages},
      {"disk_read_seconds", stats.disk_read_seconds},
      {"host_pages_total", stats.host_pages_total},
      {"host_pages_held", stats.host_pages_held},
      {"host_saved_pages", stats.host_saved_pages},
      {"host_loaded_pages", stats.host_loaded_pages},
      {"host_dropped_pages", stats.host_dropped_pages},
      {"host_load_seconds", stats.host_load_seconds},
  };
}

Json engine_json(const runtime::EngineStats& engine) {
  const runtime::Stats& stats = engine.stats;
  return {{"requests", stats.requests},
          {"reused_tokens", stats.reused_tokens},
          {"computed_tokens", stats.computed_tokens},
          {"recomputed_tokens", stats.recomputed_tokens},
          {"generated_tokens", stats.generated_tokens},
          {"prefill_seconds", stats.prefill_seconds},
          {"decode_seconds", stats.decode_seconds},
          {"pages_total", stats.pages_total},
          {"pages_free_at_end", stats.pages_free},
          {"failed", engine.failed}};
}

void StatsOption::declare(CLI::App& app) {
  add_text(app, "--stats", path_, "PATH", "Write what it cost as one JSON object; - is stderr");
}

Status StatsOption::open(Context& context) {
  if (!path_ || path_ == "-") return {};
  ESP_ASSIGN(file_, context.system.open(*path_, OpenMode::kTruncate));
  return {};
}

Status StatsOption::write(const Session& session, Context& context,
                          const dsl::Runner::Dropped& dropped) const {
  if (!path_) return {};
  Json object = stats_json(session.engine().stats(), dropped, session.load_seconds(),
                           session.wall_seconds(), context.system.peak_rss_bytes());
  if (const auto engines = session.engine().stats_of_each(); engines.size() > 1) {
    for (const runtime::EngineStats& it : engines) object["engines"].push_back(engine_json(it));
  }
  const std::string line = write_json(object) + "\n";
  if (file_ != nullptr) return file_->append(std::as_bytes(std::span(line.data(), line.size())));
  context.console.err() << line << std::flush;
  return {};
}

}  // namespace espalier::cli
