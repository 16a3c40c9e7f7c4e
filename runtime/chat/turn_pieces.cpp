#include "runtime/chat/turn_pieces.h"

#include <algorithm>
#include <map>
#include <vector>

#include "runtime/chat/segments.h"

namespace espalier::runtime {
namespace {

using Roles = std::vector<Role>;
constexpr Role kSystem = Role::kSystem;
constexpr Role kUser = Role::kUser;
constexpr Role kAssistant = Role::kAssistant;
constexpr Role kTool = Role::kTool;

// The usual conversations first: where a template is not the same everywhere, they decide.
const std::vector<Roles>& probes() {
  static const std::vector<Roles> all = {
      {kUser},
      {kSystem, kUser},
      {kUser, kAssistant},
      {kSystem, kUser, kAssistant},
      {kUser, kAssistant, kUser},
      {kUser, kAssistant, kUser, kAssistant},
      {kSystem, kUser, kAssistant, kUser},
      {kSystem, kUser, kAssistant, kUser, kAssistant, kUser},
      {kUser, kAssistant, kTool},
      {kUser, kAssistant, kTool, kAssistant},
      {kUser, kAssistant, kTool, kAssistant, kUser},
      {kSystem, kUser, kAssistant, kTool, kAssistant, kUser, kAssistant},
      {kUser, kAssistant, kTool, kTool, kAssistant},
      {kUser, kAssistant, kTool, kAssistant, kUser, kAssistant, kTool, kAssistant},
      {kUser, kAssistant, kTool, kUser},
      {kUser, kUser},
      {kUser, kUser, kAssistant},
      {kUser, kAssistant, kAssistant},
      {kUser, kTool},
      {kUser, kTool, kAssistant},
      {kSystem},
      {kSystem, kSystem, kUser},
      {kSystem, kAssistant},
      {kSystem, kTool},
      {kAssistant},
      {kAssistant, kUser},
      {kTool},
      {kTool, kAssistant},
      {kUser, kSystem},
      {kUser, kSystem, kUser},
      {kUser, kAssistant, kSystem},
      {kUser, kAssistant, kSystem, kUser},
      {kUser, kAssistant, kTool, kSystem},
  };
  return all;
}

// A turn's text in a probe: one word, different in each turn.
std::string word(std::size_t turn) { return "text" + std::to_string(turn) + "word"; }

Json conversation_of(const Roles& roles) {
  Json messages = Json::array();
  for (std::size_t i = 0; i < roles.size(); ++i)
    messages.push_back({{"role", std::string(name(roles[i]))}, {"content", word(i)}});
  return messages;
}

std::string in_words(const Roles& roles) {
  std::string out;
  for (const Role role : roles) out += (out.empty() ? "" : ", ") + std::string(name(role));
  return out;
}

class Prober {
 public:
  Prober(const ConversationTemplate& conversation, const Tokenizer& tokenizer)
      : conversation_(conversation), tokenizer_(tokenizer) {}

  Result<TurnPieces> run() {
    for (const Roles& roles : probes()) {
      ESP_TRY(observe(roles));
      if (!endless_.empty()) return without_roles();
    }
    find_roles();
    find_results();
    find_closings();
    find_openings();
    for (const Role role : {kSystem, kUser, kAssistant, kTool}) find_form(role);
    check_laws();
    find_reasoning();
    return std::move(pieces_);
  }

 private:
  // A template that passes a probe's limits is given up at once.
  TurnPieces without_roles() const {
    TurnPieces none;
    for (TurnPieces::Turn& turn : none.turns)
      turn.refusal = "the model's chat template does not end: " + endless_;
    return none;
  }

  // What stands before each turn's text, and behind the last one.
  struct Observed {
    bool rendered = false;
    std::string refusal;
    bool in_order = false;             // each text once, whole, in order
    std::vector<std::size_t> missing;  // turns whose text is nowhere
    std::vector<Segments> joins;       // one more than turns, where in_order
    Segments generation_end;           // the last one, with the generation prompt
    Segments whole;
  };

