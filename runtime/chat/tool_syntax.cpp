#include "runtime/chat/tool_syntax.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/ascii.h"
#include "grammar/json_text.h"

namespace espalier::runtime {
namespace {

struct Row {
  std::string_view family;
  ToolSyntax::Form form;
};

constexpr ToolSyntax::Form kHermes{.prefix = "<tool_call>\n",
                                   .suffix = "\n</tool_call>",
                                   .separator = "\n",
                                   .name_key = "name",
                                   .arguments_key = "arguments"};
constexpr Row kRows[] = {
    {"hermes", kHermes},
    {"qwen2.5", kHermes},
    {"qwen3", kHermes},
    {"llama-3.x", {.name_key = "name", .arguments_key = "parameters", .several = false}},
    {"mistral",
     {.begin = "[TOOL_CALLS][",
      .separator = ", ",
      .end = "]",
      .name_key = "name",
      .arguments_key = "arguments",
      .id_key = "id",
      .id_size = 9}},
    {"firefunction-v2",
     {.begin = " functools[",
      .separator = ", ",
      .end = "]",
      .name_key = "name",
      .arguments_key = "arguments"}},
    {"functionary-v3.1", {.name_prefix = "<function=", .prefix = ">", .suffix = "</function>"}},
    {"functionary-v3.2", {.name_prefix = ">>>", .prefix = "\n"}},
    {"command-r",
     {.begin = "\nAction:\n```json\n[\n",
      .separator = ",\n",
      .end = "\n]```\n",
      .name_key = "tool_name",
      .arguments_key = "parameters"}},
    {"command-r7b",
     {.begin = "<|START_ACTION|>[\n",
      .prefix = "    ",
      .separator = ",\n",
      .end = "\n]<|END_ACTION|>",
      .name_key = "tool_name",
      .arguments_key = "parameters",
      .id_key = "tool_call_id",
      .id_first = true}},
    {"deepseek-r1",
     {.begin = "<｜tool▁calls▁begin｜>",
      .name_prefix = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
      .prefix = "\n```json\n",
      .suffix = "\n```<｜tool▁call▁end｜>",
      .separator = "\n",
      .end = "<｜tool▁calls▁end｜>"}},
    {"granite",
     {.begin = "<|tool_call|>[",
      .separator = ", ",
      .end = "]",
      .name_key = "name",
      .arguments_key = "arguments"}},
};

// The end of the JSON value that starts at text[at): brackets outside of strings are counted. npos
// where it is not whole.
std::size_t json_end(std::string_view text, std::size_t at) {
  std::size_t depth = 0;
  bool in_string = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\')
        ++at;
      else if (c == '"')
        in_string = false;
      continue;
    }
    if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > jinja::kMaxDataNesting) return std::string_view::npos;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return std::string_view::npos;
      if (--depth == 0) return at + 1;
    }
  }
  return std::string_view::npos;
}

class TableSyntax final : public ToolSyntax {
 public:
  TableSyntax(const Form& form, bool definitions, bool calls, bool results, bool as_text,
              std::string_view text_before)
      : form_(form),
        definitions_(definitions),
        calls_(calls),
        results_(results),
        as_text_(as_text),
        text_before_(text_before) {}

  const Form& form() const override { return form_; }
  bool writes_definitions() const override { return definitions_; }
  bool writes_calls() const override { return calls_; }
  bool writes_results() const override { return results_; }
  bool arguments_as_text() const override { return as_text_; }

  std::string_view text_before_calls() const override { return text_before_; }

  Result<AssistantTurn> parse(std::string_view turn) const override {
    AssistantTurn out;
    std::size_t at = begin_of_calls(turn);
    if (at == std::string_view::npos) {
      out.text = turn;
      return out;
    }
    out.text = turn.substr(0, at);
    at += trimmed(form_.begin).size();
    const auto end = trimmed(form_.end);
    while (true) {
      while (at < turn.size() &&
             std::string_view(" \t\r\n,;").find(turn[at]) != std::string_view::npos)
        ++at;
      if (at >= turn.size()) {
        if (!end.empty()) return incomplete(at);
        break;
      }
      if (!end.empty() && turn.substr(at).starts_with(end)) break;
      if (!turn.substr(at).starts_with(trimmed(lead()))) {
        if (end.empty()) break;  // text behind the calls
        return incomplete(at);
      }
      ESP_ASSIGN(ToolCall call, one_call(turn, at));
      out.calls.push_back(std::move(call));
    }
    return out;
  }

