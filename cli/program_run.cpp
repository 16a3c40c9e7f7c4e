#include "cli/program_run.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>
#include <utility>

#include "cli/suggest.h"
#include "dsl/convert.h"
#include "dsl/tool_calls.h"
#include "dsl/tool_permissions.h"

namespace espalier::cli {

void RunSettings::declare(CLI::App& app) {
  sampling_.declare(app);
  add_integer(app, "--max", max_, 1, 1 << 24, "Tokens of a hole that says nothing itself");
  declare_allow(app, allow_);
  add_number(app, "--tool-timeout", tool_seconds_, 0.001, 86400,
             "Seconds that one tool call may take [30]");
}

dsl::Config RunSettings::overrides() const {
  dsl::Config config;
  config.temperature = sampling_.temperature;
  config.top_p = sampling_.top_p;
  config.min_p = sampling_.min_p;
  config.repetition = sampling_.repetition;
  config.presence = sampling_.presence;
  config.frequency = sampling_.frequency;
  config.top_k = sampling_.top_k;
  config.seed = sampling_.seed;
  config.max = max_;
  return config;
}

Json RunSettings::identity() const {
  Json out = Json::object();
  const auto take = [&](const char* name, const auto& value) {
    if (value) out[name] = *value;
  };
  take("temperature", sampling_.temperature);
  take("top_p", sampling_.top_p);
  take("min_p", sampling_.min_p);
  take("repetition", sampling_.repetition);
  take("presence", sampling_.presence);
  take("frequency", sampling_.frequency);
  take("top_k", sampling_.top_k);
  take("seed", sampling_.seed);
  take("max", max_);
  return out;
}

Result<RunSettings> RunSettings::from_identity(const Json& identity) {
  RunSettings out;
  if (!identity.is_object()) return fail(ErrorCode::kInvalid, "its sampling is no object");
  SamplingOptions& s = out.sampling_;
  const std::pair<const char*, std::optional<double>*> reals[] = {
      {"temperature", &s.temperature}, {"top_p", &s.top_p},       {"min_p", &s.min_p},
      {"repetition", &s.repetition},   {"presence", &s.presence}, {"frequency", &s.frequency}};
  const std::pair<const char*, std::optional<std::int64_t>*> whole[] = {
      {"top_k", &s.top_k}, {"seed", &s.seed}, {"max", &out.max_}};
  for (const auto& [key, value] : identity.items()) {
    const auto named = [&, &name = key](const auto& one) { return name == one.first; };
    const auto* real = std::find_if(std::begin(reals), std::end(reals), named);
    const auto* integer = std::find_if(std::begin(whole), std::end(whole), named);
    if (real != std::end(reals) && value.is_number()) {
      *real->second = value.template get<double>();
    } else if (integer != std::end(whole) && value.is_number_integer()) {
      *integer->second = value.template get<std::int64_t>();
    } else {
      return fail(ErrorCode::kInvalid, "its sampling has a wrong `" + key + "`");
    }
  }
  ESP_TRY(out.check());
  return out;
}

Status RunSettings::check_allowed(const std::vector<dsl::ToolInfo>& tools) const {
  return check_allow_list(allow_, tools);
}

void declare_allow(CLI::App& app, std::vector<std::string>& allow) {
  app.add_option(
         "--allow", allow,
         "Open a way out of the program; tools that run programs, call URLs or MCP servers "
         "are closed without one. WHAT is a tool's name; or exec:PROGRAM, http:HOST, "
         "http:HOST:PORT, mcp:SERVER; or exec, http, mcp for all of a kind. http:HOST=VARIABLE "
         "signs the calls with that variable of the environment. May be repeated")
      ->type_name("WHAT")
      ->allow_extra_args(false);
}

Status check_allow_list(const std::vector<std::string>& allow,
                        const std::vector<dsl::ToolInfo>& tools) {
  for (const std::string& what : allow) {
    if (what == "exec" || what == "http" || what == "mcp") continue;
    std::vector<std::string> known{"exec", "http", "mcp"};
    for (const dsl::ToolInfo& tool : tools) {
      for (std::string& entry : dsl::permissions_for(tool)) known.push_back(std::move(entry));
    }
    if (std::find(known.begin(), known.end(), dsl::opened_by(what)) != known.end()) {
      for (const dsl::ToolInfo& tool : tools) ESP_TRY(dsl::credential_for({what}, tool));
      continue;
    }
    return fail(ErrorCode::kInvalid, "--allow '" + what +
                                         "' opens no exec, http or mcp tool of this program" +
                                         did_you_mean(what, known));
  }
  return {};
}

std::unique_ptr<dsl::ToolHost> RunSettings::tools(const std::string& directory) const {
  dsl::ProcessToolOptions options;
  options.directory = directory;
  options.allow = allow_;
  return std::make_unique<dsl::ProcessTools>(std::move(options));
}

std::chrono::milliseconds RunSettings::tool_timeout() const {
  return std::chrono::milliseconds(static_cast<std::int64_t>(tool_seconds_.value_or(30.0) * 1000));
}

dsl::ModelParts model_parts(const runtime::Model& model) {
  return dsl::model_parts(model.tokenizer(), model.chat_template(), model.shape().context);
}

Result<std::unique_ptr<ProgramSession>> ProgramSession::open(const ModelOptions& model,
                                                             const RunSettings& settings,
                                                             const ProgramFile& file,
                                                             Context& context) {
  std::unique_ptr<ProgramSession> opened(new ProgramSession(settings));
  ESP_ASSIGN(opened->session_, Session::open(model, context));
  opened->tools_ = settings.tools(file.directory());
  opened->runner_ = make_runner(*opened->session_);
  return opened;
}

dsl::RunOptions ProgramSession::options() const {
  dsl::RunOptions options;
  options.overrides = settings_.overrides();
  options.tools = tools_.get();
  options.cancellation = cancellation_;
  options.tool_timeout = settings_.tool_timeout();
  return options;
}

dsl::RunOutcome ProgramSession::run(const ProgramFile& file, Json arguments,
                                    dsl::RunOptions options, Context& context) const {
  const Interrupt::Action stop(context.interrupt, [&] { cancel(); });
  return runner_->run_now(file.program, file.gen->name, std::move(arguments), std::move(options));
}

void note_dropped(dsl::Runner& runner, Context& context) {
  const dsl::Runner::Dropped dropped = runner.dropped();
  if (dropped.turns == 0) return;
  context.console.note(
      std::to_string(dropped.turns) + " turns (" + std::to_string(dropped.tokens) +
      " tokens) were dropped before " + std::to_string(dropped.holes) +
      (dropped.holes == 1 ? " hole" : " holes") + ": the prompt had outgrown the context of " +
      std::to_string(runner.model().context) + " tokens (`overflow` in the program's `config`)");
}

void ProgramOptions::declare_program(CLI::App& app) {
  app.add_option("FILE[:GEN]", file_, "The program, and which of its generators if it has several")
      ->required()
      ->type_name("");
  arguments_.declare(app);
}

void ProgramOptions::declare_run(CLI::App& app) {
  model_.declare(app, true);
  settings_.declare(app);
}

Result<ProgramOptions::Opened> ProgramOptions::open(std::string_view verb, Context& context) const {
  Opened result;
  const auto usage = [&](const std::string& message) {
    result.code = usage_error(context, verb, message);
    return result;
  };
  if (const auto status = settings_.check(); !status) return usage(status.error().message);
  ESP_ASSIGN(auto opened, open_program(file_, verb, context));
  result.code = opened.code;
  if (result.code != kDone) return result;
  result.file = std::move(opened.file);
  if (const auto allowed = settings_.check_allowed(result.file.program->tools); !allowed)
    return usage(allowed.error().message);
  auto arguments = arguments_.read(result.file.gen->parameters, context);
  if (!arguments) {
    ESP_ASSIGN(result.code, usage_failure(context, verb, arguments.error()));
    return result;
  }
  result.arguments = std::move(*arguments);
  return result;
}

Status ProgramOptions::check_complete(const Opened& opened) {
  const auto typed =
      dsl::arguments_from_json(*opened.file.program, opened.file.gen->parameters, opened.arguments);
  if (!typed) return fail(typed.error());
  return {};
}

Result<int> run_failure(const dsl::RunError& error, Context& context) {
  if (error.error.code == ErrorCode::kCancelled || error.rendered.empty()) return fail(error.error);
  context.console.err() << printable(error.rendered) << std::flush;
  return kFailed;
}

std::unique_ptr<dsl::Runner> make_runner(const Session& session) {
  return std::make_unique<dsl::Runner>(session.engine(), session.model().tokenizer(),
                                       session.model().chat_template());
}

}  // namespace espalier::cli
