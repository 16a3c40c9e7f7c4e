#include "cli/trace.h"

#include <chrono>
#include <cmath>
#include <span>
#include <utility>

#include "cli/trace_page.h"
#include "grammar/json_text.h"

namespace espalier::cli {
namespace {

std::optional<runtime::Role> role_of(std::string_view text) {
  for (const auto role : {runtime::Role::kSystem, runtime::Role::kUser, runtime::Role::kAssistant,
                          runtime::Role::kTool}) {
    if (runtime::name(role) == text) return role;
  }
  return std::nullopt;
}

}  // namespace

Trace::Trace(Sink sink, dsl::ModelParts model, const dsl::Program& program, System& system,
             bool choices)
    : sink_(std::move(sink)),
      model_(std::move(model)),
      program_(program),
      system_(system),
      choices_(choices),
      begun_at_(system.now()) {}

void Trace::write(Json event) {
  const std::lock_guard lock(mutex_);
  const std::chrono::duration<double, std::milli> since = system_.now() - begun_at_;
  event["ms"] = std::round(since.count() * 10) / 10;
  sink_(std::move(event));
}

void Trace::on_branch(dsl::BranchNumber branch, dsl::BranchNumber parent, std::string_view what) {
  if (what == "fork") {  // goes on from what its parent has begun
    const std::lock_guard lock(mutex_);
    begun_.insert(branch);
  }
  write({{"event", "branch"}, {"branch", branch}, {"parent", parent}, {"what", what}});
}

void Trace::on_turn(dsl::BranchNumber branch, std::string_view role) {
  if (role.empty()) {
    write({{"event", "turn_end"}, {"branch", branch}});
    return;
  }
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = begun_.insert(branch).second;
  }
  if (const auto known = role_of(role); first && known) {
    // What the model's template puts before the first turn, a default system
    // prompt for one.
    const auto begin = model_.chat->begin(*known);
    if (!begin.empty()) {
      write({{"event", "template"},
             {"branch", branch},
             {"text", runtime::text_of(*model_.tokenizer, begin)}});
    }
  }
  write({{"event", "turn"}, {"branch", branch}, {"role", role}});
}

void Trace::on_text(dsl::BranchNumber branch, std::string_view text) {
  write({{"event", "text"}, {"branch", branch}, {"text", text}});
}

void Trace::on_hole_start(const dsl::HoleEvent& hole) {
  const dsl::Source& source = program_.sources[hole.place.file];
  const dsl::Position place = source.position(hole.place.begin);
  write({{"event", "hole"},
         {"branch", hole.branch},
         {"path", hole.path},
         {"name", hole.name},
         {"file", source.name()},
         {"line", place.line},
         {"column", place.column}});
}

void Trace::on_drop(const dsl::HoleEvent& hole, const dsl::Drop& drop) {
  Json turns = Json::array();
  for (const dsl::DroppedTurn& one : drop.turns)
    turns.push_back({{"role", runtime::name(one.role)}, {"tokens", one.tokens}});
  write({{"event", "drop"},
         {"branch", hole.branch},
         {"path", hole.path},
         {"turns", std::move(turns)},
         {"prompt", drop.prompt},
         {"context", drop.context}});
}

void Trace::on_choice(const dsl::HoleEvent& hole, const dsl::TokenChoice& choice) {
  const grammar::Vocabulary& vocabulary = *model_.tokenizer->vocabulary();
  Json best = Json::array();
  for (const auto& [id, logprob] : choice.best) {
    if (!std::isfinite(logprob)) continue;  // fewer are allowed than were asked for
    best.push_back({{"id", id}, {"text", vocabulary.bytes(id)}, {"logprob", logprob}});
  }
  const std::lock_guard lock(mutex_);
  choice_[hole.branch] = {{"allowed", choice.allowed}, {"best", std::move(best)}};
}

void Trace::on_token(const dsl::HoleEvent& hole, TokenId token, std::string_view bytes,
                     bool forced) {
  Json event{{"event", "token"}, {"branch", hole.branch}, {"path", hole.path},
             {"id", token},      {"text", bytes},         {"forced", forced}};
  {
    const std::lock_guard lock(mutex_);
    if (const auto choice = choice_.find(hole.branch); choice != choice_.end()) {
      event.update(choice->second);
      choice_.erase(choice);
    }
  }
  write(std::move(event));
}

void Trace::on_cost(const dsl::HoleEvent& hole, const dsl::HoleCost& cost) {
  const std::lock_guard lock(mutex_);
  cost_[hole.branch] = cost;
}

void Trace::on_hole_end(const dsl::HoleEvent& hole, const dsl::Value& value) {
  Json event{{"event", "value"},
             {"branch", hole.branch},
             {"path", hole.path},
             {"value", dsl::to_json(value)}};
  if (const dsl::Origin* origin = value.origin(); origin != nullptr) {
    if (origin->p) event["p"] = *origin->p;
    if (choices_ && !origin->dist.empty()) {
      Json dist = Json::array();
      for (const auto& [choice, p] : origin->dist) dist.push_back({{"text", choice}, {"p", p}});
      event["dist"] = std::move(dist);
    }
    if (origin->truncated) event["truncated"] = true;
  }
  if (choices_) {
    const std::lock_guard lock(mutex_);
    if (const auto cost = cost_.find(hole.branch); cost != cost_.end()) {
      event["prompt"] = cost->second.prompt;
      event["found"] = cost->second.found;
      cost_.erase(cost);
    }
  }
  write(std::move(event));
}

void Trace::on_tool_start(dsl::BranchNumber branch, std::string_view tool, const Json& arguments) {
  write({{"event", "tool"}, {"branch", branch}, {"tool", tool}, {"arguments", arguments}});
}

void Trace::on_tool_end(dsl::BranchNumber branch, std::string_view tool, const Json& arguments,
                        const dsl::Value& value, std::string_view error) {
  Json event{{"event", "tool_end"}, {"branch", branch}, {"tool", tool}, {"arguments", arguments}};
  if (error.empty()) {
    event["value"] = dsl::to_json(value);
  } else {
    event["error"] = error;
  }
  write(std::move(event));
}

void Trace::on_retry(dsl::BranchNumber branch, std::string_view why) {
  write({{"event", "retry"}, {"branch", branch}, {"why", why}});
}

Result<std::unique_ptr<TraceFile>> TraceFile::open(const std::string& path, System& system) {
  ESP_ASSIGN(auto file, system.open(path, OpenMode::kTruncate));
  return std::unique_ptr<TraceFile>(new TraceFile(std::move(file), path.ends_with(".html")));
}

void TraceFile::append(const std::string& text) {
  if (failure_) return;
  if (auto status = file_->append(std::as_bytes(std::span(text.data(), text.size()))); !status)
    failure_ = std::move(status).error();
}

void TraceFile::add(Json event) {
  const std::lock_guard lock(mutex_);
  if (page_) {
    events_.push_back(std::move(event));
  } else {
    append(write_json(event) + "\n");
  }
}

Status TraceFile::finish() {
  const std::lock_guard lock(mutex_);
  if (page_) append(trace_page(events_));
  events_.clear();
  if (failure_) return fail(*failure_);
  return {};
}

}  // namespace espalier::cli
