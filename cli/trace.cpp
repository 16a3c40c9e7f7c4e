#include "cli/trace.h"

#include <span>
#include <utility>

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

Result<std::unique_ptr<Trace>> Trace::open(const std::string& path, dsl::ModelParts model,
                                           System& system) {
  ESP_ASSIGN(auto file, system.open(path, OpenMode::kTruncate));
  return std::unique_ptr<Trace>(new Trace(std::move(file), std::move(model)));
}

void Trace::write(const Json& event) {
  const std::string line = write_json(event) + "\n";
  const std::lock_guard lock(mutex_);
  if (failure_) return;
  if (auto status = file_->append(std::as_bytes(std::span(line.data(), line.size()))); !status) {
    failure_ = std::move(status).error();
  }
}

Status Trace::finish() {
  const std::lock_guard lock(mutex_);
  if (failure_) return fail(*failure_);
  return {};
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
  write({{"event", "hole"}, {"branch", hole.branch}, {"path", hole.path}, {"name", hole.name}});
}

void Trace::on_token(const dsl::HoleEvent& hole, TokenId token, std::string_view bytes,
                     bool forced) {
  write({{"event", "token"},
         {"branch", hole.branch},
         {"path", hole.path},
         {"id", token},
         {"text", bytes},
         {"forced", forced}});
}

void Trace::on_hole_end(const dsl::HoleEvent& hole, const dsl::Value& value) {
  Json event{{"event", "value"},
             {"branch", hole.branch},
             {"path", hole.path},
             {"value", dsl::to_json(value)}};
  if (const dsl::Origin* origin = value.origin(); origin != nullptr) {
    if (origin->p) event["p"] = *origin->p;
    if (origin->truncated) event["truncated"] = true;
  }
  write(event);
}

void Trace::on_tool_start(dsl::BranchNumber branch, std::string_view tool, const Json& arguments) {
  write({{"event", "tool"}, {"branch", branch}, {"tool", tool}, {"arguments", arguments}});
}

void Trace::on_tool_end(dsl::BranchNumber branch, std::string_view tool, const dsl::Value& value,
                        std::string_view error) {
  Json event{{"event", "tool_end"}, {"branch", branch}, {"tool", tool}};
  if (error.empty()) {
    event["value"] = dsl::to_json(value);
  } else {
    event["error"] = error;
  }
  write(event);
}

void Trace::on_retry(dsl::BranchNumber branch, std::string_view why) {
  write({{"event", "retry"}, {"branch", branch}, {"why", why}});
}

}  // namespace espalier::cli
