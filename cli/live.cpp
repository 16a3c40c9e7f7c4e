#include "cli/live.h"

#include <ostream>

#include "cli/characters.h"
#include "grammar/json_text.h"

namespace espalier::cli {
namespace {

constexpr std::size_t kShownText = 600;   // of one text of the program
constexpr std::size_t kShownValue = 200;  // of a tool's arguments or result

std::string cut(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return std::string(text);
  return std::string(text.substr(0, whole_characters(text.substr(0, limit)))) + " … (" +
         std::to_string(text.size()) + " bytes)";
}

}  // namespace

void LiveView::write(Style style, std::string_view text) {
  if (text.empty()) return;
  console_.err() << console_.styled(style, printable(text)) << std::flush;
  line_open_ = !text.ends_with('\n');
}

void LiveView::fresh_line() {
  if (line_open_) console_.err() << '\n';
  line_open_ = false;
}

void LiveView::on_turn(dsl::BranchNumber branch, std::string_view role) {
  if (branch != 0) return;
  const std::lock_guard lock(mutex_);
  fresh_line();
  if (!role.empty()) write(Style::kCyan, std::string(role) + ": ");
}

void LiveView::on_text(dsl::BranchNumber branch, std::string_view text) {
  if (branch != 0) return;
  const std::lock_guard lock(mutex_);
  write(Style::kDim, cut(text, kShownText));
}

void LiveView::on_drop(const dsl::HoleEvent& hole, const dsl::Drop& drop) {
  if (hole.branch != 0) return;
  const std::lock_guard lock(mutex_);
  fresh_line();
  write(Style::kYellow, std::to_string(drop.turns.size()) +
                            " turns dropped: the prompt had outgrown the context of " +
                            std::to_string(drop.context) + " tokens\n");
}

void LiveView::on_token(const dsl::HoleEvent& hole, TokenId /*token*/, std::string_view bytes,
                        bool /*forced*/) {
  if (hole.branch != 0) return;
  const std::lock_guard lock(mutex_);
  pending_ += bytes;
  const std::size_t whole = whole_characters(pending_);
  write(Style::kGreen, std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
}

void LiveView::on_tool_start(dsl::BranchNumber /*branch*/, std::string_view tool,
                             const Json& arguments) {
  const std::lock_guard lock(mutex_);
  fresh_line();
  write(Style::kYellow, std::string(tool) + " " + cut(write_json(arguments), kShownValue) + "\n");
}

void LiveView::on_tool_end(dsl::BranchNumber /*branch*/, std::string_view tool,
                           const Json& /*arguments*/, const dsl::Value& value,
                           std::string_view error) {
  const std::lock_guard lock(mutex_);
  fresh_line();
  if (error.empty()) {
    write(Style::kYellow,
          std::string(tool) + " -> " + cut(write_json(dsl::to_json(value)), kShownValue) + "\n");
  } else {
    write(Style::kRed, cut(error, kShownValue) + "\n");
  }
}

void LiveView::on_retry(dsl::BranchNumber /*branch*/, std::string_view why) {
  const std::lock_guard lock(mutex_);
  fresh_line();
  write(Style::kYellow, "again: " + cut(why, kShownValue) + "\n");
}

void LiveView::finish() {
  const std::lock_guard lock(mutex_);
  fresh_line();
}

}  // namespace espalier::cli
