// espalier replay: runs again what a trace recorded, and names the first token that differs.
#include <deque>
#include <map>
#include <mutex>

#include "cli/command.h"
#include "cli/console.h"
#include "cli/input_text.h"
#include "cli/program_run.h"
#include "cli/trace.h"
#include "cli/trace_comparison.h"
#include "dsl/convert.h"
#include "grammar/json_text.h"

namespace espalier::cli {
namespace {

constexpr std::uint64_t kMaxTraceBytes = std::uint64_t{1} << 30;

/// Answers each call as it was answered when the trace was written: the world may have changed, and
/// what a tool does, it does once.
class RecordedTools final : public dsl::ToolHost {
 public:
  explicit RecordedTools(const TraceEvents& events) {
    for (const Json& event : events) {
      if (event_text(event, "event") != "tool_end" || !event.contains("arguments")) continue;
      const std::string tool = event_text(event, "tool");
      Result<Json> answer = fail(ErrorCode::kTool, std::string());
      if (const auto error = event.find("error"); error != event.end() && error->is_string()) {
        // What the tool's name is put before again.
        std::string why = error->get<std::string>();
        if (const std::string name = "tool `" + tool + "`: "; why.starts_with(name))
          why.erase(0, name.size());
        answer = fail(ErrorCode::kTool, std::move(why));
      } else {
        const auto value = event.find("value");
        answer = value == event.end() ? Json() : *value;
      }
      answers_[key(tool, event["arguments"])].push_back(std::move(answer));
    }
  }

  Result<Json> call(const dsl::ToolRequest& request) override {
    const std::lock_guard lock(mutex_);
    const auto known = answers_.find(key(request.tool->name, request.arguments));
    if (known == answers_.end() || known->second.empty())
      return fail(ErrorCode::kTool, "the trace has no answer to this call");
    Result<Json> answer = std::move(known->second.front());
    known->second.pop_front();
    return answer;
  }

 private:
  static std::string key(const std::string& tool, const Json& arguments) {
    return tool + " " + write_json(arguments);
  }

  std::mutex mutex_;
  std::map<std::string, std::deque<Result<Json>>> answers_;
};

/// The settings of the `run` event of a trace.
struct Recorded {
  std::string program, gen, model;
  std::optional<std::string> kv_type, numerics, calibration;
  Json arguments, sampling, contents;
};

Result<Recorded> recorded_run(const TraceEvents& events) {
  if (events.empty() || event_text(events.front(), "event") != "run")
    return fail(ErrorCode::kInvalid, "it does not begin with a `run` event");
  const Json& run = events.front();
  Recorded out;
  const auto text = [&](const char* key, std::string& into) {
    const auto at = run.find(key);
    if (at == run.end() || !at->is_string()) return false;
    into = at->get<std::string>();
    return true;
  };
  if (!text("program", out.program) || !text("gen", out.gen) || !text("model", out.model) ||
      !run.contains("arguments") || !run["arguments"].is_object())
    return fail(ErrorCode::kInvalid, "its `run` event lacks the program, the model or arguments");
  if (std::string type; text("kv_type", type)) out.kv_type = std::move(type);
  if (std::string version; text("numerics", version)) out.numerics = std::move(version);
  if (std::string file; text("calibration", file)) out.calibration = std::move(file);
  out.arguments = run["arguments"];
  if (const auto sampling = run.find("sampling"); sampling != run.end()) out.sampling = *sampling;
  if (const auto contents = run.find("contents"); contents != run.end()) out.contents = *contents;
  return out;
}

Json to_json(const TraceDifference& found) {
  Json out{{"hole", found.path}, {"place", found.place}, {"token", nullptr}};
  if (found.token) out["token"] = found.index;
  out["before_id"] = found.before_id ? Json(*found.before_id) : Json();
  out["now_id"] = found.now_id ? Json(*found.now_id) : Json();
  out["before"] = found.before;
  out["now"] = found.now;
  return out;
}

class Replay final : public Command {
 public:
  Replay() { model_.model.clear(); }

