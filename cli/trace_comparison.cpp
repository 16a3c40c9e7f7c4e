#include "cli/trace_comparison.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "grammar/json_text.h"

namespace espalier::cli {
namespace {

std::int64_t number_of(const Json& event, const char* key) {
  const auto at = event.find(key);
  return at != event.end() && at->is_number_integer() ? at->get<std::int64_t>() : -1;
}

bool counts(const std::string& kind) {
  return kind == "token" || kind == "text" || kind == "retry" || kind == "turn" ||
         kind == "template" || kind == "hole";
}

// The branches of a trace by how they came about: "0", "0.1" the second that 0 opened, …
class Branches {
 public:
  /// To be called for each event in order. The name of the event's branch.
  const std::string& name(const Json& event) {
    const std::int64_t branch = number_of(event, "branch");
    if (event_text(event, "event") == "branch") {
      const std::int64_t parent = number_of(event, "parent");
      const std::string opened = names_.try_emplace(parent, std::to_string(parent)).first->second +
                                 "." + std::to_string(children_[parent]++);
      names_[branch] = opened;
    }
    return names_.try_emplace(branch, std::to_string(branch)).first->second;
  }

 private:
  std::map<std::int64_t, std::string> names_;
  std::map<std::int64_t, std::size_t> children_;
};

// What a branch has shown so far of the hole that it is in.
struct Hole {
  std::string path, place, text;
  std::size_t tokens = 0;

  void begin(const Json& event) {
    path = event_text(event, "path");
    place = event_text(event, "file") + ":" + std::to_string(number_of(event, "line")) + ":" +
            std::to_string(number_of(event, "column"));
    text.clear();
    tokens = 0;
  }
};

bool same(const Json& a, const Json& b) {
  const std::string kind = event_text(a, "event");
  if (kind != event_text(b, "event")) return false;
  if (kind == "token") return number_of(a, "id") == number_of(b, "id");
  if (kind == "hole") return event_text(a, "path") == event_text(b, "path");
  if (kind == "turn") return event_text(a, "role") == event_text(b, "role");
  if (kind == "retry") return event_text(a, "why") == event_text(b, "why");
  return event_text(a, "text") == event_text(b, "text");
}

std::string shown(const Json* event) {
  if (event == nullptr) return {};
  const std::string kind = event_text(*event, "event");
  if (kind == "turn") return event_text(*event, "role");
  if (kind == "retry") return event_text(*event, "why");
  if (kind == "hole") return "the hole " + event_text(*event, "path");
  return event_text(*event, "text");
}

TraceDifference difference(const Hole& hole, const Json* before, const Json* now) {
  TraceDifference out;
  const auto token = [](const Json* event) {
    return event != nullptr && event_text(*event, "event") == "token";
  };
  out.token = token(before) || token(now);
  out.path = hole.path;
  out.place = hole.place;
  out.index = hole.tokens;
  if (token(before)) out.before_id = number_of(*before, "id");
  if (token(now)) out.now_id = number_of(*now, "id");
  const std::string so_far = out.token ? hole.text : "";
  out.before = so_far + (out.token && !token(before) ? "" : shown(before));
  out.now = so_far + (out.token && !token(now) ? "" : shown(now));
  return out;
}

}  // namespace

std::string event_text(const Json& event, const char* key) {
  const auto at = event.find(key);
  return at != event.end() && at->is_string() ? at->get<std::string>() : std::string();
}

Result<TraceEvents> read_trace(const std::string& text) {
  TraceEvents out;
  std::size_t line = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    ++line;
    const std::string_view one = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    if (one.empty()) continue;
    auto event = read_json(one);
    if (!event) return fail(std::move(event).error().within("line " + std::to_string(line)));
    if (!event->is_object() || event_text(*event, "event").empty())
      return fail(ErrorCode::kInvalid, "line " + std::to_string(line) + " is no event of a trace");
    out.push_back(std::move(*event));
  }
  return out;
}

TraceCounts count(const TraceEvents& events) {
  TraceCounts out;
  for (const Json& event : events) {
    const std::string kind = event_text(event, "event");
    out.tokens += kind == "token" ? 1 : 0;
    out.holes += kind == "hole" ? 1 : 0;
  }
  return out;
}

std::optional<TraceDifference> first_difference(const TraceEvents& before, const TraceEvents& now) {
  std::map<std::string, std::vector<const Json*>> theirs;  // by branch
  Branches their_branches;
  for (const Json& event : now) {
    const std::string& branch = their_branches.name(event);
    if (counts(event_text(event, "event"))) theirs[branch].push_back(&event);
  }
  struct Branch {
    Hole hole;
    std::size_t next = 0;  // of theirs
  };
  std::map<std::string, Branch> ours;
  Branches branches;
  for (const Json& event : before) {
    const std::string& name = branches.name(event);
    const std::string kind = event_text(event, "event");
    if (!counts(kind)) continue;
    Branch& branch = ours[name];
    const std::vector<const Json*>& other = theirs[name];
    const Json* there = branch.next < other.size() ? other[branch.next] : nullptr;
    ++branch.next;
    if (there == nullptr || !same(event, *there)) return difference(branch.hole, &event, there);
    if (kind == "hole") branch.hole.begin(event);
    if (kind == "token") {
      branch.hole.text += event_text(event, "text");
      ++branch.hole.tokens;
    }
  }
  // What is only there now.
  for (const auto& [name, events] : theirs) {
    Branch& branch = ours[name];
    if (branch.next < events.size()) return difference(branch.hole, nullptr, events[branch.next]);
  }
  return std::nullopt;
}

}  // namespace espalier::cli
