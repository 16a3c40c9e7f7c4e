// Chat templates: time to compile one, to find its pieces, to render a turn of a long chat, and to
// add a turn to one. `chat_template_bench [FOLDER of .jinja files]`; one thread, a second or two.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/chat/load_chat_template.h"
#include "runtime/jinja/template.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/memory_mapping.h"

namespace {

using namespace espalier;
using namespace espalier::runtime;
using Clock = std::chrono::steady_clock;

constexpr int kTurns = 50;
constexpr int kRounds = 20;

// The median of kRounds runs, in microseconds.
template <class F>
double microseconds(const F& run) {
  std::vector<double> times;
  for (int i = 0; i < kRounds; ++i) {
    const auto start = Clock::now();
    run();
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
  return times[kRounds / 2];
}

Json chat(int turns) {
  Json messages = Json::array(
      {{{"role", "user"}, {"content", "What is the weather like in Zürich today, and tomorrow?"}}});
  for (int i = 1; i < turns; ++i) {
    messages.push_back(
        {{"role", i % 2 == 1 ? "assistant" : "user"},
         {"content",
          "Turn " + std::to_string(i) +
              ": a sentence or two of ordinary length, as people write them in a chat."}});
  }
  return messages;
}

}  // namespace

int main(int argc, char** argv) {
  const std::filesystem::path folder =
      argc > 1 ? argv[1] : "../shared/data/tokenizers/chat_templates";
  if (!std::filesystem::exists(folder)) {
    std::fprintf(stderr, "no folder %s\n", folder.c_str());
    return 1;
  }
  const auto file =
      Gguf::parse(testing::mapping_of(testing::TinyLlama{}.writer().finish().bytes), "bench.gguf")
          .value();
  const auto tokenizer = load_tokenizer(file).value();
  std::printf("%-45s %10s %10s %12s %12s\n", "template", "compile µs", "pieces ms",
              "render µs/turn", "add a turn µs");
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  const Json messages = chat(kTurns);
  for (const auto& path : paths) {
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    const std::string source = text.str();
    const double compile = microseconds([&] { (void)jinja::Template::compile(source); });
    const auto start = Clock::now();
    const auto made = make_chat_template(source, tokenizer).value();
    const double pieces = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    const auto compiled = jinja::Template::compile(source).value();
    Json variables{{"messages", messages},
                   {"add_generation_prompt", true},
                   {"bos_token", "<s>"},
                   {"eos_token", "</s>"}};
    if (path.stem().string().starts_with("fireworks"))
      variables["functions"] = variables["datetime"] = "x";
    bool rendered = true;
    const double render = microseconds([&] {
      jinja::Arena arena(std::size_t{256} << 20);
      rendered = rendered &&
                 compiled->render(arena, *jinja::from_json(arena, variables, 1)->dict).has_value();
    });
    const double turn = microseconds([&] {
      (void)made->open(Role::kUser, Role::kAssistant);
      (void)made->close(Role::kUser);
    });
    std::printf("%-45s %10.0f %10.1f %14.2f %12.2f%s\n", path.stem().c_str(), compile, pieces,
                render / kTurns, turn, rendered ? "" : "  (refuses the chat)");
  }
  return 0;
}
