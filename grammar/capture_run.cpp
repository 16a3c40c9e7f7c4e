#include "grammar/capture_run.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/utf8.h"
#include "grammar/json_prefix.h"

namespace espalier::grammar {
namespace {

std::optional<Json> number(std::string_view text, bool integers) {
  if (integers && text.find_first_of(".eE") == std::string_view::npos) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return Json(value);
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end == text.data() || error == std::errc::invalid_argument) return std::nullopt;
  return Json(value);
}

}  // namespace

CaptureRun::CaptureRun(Automaton& automaton, std::string_view prefix)
    : automaton_(automaton), prefix_(prefix.size()) {
  ++steps_;
  add(automaton_.start_position(prefix), 0, 0, false, threads_);
}

void CaptureRun::add(PositionId from, std::uint32_t events, std::uint32_t end, bool only_follow,
                     std::vector<Thread>& out) {
  const auto [it, fresh] = expansions_.try_emplace(from);
  if (fresh) automaton_.expand(from, it->second);
  const bool follows = !automaton_.program().follow().empty();
  for (const Automaton::Reached& reached : it->second) {
    PositionId item = reached.item;
    const bool in_follow = item == Automaton::kDone || automaton_.is_follow(item);
    if (only_follow && !in_follow) continue;
    std::uint32_t newest = events;
    std::uint32_t ended = end;
    if (item == Automaton::kValueEnd) {
      ended = static_cast<std::uint32_t>(text_.size());
      if (follows) {
        if (automaton_.program().follow_first_wins() &&
            !automaton_.program().follow_may_start(scan_))
          continue;
        item = automaton_.follow_position(0);
      }
    }
    if (seen_.size() <= item) seen_.resize(item + 1, 0);
    if (seen_[item] == steps_) continue;
    seen_[item] = steps_;
    for (const CaptureEvent& event : reached.events) {
      log_.push_back({event, static_cast<std::uint32_t>(text_.size()), newest});
      newest = static_cast<std::uint32_t>(log_.size());
    }
    out.push_back({item, newest, ended});
  }
}

void CaptureRun::read(std::string_view text) {
  std::vector<Thread> next;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    bool follow_matched = false;
    if (prefix_ > 0) {
      --prefix_;
    } else {
      text_ += c;
      if (automaton_.program().follow_first_wins()) {
        scan_ = automaton_.program().follow_step(scan_, byte);
        follow_matched = scan_ == automaton_.program().follow().size();
      }
    }
    next.clear();
    ++steps_;
    for (const Thread& thread : threads_) {
      if (const auto to = automaton_.read(thread.item, byte)) {
        add(*to, thread.events, thread.end, follow_matched, next);
      }
    }
    threads_.swap(next);
  }
}

Json CaptureRun::value() {
  const Thread* best = nullptr;
  const auto rank = [&](const Thread& t) -> std::int64_t {
    if (t.item == Automaton::kDone) return INT64_MAX;
    if (automaton_.is_follow(t.item)) return automaton_.progress(t.item);
    return t.item == Automaton::kValueEnd ? 0 : -1;
  };
  for (const Thread& t : threads_) {
    if (rank(t) >= 0 && (best == nullptr || rank(t) > rank(*best))) best = &t;
  }
  return best == nullptr ? Json() : build(*best, best->end, false);
}

Json CaptureRun::partial() {
  if (const Json complete = value(); !complete.is_null()) return complete;
  if (threads_.empty()) return {};
  return build(threads_.front(), static_cast<std::uint32_t>(text_.size()), true);
}

Json CaptureRun::build(const Thread& thread, std::uint32_t text_end, bool open) {
  struct Value {
    const CaptureInfo* info = nullptr;  // none: the whole hole
    std::uint32_t begin = 0;
    Json made;
    bool has = false;
    std::string key;
  };
  std::vector<Value> stack(1);
  const auto deliver = [&](Json value) {
    Value& to = stack.back();
    if (to.info == nullptr || to.info->kind == Capture::kField) {
      to.made = std::move(value);
      to.has = true;
    } else if (to.info->kind == Capture::kArray) {
      to.made.push_back(std::move(value));
    } else if (to.info->kind == Capture::kObject) {
      to.made[to.key] = std::move(value);
    }
  };
  const auto close = [&](std::uint32_t at, bool cut) {
    Value done = std::move(stack.back());
    stack.pop_back();
    const std::string_view text = std::string_view(text_).substr(done.begin, at - done.begin);
    switch (done.info->kind) {
      case Capture::kObject:
      case Capture::kArray:
        deliver(std::move(done.made));
        break;
      case Capture::kField: {
        if (cut && !done.has) break;
        Json value = done.has ? std::move(done.made) : Json(std::string(text));
        // A field right inside a field is a pattern's group inside a group: both are the object's.
        std::size_t holder = stack.size() - 1;
        while (stack[holder].info != nullptr && stack[holder].info->kind == Capture::kField)
          --holder;
        if (stack[holder].info != nullptr && stack[holder].info->kind == Capture::kObject) {
          stack[holder].made[done.info->name] = std::move(value);
        }
        break;
      }
      case Capture::kKey:
        if (!cut) stack.back().key = decode_json_string(text);
        break;
      case Capture::kText: {
        const std::size_t malformed = cut ? utf8::find_malformed(text) : std::string_view::npos;
        deliver(std::string(text.substr(0, malformed)));
        break;
      }
      case Capture::kJsonString:
        deliver(decode_json_string(text));
        break;
      case Capture::kInteger:
      case Capture::kNumber:
      case Capture::kFloat:
        if (cut) break;  // more digits would make it another number
        if (auto value = number(text, done.info->kind != Capture::kFloat))
          deliver(std::move(*value));
        break;
      case Capture::kConstant:
        if (!cut) deliver(done.info->constant);
        break;
      case Capture::kJson:
        if (cut && !text.empty() && text[0] != '{' && text[0] != '[' && text[0] != '"') break;
        if (Json value = json_prefix(text); !cut || !value.is_null()) deliver(std::move(value));
        break;
      case Capture::kTable: {
        const auto found = done.info->constant.find(std::string(text));
        if (!cut && found != done.info->constant.end()) deliver(*found);
        break;
      }
    }
  };
  std::vector<std::uint32_t> order;
  for (std::uint32_t e = thread.events; e != 0; e = log_[e - 1].before) order.push_back(e);
  std::reverse(order.begin(), order.end());
  for (const std::uint32_t e : order) {
    const Logged& logged = log_[e - 1];
    if (!logged.event.begin) {
      close(logged.at, false);
      continue;
    }
    Value value;
    value.info = &automaton_.program().pool().capture_of(Expr{logged.event.capture});
    value.begin = logged.at;
    if (value.info->kind == Capture::kObject) value.made = Json::object();
    if (value.info->kind == Capture::kArray) value.made = Json::array();
    stack.push_back(std::move(value));
  }
  while (open && stack.size() > 1) close(text_end, true);
  if (stack[0].has) return std::move(stack[0].made);
  const std::string_view text = std::string_view(text_).substr(0, text_end);
  if (open && !order.empty()) return {};
  return std::string(open ? text.substr(0, utf8::find_malformed(text)) : text);
}

}  // namespace espalier::grammar
