// Renders templates for the differential test: one JSON object a line on stdin, one on stdout.
//
// {"compile": SOURCE} makes SOURCE the template; {"render": {…variables…}, "now": SECONDS} renders
// it. Answers {"text": …, "generation": [[begin, end], …]} or {"error": …, "code": …}.
#include <iostream>
#include <string>

#include "runtime/jinja/template.h"

int main() {
  using namespace espalier;
  using namespace espalier::runtime;
  std::ios::sync_with_stdio(false);
  std::shared_ptr<const jinja::Template> current;
  const auto answer = [](const Json& json) {
    std::cout << json.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  };
  const auto refuse = [&](const Error& error) {
    answer({{"error", error.message}, {"code", std::string(name(error.code))}});
  };
  for (std::string line; std::getline(std::cin, line);) {
    const Json request = Json::parse(line);
    if (request.contains("compile")) {
      auto compiled = jinja::Template::compile(request["compile"].get<std::string>());
      current = compiled ? *compiled : nullptr;
      if (compiled)
        answer({{"text", ""}});
      else
        refuse(compiled.error());
      continue;
    }
    if (current == nullptr) {
      answer({{"error", "there is no template"}, {"code", "invalid"}});
      continue;
    }
    jinja::RenderOptions options;
    jinja::Arena arena(options.limits.memory_bytes);
    options.now =
        std::chrono::sys_seconds(std::chrono::seconds(request.value("now", std::int64_t{0})));
    const auto variables = jinja::from_json(arena, request["render"], 1);
    if (!variables) {
      refuse(variables.error());
      continue;
    }
    const auto rendered = current->render(arena, *variables->dict, options);
    if (rendered)
      answer({{"text", rendered->text.bytes}, {"generation", rendered->generation}});
    else
      refuse(rendered.error());
  }
  std::cout.flush();
  return 0;
}