  Result<Observed> render(const Roles& roles, bool generation) {
    Observed seen;
    const auto text =
        conversation_.render(conversation_of(roles), Json(), generation, kProbeLimits);
    if (!text) {
      seen.refusal = text.error().message;
      if (text.error().code == ErrorCode::kLimit) endless_ = seen.refusal;
      return seen;
    }
    seen.rendered = true;
    ESP_ASSIGN(seen.whole, segments_of(*text, tokenizer_));
    // Pieces of the template between the pieces of the turns.
    std::vector<jinja::Text> between(1);
    std::vector<std::size_t> order;
    seen.in_order = true;
    std::size_t begin = 0;
    for (const jinja::Run& run : text->runs) {
      const auto bytes = std::string_view(text->bytes).substr(begin, run.end - begin);
      begin = run.end;
      if (run.origin == jinja::kTemplate || run.origin == ConversationTemplate::kTools) {
        between.back().append(bytes, run.origin);
        continue;
      }
      const std::size_t turn = run.origin - 1;
      if (turn >= roles.size() || bytes != word(turn)) seen.in_order = false;
      order.push_back(turn);
      between.emplace_back();
    }
    for (std::size_t i = 0; i < roles.size(); ++i) {
      if (std::find(order.begin(), order.end(), i) == order.end()) seen.missing.push_back(i);
    }
    seen.in_order = seen.in_order && order.size() == roles.size() &&
                    std::is_sorted(order.begin(), order.end()) && seen.missing.empty();
    if (!seen.in_order) return seen;
    for (const jinja::Text& piece : between) {
      ESP_ASSIGN(seen.joins.emplace_back(), segments_of(piece, tokenizer_));
    }
    if (tokenizer_.add_bos() && tokenizer_.bos() != kNoToken &&
        (seen.joins.front().empty() || seen.joins.front().front().control != tokenizer_.bos()))
      seen.joins.front().insert(seen.joins.front().begin(), {tokenizer_.bos(), ""});
    return seen;
  }

  Status observe(const Roles& roles) {
    ESP_ASSIGN(Observed plain, render(roles, false));
    if (plain.in_order) {
      ESP_ASSIGN(const Observed generating, render(roles, true));
      plain.generation_end = generating.in_order ? generating.joins.back() : plain.joins.back();
    }
    observed_.emplace_back(roles, std::move(plain));
    return {};
  }

  TurnPieces::Turn& turn(Role role) { return pieces_.turns[static_cast<std::size_t>(role)]; }
  TurnPieces::Pair& pair(Role previous, Role next) {
    return pieces_.pairs[static_cast<std::size_t>(previous)][static_cast<std::size_t>(next)];
  }
  // The first conversation in order in which `next` follows `previous` (nothing: in which it is the
  // first turn).
  const Segments* join(std::optional<Role> previous, Role next) const {
    for (const auto& [roles, seen] : observed_) {
      if (!seen.in_order) continue;
      for (std::size_t i = 0; i < roles.size(); ++i) {
        if (roles[i] != next || (previous.has_value() != (i > 0)) ||
            (i > 0 && roles[i - 1] != *previous))
          continue;
        return &seen.joins[i];
      }
    }
    return nullptr;
  }

  void find_roles() {
    for (const Role role : {kSystem, kUser, kAssistant, kTool}) {
      auto& it = turn(role);
      bool dropped = false;
      for (const auto& [roles, seen] : observed_) {
        const auto place = std::find(roles.begin(), roles.end(), role);
        if (place == roles.end()) continue;
        if (seen.in_order) it.supported = true;
        const auto index = static_cast<std::size_t>(place - roles.begin());
        dropped = dropped ||
                  std::find(seen.missing.begin(), seen.missing.end(), index) != seen.missing.end();
        if (!seen.rendered && it.refusal.empty() && roles.size() <= 3) it.refusal = seen.refusal;
      }
      const std::string role_name = "'" + std::string(name(role)) + "'";
      if (it.supported)
        it.refusal.clear();
      else if (dropped)
        it.refusal = "the model's chat template drops turns of the role " + role_name;
      else if (it.refusal.empty())
        it.refusal = "the model's chat template changes the texts of the role " + role_name;
      else
        it.refusal = "the model's chat template refuses the role " + role_name + ": " + it.refusal;
    }
    for (const Role role : {kSystem, kUser, kAssistant, kTool}) {
      auto& it = turn(role);
      if (join(std::nullopt, role) != nullptr) continue;
      for (const auto& [roles, seen] : observed_) {
        if (roles.front() != role || seen.rendered) continue;
        it.not_first = seen.refusal;
        break;
      }
      if (it.not_first.empty()) it.not_first = "its text would be dropped or moved";
    }
    for (const Role previous : {kSystem, kUser, kAssistant, kTool}) {
      for (const Role next : {kSystem, kUser, kAssistant, kTool}) {
        auto& it = pair(previous, next);
        it.known = join(previous, next) != nullptr;
        if (it.known) continue;
        for (const auto& [roles, seen] : observed_) {
          if (roles.size() < 2 || seen.in_order || roles[roles.size() - 2] != previous ||
              roles.back() != next)
            continue;
          it.refusal = seen.rendered ? "its text would be dropped or moved" : seen.refusal;
          break;
        }
        if (it.refusal.empty()) it.refusal = "the two are never written one after the other";
      }
    }
  }