  void declare(CLI::App& app) override {
    app.add_option("TRACE", trace_, "What `espalier run --trace` wrote (JSON lines)")
        ->required()
        ->type_name("");
    add_text(app, "--program", program_, "FILE",
             "The program, where it is not where it was [as recorded]");
    app.add_flag("--json", json_, "Print {\"same\", \"tokens\", \"holes\", \"difference\"}");
    model_.declare(app, true);
  }

  Result<int> run(Context& context) override {
    auto text = read_named(trace_, kMaxTraceBytes, context);
    if (!text) return fail(text.error());
    const auto unusable = [&](Error error) {
      return fail(std::move(error).within("'" + trace_ + "' is no trace that can be replayed"));
    };
    const auto events = read_trace(*text);
    if (!events) return unusable(events.error());
    const auto recorded = recorded_run(*events);
    if (!recorded) return unusable(recorded.error());
    const auto settings = RunSettings::from_identity(recorded->sampling);
    if (!settings) return unusable(settings.error());

    ESP_ASSIGN(const auto opened,
               open_program(program_.value_or(recorded->program) + ":" + recorded->gen, "replay",
                            context));
    if (opened.code != kDone) return opened.code;
    const ProgramFile& file = opened.file;
    if (file.contents() != recorded->contents)
      context.console.warn("the program is not what it was when the trace was written");
    if (const auto typed =
            dsl::arguments_from_json(*file.program, file.gen->parameters, recorded->arguments);
        !typed)
      return unusable(typed.error());
    ModelOptions model = model_;
    if (model.model.empty()) model.model = recorded->model;
    if (!model.kv_type) model.kv_type = recorded->kv_type;
    if (!model.numerics) {
      model.numerics = recorded->numerics;
      if (!model.calibration) model.calibration = recorded->calibration;
    }
    ESP_ASSIGN(const auto programs, ProgramSession::open(model, *settings, file, context));

    RecordedTools tools(*events);
    TraceEvents now;
    Trace trace([&](Json event) { now.push_back(std::move(event)); },
                model_parts(programs->session().model()), *file.program, context.system, false);
    dsl::RunOptions options = programs->options();
    options.observer = &trace;
    options.tools = &tools;
    const auto outcome = programs->run(file, recorded->arguments, std::move(options), context);
    if (!outcome && outcome.error().error.code == ErrorCode::kCancelled)
      return fail(outcome.error().error);
    const auto found = first_difference(*events, now);
    print(count(*events), found, context);
    return found ? kFailed : kDone;
  }

 private:
  void print(const TraceCounts& counted, const std::optional<TraceDifference>& found,
             Context& context) const {
    if (json_) {
      context.console.print_json({{"same", !found.has_value()},
                                  {"tokens", counted.tokens},
                                  {"holes", counted.holes},
                                  {"difference", found ? to_json(*found) : Json()}});
      return;
    }
    if (!found) {
      context.console.print_text("the same: " + std::to_string(counted.tokens) + " tokens in " +
                                 std::to_string(counted.holes) +
                                 (counted.holes == 1 ? " hole" : " holes"));
      return;
    }
    const auto quoted = [](const std::string& text) { return printable(write_json(Json(text))); };
    if (found->token) {
      const auto id = [](const std::optional<std::int64_t>& one) {
        return one ? std::to_string(*one) : "none";
      };
      context.console.print_text(found->place + ": token " + std::to_string(found->index + 1) +
                                 " of `" + found->path + "` was " + id(found->before_id) +
                                 ", now " + id(found->now_id));
    } else {
      context.console.print_text("the program's own text differs" +
                                 (found->path.empty() ? "" : " after `" + found->path + "`"));
    }
    context.console.print_text("  before: " + quoted(found->before));
    context.console.print_text("  now:    " + quoted(found->now));
  }

  std::string trace_;
  std::optional<std::string> program_;
  bool json_ = false;
  ModelOptions model_;
};

}  // namespace

std::unique_ptr<Command> make_replay() { return std::make_unique<Replay>(); }

}  // namespace espalier::cli