  Json message(const std::vector<ToolCall>& calls) const override {
    Json list = Json::array();
    for (const ToolCall& call : calls) {
      Json function{{"name", call.name}};
      if (as_text_)
        function["arguments"] = write_json(call.arguments);
      else
        function["arguments"] = call.arguments;
      Json made{{"type", "function"}, {"function", std::move(function)}};
      if (!call.id.empty()) made["id"] = call.id;
      list.push_back(std::move(made));
    }
    return {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", std::move(list)}};
  }

 private:
  // What each call starts with.
  [[nodiscard]] std::string_view lead() const {
    if (form_.name_key.empty()) return form_.name_prefix;
    return form_.prefix.empty() ? std::string_view("{") : form_.prefix;
  }
  [[nodiscard]] std::size_t begin_of_calls(std::string_view turn) const {
    const auto begin = trimmed(form_.begin);
    if (!begin.empty()) return turn.find(begin);
    // A bare object is a call only where it is all of the turn.
    if (form_.name_key.empty() || !form_.prefix.empty()) {
      std::size_t at = turn.find(trimmed(lead()));
      if (form_.name_prefix == ">>>") {  // ">>>all" is text
        while (at != std::string_view::npos && turn.substr(at + 3).starts_with("all\n"))
          at = turn.find(">>>", at + 3);
      }
      return at;
    }
    const std::size_t first = turn.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos || turn[first] != '{') return std::string_view::npos;
    return turn.find("\"" + std::string(form_.name_key) + "\"") == std::string_view::npos
               ? std::string_view::npos
               : first;
  }
  [[nodiscard]] static tl::unexpected<Error> incomplete(std::size_t at) {
    return fail(ErrorCode::kInvalid,
                "the tool call at byte " + std::to_string(at) + " is not whole");
  }

  Result<ToolCall> one_call(std::string_view turn, std::size_t& at) const {
    ToolCall call;
    const std::size_t start = at;
    const auto space = [&] {
      while (at < turn.size() &&
             std::string_view(" \t\r\n").find(turn[at]) != std::string_view::npos)
        ++at;
    };
    if (form_.name_key.empty()) {
      at += form_.name_prefix.size();
      const std::size_t name_end = turn.find(form_.prefix, at);
      if (name_end == std::string_view::npos) return incomplete(start);
      call.name = trimmed(turn.substr(at, name_end - at));
      at = name_end + form_.prefix.size();
    } else {
      at += trimmed(form_.prefix).size();
    }
    space();
    const std::size_t json = at;
    const std::size_t end = json_end(turn, json);
    if (json >= turn.size() || turn[json] != '{' || end == std::string_view::npos)
      return incomplete(start);
    Json object = Json::parse(turn.substr(json, end - json), nullptr, false);
    if (!object.is_object()) return incomplete(start);
    at = end;
    space();
    const auto suffix = trimmed(form_.suffix);
    if (!turn.substr(at).starts_with(suffix)) return incomplete(start);
    at += suffix.size();
    if (form_.name_key.empty()) {
      call.arguments = std::move(object);
      return call;
    }
    const auto name_at = object.find(std::string(form_.name_key));
    if (name_at == object.end() || !name_at->is_string())
      return fail(ErrorCode::kInvalid,
                  "the tool call at byte " + std::to_string(start) + " has no name");
    call.name = name_at->get<std::string>();
    // Models mix the two usual keys up.
    for (const std::string_view key :
         {form_.arguments_key, std::string_view("arguments"), std::string_view("parameters")}) {
      const auto found = object.find(std::string(key));
      if (found == object.end()) continue;
      call.arguments =
          found->is_string() ? Json::parse(found->get<std::string>(), nullptr, false) : *found;
      if (!call.arguments.is_object())
        return fail(ErrorCode::kInvalid, "the arguments of the tool call at byte " +
                                             std::to_string(start) + " are no object");
      break;
    }
    for (const char* key : {"id", "tool_call_id"}) {
      if (const auto found = object.find(key); found != object.end() && found->is_string())
        call.id = found->get<std::string>();
    }
    return call;
  }

  Form form_;
  bool definitions_;
  bool calls_;
  bool results_;
  bool as_text_;
  std::string_view text_before_;
};

}  // namespace

