#include "cli/program_run.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "cli/suggest.h"
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

Status RunSettings::check_allowed(const std::vector<dsl::ToolInfo>& tools) const {
  return check_allow_list(allow_, tools);
}

void declare_allow(CLI::App& app, std::vector<std::string>& allow) {
  app.add_option(
         "--allow", allow,
         "Open a way out of the program; tools that run programs, call URLs or MCP servers "
         "are closed without one. WHAT is a tool's name; or exec:PROGRAM, http:HOST, "
         "http:HOST:PORT, mcp:SERVER; or exec, http, mcp for all of a kind. May be repeated")
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
    if (std::find(known.begin(), known.end(), what) != known.end()) continue;
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
  return {model.tokenizer(), model.chat_template(), model.shape().context};
}

std::unique_ptr<dsl::Runner> make_runner(const Session& session) {
  return std::make_unique<dsl::Runner>(session.engine(), session.model().tokenizer(),
                                       session.model().chat_template());
}

}  // namespace espalier::cli