  // A template may take a result only behind the call that it answers, or name that call: such a
  // conversation is written anew with each turn, and what is asked here is where a result may stand
  // and what is done to its text. Calls are made where tools are declared; where none are, results
  // stay as they are.
  void find_results() {
    auto& it = turn(kTool);
    for (const bool as_text : {false, true}) {
      if (it.supported) break;
      for (const Roles& roles :
           {Roles{kUser, kAssistant, kTool}, Roles{kUser, kAssistant, kTool, kAssistant},
            Roles{kUser, kAssistant, kTool, kUser}, Roles{kUser, kAssistant, kTool, kTool}}) {
        const std::string text = with_calls(roles, as_text, 0);
        if (text.find(word(2)) == std::string::npos ||
            text.find(word(roles.size() - 1)) == std::string::npos)
          continue;
        it.supported = pair(kAssistant, kTool).known = true;
        pair(roles[roles.size() - 2], roles.back()).known = true;
      }
      if (!it.supported) continue;
      it.refusal.clear();
      const Roles shortest{kUser, kAssistant, kTool};
      const std::string around = with_calls(shortest, as_text, 0);
      const std::size_t at = around.find(word(2));
      const std::size_t behind = around.size() - at - word(2).size();
      set_form(kTool, [&](const std::string& content) {
        const std::string text = with_calls(shortest, as_text, 0, content);
        return text.size() < at + behind ? std::string()
                                         : text.substr(at, text.size() - at - behind);
      });
      refuse_increments("a tool's result stands behind the call that it answers alone");
    }
    if (!it.supported || conversation_.tools.empty()) return;
    for (const bool as_text : {false, true}) {
      const std::string first = with_calls({kUser, kAssistant, kTool}, as_text, 0);
      const std::string second = with_calls({kUser, kAssistant, kTool}, as_text, 1);
      if (!first.empty() && !second.empty() && first != second)
        refuse_increments("a tool's result names the call that it answers");
    }
  }

  // A conversation in which the assistant turn before a result is two calls, and the results answer
  // them from that number on; the first one's text may be given. Empty where it is refused.
  std::string with_calls(const Roles& roles, bool as_text, std::size_t answered,
                         const std::optional<std::string>& content = std::nullopt) const {
    const auto id = [](std::size_t i) { return "probe0id" + std::to_string(i % 2); };
    Json messages = conversation_of(roles);
    if (content) messages[2]["content"] = *content;
    for (std::size_t i = 0; i < roles.size(); ++i) {
      if (roles[i] == kTool) {
        messages[i]["tool_call_id"] = id(answered++);
        messages[i]["name"] = "probe";
      }
      if (i + 1 == roles.size() || roles[i] != kAssistant || roles[i + 1] != kTool) continue;
      messages[i]["content"] = nullptr;
      for (std::size_t call = 0; call < 2; ++call)
        messages[i]["tool_calls"].push_back(
            {{"type", "function"},
             {"id", id(call)},
             {"function",
              {{"name", "probe"}, {"arguments", as_text ? Json("{}") : Json::object()}}}});
    }
    const auto text = conversation_.render(messages, Json(), false, kProbeLimits);
    return text ? text->bytes : "";
  }

  // What always follows a turn's text, whatever comes next.
  void find_closings() {
    for (const Role role : {kSystem, kUser, kAssistant, kTool}) {
      std::optional<Segments> close;
      const auto take = [&](const Segments& following) {
        close = close ? common_prefix(*close, following) : following;
      };
      for (const Role next : {kSystem, kUser, kAssistant, kTool}) {
        if (const Segments* following = join(role, next)) take(*following);
      }
      for (const auto& [roles, seen] : observed_) {
        if (!seen.in_order || roles.back() != role) continue;
        take(seen.joins.back());
        break;
      }
      turn(role).close = close.value_or(Segments());
    }
  }

  void find_openings() {
    for (const Role next : {kSystem, kUser, kAssistant, kTool}) {
      for (const Role previous : {kSystem, kUser, kAssistant, kTool}) {
        const Segments* between = join(previous, next);
        if (between == nullptr) continue;
        pair(previous, next).open =
            without_prefix(*between, turn(previous).close).value_or(Segments());
      }
      const Segments* start = join(std::nullopt, next);
      if (start == nullptr) continue;
      auto& it = turn(next);
      it.first = *start;
      // What is there in later turns as well is the opening; what it stands behind is the
      // beginning.
      for (const Role previous : {kAssistant, kTool, kUser, kSystem}) {
        const auto& later = pair(previous, next);
        if (!later.known) continue;
        if (const auto before = without_suffix(*start, later.open)) {
          it.begin = *before;
          it.first = later.open;
          break;
        }
      }
    }
    // An assistant turn's opening against the generation prompt.
    for (const Role previous : {kUser, kTool}) {
      auto& it = pair(previous, kAssistant);
      if (!it.known) continue;
      for (const auto& [roles, seen] : observed_) {
        if (!seen.in_order || roles.back() != previous) continue;
        const auto prompt = without_prefix(seen.generation_end, turn(previous).close);
        if (!prompt || without_prefix(it.open, *prompt)) break;  // the opening begins with it
        if (auto more = without_prefix(*prompt, it.open)) {
          if (previous == kUser) pieces_.generation_suffix = std::move(*more);
        } else {
          it.open = *prompt;
          refuse_increments("what follows a message of the role '" + std::string(name(previous)) +
                            "' differs between the generation prompt and a finished reply");
        }
        break;
      }
    }
  }