std::string write_calls(const grammar::CallForm& form, const std::vector<ToolCall>& calls,
                        bool list) {
  const auto member = [](std::string_view key, const std::string& value) {
    return write_json(Json(std::string(key))) + ": " + value;
  };
  const auto one = [&](const ToolCall& call) {
    const std::string arguments = write_json(call.arguments);
    std::string out;
    if (form.name_key.empty()) {
      out.append(form.name_prefix).append(call.name).append(form.prefix).append(arguments);
      return out.append(form.suffix);
    }
    std::string members = member(form.name_key, write_json(Json(call.name))) + ", " +
                          member(form.arguments_key, arguments);
    if (!form.id_key.empty()) {
      const std::string id = member(form.id_key, write_json(Json(call.id)));
      members = form.id_first ? id + ", " + members : members + ", " + id;
    }
    out.append(form.prefix).append("{").append(members).append("}");
    return out.append(form.suffix);
  };
  if (!list && calls.size() == 1)
    return std::string(form.begin) + one(calls[0]) + std::string(form.end);
  std::string out(form.several ? form.begin : "[");
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (i > 0) out += form.several ? form.separator : ", ";
    out += one(calls[i]);
  }
  return out.append(form.several ? form.end : "]");
}

std::shared_ptr<const ToolSyntax> find_tool_syntax(std::string_view family,
                                                   const ConversationTemplate& conversation) {
  // What of a call, its result and a definition the template writes.
  const ToolCall call{"probe_name", {{"probe_key", "probe_value"}}, "probe0id1"};
  const Json user{{"role", "user"}, {"content", "probe"}};
  const Json result{{"role", "tool"},
                    {"content", "probe_result"},
                    {"tool_call_id", call.id},
                    {"name", call.name}};
  const Json definition =
      Json::array({{{"type", "function"},
                    {"function",
                     {{"name", "probe_tool"},
                      {"description", "A probe."},
                      {"parameters",
                       {{"type", "object"},
                        {"properties", {{"x", {{"type", "string"}, {"description", "An x."}}}}},
                        {"required", {"x"}}}}}}}});
  const auto written = [&](const Json& messages, const Json& tools) {
    const auto text = conversation.render(messages, tools, false, kProbeLimits);
    return text ? text->bytes : "";
  };
  const auto with_message = [&](const Json& message, bool answered) {
    Json messages = Json::array({user, message});
    if (answered) messages.push_back(result);
    // Some templates write calls only beside definitions, some cannot write definitions.
    const std::string with_tools = written(messages, definition);
    return with_tools.empty() ? written(messages, Json()) : with_tools;
  };
  const auto with_call = [&](const ToolSyntax& syntax, bool answered) {
    return with_message(syntax.message({call}), answered);
  };
  const bool definitions =
      written(Json::array({user}), definition).find("probe_tool") != std::string::npos;
  // As an object where the template takes it so, else as text.
  for (const bool as_text : {false, true}) {
    std::string_view text_before;
    const auto make = [&](const ToolSyntax::Form& form, bool calls, bool results) {
      return std::make_shared<const TableSyntax>(form, definitions, calls, results, as_text,
                                                 text_before);
    };
    const auto probe = make(kHermes, true, true);
    const std::string text = with_call(*probe, false);
    // Escaped or in Python's form is not what the model is to write.
    const bool calls = text.find("\"probe_key\": \"probe_value\"") != std::string::npos ||
                       text.find("\"probe_key\":\"probe_value\"") != std::string::npos;
    if (!calls && !as_text) continue;
    for (const char* member : {"content", "tool_plan"}) {
      Json message = probe->message({call});
      message[member] = "probe_words";
      const std::string both = with_message(message, false);
      const std::size_t words = both.find("probe_words"), behind = both.find("probe_key");
      if (behind == std::string::npos || words > behind) continue;
      text_before = member;
      break;
    }
    const bool results = with_call(*probe, true).find("probe_result") != std::string::npos;
    for (const Row& row : kRows) {
      if (row.family == family) return make(row.form, calls, results);
    }
    if (!calls) return nullptr;
    // No known family: a row that reads back what the template wrote.
    for (const Row& row : kRows) {
      const auto syntax = make(row.form, calls, results);
      const std::size_t begin = text.find("probe") + 5;
      const auto turn = syntax->parse(std::string_view(text).substr(begin));
      if (turn && turn->calls.size() == 1 && turn->calls[0].name == call.name &&
          turn->calls[0].arguments == call.arguments)
        return syntax;
    }
    return nullptr;
  }
  return nullptr;
}

}  // namespace espalier::runtime