  void find_form(Role role) {
    auto& it = turn(role);
    if (!it.supported) return;
    for (const auto& [observed_roles, seen] : observed_) {
      const auto& roles = observed_roles;  // clang 14 captures no structured bindings
      const auto place = std::find(roles.begin(), roles.end(), role);
      if (!seen.in_order || place == roles.end()) continue;
      const auto index = static_cast<std::size_t>(place - roles.begin());
      const auto written = [&](const std::string& content) {
        Json messages = conversation_of(roles);
        messages[index]["content"] = content;
        const auto text = conversation_.render(messages, Json(), false, kProbeLimits);
        std::string out;
        std::size_t begin = 0;
        if (text) {
          for (const jinja::Run& run : text->runs) {
            if (run.origin == index + 1) out += text->bytes.substr(begin, run.end - begin);
            begin = run.end;
          }
        }
        return out;
      };
      set_form(role, written);
      return;
    }
  }

  // What is done to a text, by what is `written` of some.
  template <class Written>
  void set_form(Role role, const Written& written) {
    auto& it = turn(role);
    const std::string spaced = " \n a\tb \n";
    const std::string quoted = "a\"b\\c\nd";
    if (written(quoted) == "a\\\"b\\\\c\\nd" && written(spaced) == " \\n a\\tb \\n") {
      it.form = TextForm::kJson;
    } else if (written(quoted) == quoted && written(spaced) == "a\tb") {
      it.form = TextForm::kTrimmed;
    } else if (written(quoted) != quoted || written(spaced) != spaced) {
      it.supported = false;
      it.refusal = "the model's chat template changes the texts of the role '" +
                   std::string(name(role)) + "'";
    }
  }

  void refuse_increments(std::string why) {
    if (pieces_.not_incremental.empty()) pieces_.not_incremental = std::move(why);
  }

  // The pieces must give every conversation that the template gives, and a longer one must begin
  // with what a shorter one is.
  void check_laws() {
    for (const auto& [roles, seen] : observed_) {
      if (!seen.rendered) continue;
      // A system turn in the middle is nobody's usual conversation.
      if (std::count(roles.begin() + 1, roles.end(), kSystem) != 0) continue;
      const bool possible =
          std::all_of(roles.begin(), roles.end(), [&](Role role) { return turn(role).supported; });
      if (!possible) continue;
      // A system text that waits for the first user turn.
      if (roles.back() == kSystem && seen.missing == std::vector<std::size_t>{roles.size() - 1})
        continue;
      if (!seen.in_order) {
        // Where a pair is refused, so is the conversation.
        bool allowed = true;
        for (std::size_t i = 1; i < roles.size(); ++i)
          allowed = allowed && pair(roles[i - 1], roles[i]).known;
        if (allowed)
          refuse_increments("a text moves, changes or goes when a turn is added (" +
                            in_words(roles) + ")");
        continue;
      }
      for (std::size_t i = 0; i < roles.size(); ++i) {
        Segments wanted = i == 0 ? turn(roles[0]).begin : turn(roles[i - 1]).close;
        append(wanted, i == 0 ? turn(roles[0]).first : pair(roles[i - 1], roles[i]).open);
        if (wanted == seen.joins[i]) continue;
        refuse_increments("what stands before a turn of the role '" + std::string(name(roles[i])) +
                          "' depends on more than the turn before it (" + in_words(roles) + ")");
      }
      if (!without_prefix(seen.joins.back(), turn(roles.back()).close))
        refuse_increments("what ends a turn of the role '" + std::string(name(roles.back())) +
                          "' changes when a turn is added");
    }
  }

  void find_reasoning() {
    Json messages = conversation_of({kUser, kAssistant, kUser});
    messages[1]["content"] = "<think>\nsecret\n</think>\n\nword";
    const auto text = conversation_.render(messages, Json(), false, kProbeLimits);
    pieces_.drops_reasoning = text && text->bytes.find("secret") == std::string::npos;
  }

  const ConversationTemplate& conversation_;
  const Tokenizer& tokenizer_;
  std::vector<std::pair<Roles, Observed>> observed_;
  TurnPieces pieces_;
  std::string endless_;
};

}  // namespace

Result<TurnPieces> find_pieces(const ConversationTemplate& conversation,
                               const Tokenizer& tokenizer) {
  return Prober(conversation, tokenizer).run();
}

}  // namespace espalier::runtime
