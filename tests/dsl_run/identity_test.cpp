// The text of many programs at once does not depend on how they are run: with the cache, forced
// spans, drafts, steps ahead and the disk tier each on and off, on one thread or several, by one
// engine or several, in any order of arrival, and with a pool in which they cannot all stand.
#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <numeric>
#include <random>
#include <set>
#include <thread>

#include "base/fault_system.h"
#include "runtime/cpu/cpu_backend.h"
#include "tests/dsl_run/support.h"
#include "tests/support/ahead_backend.h"

namespace espalier::dsl {
namespace {

using testing::Functions;
using testing::Recorder;
using testing::tiny_model;

// One generator for each thing that programs do to the tree.
constexpr const char* kPrograms = R"(
enum Mood { calm, glad, sad }
record Item { name: line(1..12), count: int(0..99), note?: string(0..8) }
tool up(a: int(0..9)) -> int = python "m:up"
tool done()

gen chat(first: string, second: string) -> string {
  system "Be brief."
  user "${first}"
  assistant "$[one: line(1..20), max=24]"
  user "${second}"
  assistant "$[two: line(1..20), max=24]"
  return one + " / " + two
}
gen extract(text: string) -> Item[] {
  system "Copy the items as JSON."
  user "${text}"
  assistant "$[items: Item[1..2], max=120]"
  return items
}
gen choose(text: string) -> { mood: Mood, by: string } {
  system "Name the mood."
  user "${text}"
  assistant "It is $[mood: select Mood]. $[by: select "heart" | "head" | "hand" | "habit"]"
  return { mood, by }
}
gen drafts(text: string) -> { all: string[], best: int } {
  user "${text}"
  let all = fork 3 { assistant "$[draft: line(1..16), max=20, temperature=0.9]" yield draft }
  user "${all}"
  assistant "$[best: int(0..2)]"
  return { all, best }
}
gen careful(text: string) -> string {
  user "${text}"
  retry 3 {
    assistant "$[x: int(0..999)]"
    require x % 2 == 0, "an even number"
  } else { return "none" }
  return "${x}"
}
gen agent(text: string) -> int {
  user "${text}"
  assistant "$[call: up | done, max=40]"
  match call {
    up => return run call
    done => return 0
  }
}
gen copied(text: string) -> span {
  user "${text}"
  assistant "$[word: span from text, max=20]"
  return word
}
)";

struct Work {
  std::string gen;
  Json arguments;
  bool sampled = false;
};

std::vector<Work> work(std::size_t count) {
  std::mt19937 random(11);
  const std::vector<std::string> words = {"red", "pen", "tea", "two", "sun", "map", "ink", "cup"};
  const auto text = [&](std::size_t most) {
    std::string out;
    for (std::size_t n = 1 + random() % most; n > 0; --n)
      out += (out.empty() ? "" : " ") + words[random() % words.size()];
    return out;
  };
  std::vector<std::string> heads;  // texts that several programs begin with
  for (int i = 0; i < 5; ++i) heads.push_back(text(9));
  const std::vector<std::string> gens = {"chat",    "extract", "choose", "drafts",
                                         "careful", "agent",   "copied"};
  std::vector<Work> out;
  for (std::size_t i = 0; i < count; ++i) {
    Work one;
    one.gen = gens[random() % gens.size()];
    const std::string subject = heads[random() % heads.size()] + " " + text(3);
    one.arguments =
        one.gen == "chat" ? Json{{"first", subject}, {"second", text(6)}} : Json{{"text", subject}};
    one.sampled = random() % 2 == 0;
    out.push_back(std::move(one));
  }
  return out;
}

struct Way {
  std::string name;
  runtime::EngineOptions engine = {};
  unsigned threads = 1;      // of the arithmetic
  unsigned runners = 2;      // of the interpreter
  std::size_t at_once = 16;  // programs
  std::uint64_t order = 0;   // of arrival; 0: as they are
  std::uint64_t pages = 4096;
  std::size_t engines = 1;  // side by side, each with so many pages
  std::int64_t retain = 0;
  bool ahead = false;  // steps begin before the tokens of the one before are known
  // A model that guesses; with one, time stands still, so that it is always thought to pay.
  std::shared_ptr<const runtime::Model> draft = nullptr;
  // What must have happened, or nothing was tried.
  std::function<bool(const runtime::Stats&)> tried = [](const runtime::Stats&) { return true; };
};

// What every program said and generated, by its place in `all`; an error is its message.
std::vector<std::string> say(const std::vector<Work>& all, const ProgramRef& program,
                             const Way& way) {
  const auto& model = tiny_model();
  runtime::CpuOptions options;
  options.threads = way.threads;
  options.kv_bytes = 1U << 20;
  auto probe = runtime::CpuBackend::create(model, options, real_system());
  EXPECT_TRUE(probe) << probe.error().message;
  options.kv_bytes = way.pages * (*probe)->info().page_bytes;
  probe->reset();
  FaultSystem clock(real_system());
  std::vector<runtime::EngineBackends> backends;
  for (std::size_t i = 0; i < way.engines; ++i) {
    auto backend = runtime::CpuBackend::create(model, options, real_system());
    EXPECT_TRUE(backend) << backend.error().message;
    if (way.ahead) *backend = std::make_unique<runtime::AheadBackend>(std::move(*backend));
    backends.push_back({std::move(*backend), nullptr});
    if (way.draft == nullptr) continue;
    auto made = runtime::CpuBackend::create(way.draft, options, real_system());
    EXPECT_TRUE(made) << made.error().message;
    backends.back().draft = std::move(*made);
  }
  System& time = way.draft != nullptr ? static_cast<System&>(clock) : real_system();
  auto engine = runtime::Engine::create(std::move(backends), way.engine, time);
  EXPECT_TRUE(engine) << engine.error().message;
  RunnerOptions runner_options;
  runner_options.threads = way.runners;
  Runner runner(**engine, model->tokenizer(), model->chat_template(), runner_options);
  Functions tools;
  tools.functions["up"] = [](const Json& arguments) -> Result<Json> {
    return Json(arguments["a"].get<int>() + 1);
  };

  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (way.order > 0) {
    std::mt19937_64 random(way.order);
    std::shuffle(order.begin(), order.end(), random);
  }
  std::vector<std::string> out(all.size());
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> clients;
  for (std::size_t c = 0; c < way.at_once; ++c) {
    clients.emplace_back([&] {
      for (std::size_t at; (at = next++) < order.size();) {
        const Work& one = all[order[at]];
        Recorder recorder;
        RunOptions run;
        run.tools = &tools;
        run.observer = &recorder;
        run.overrides.temperature = one.sampled ? 0.8 : 0.0;
        if (way.retain > 0) run.overrides.retain = way.retain;
        run.overrides.seed = static_cast<std::int64_t>(order[at]);
        const auto value = runner.run_now(program, one.gen, one.arguments, run);
        out[order[at]] =
            (value ? to_json(*value).dump() : value.error().error.message) + "\n" + recorder.text();
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE((*engine)->check_idle()) << way.name;
  const auto stats = (*engine)->stats();
  EXPECT_EQ(stats.reused_tokens + stats.computed_tokens, stats.prompt_tokens) << way.name;
  EXPECT_TRUE(way.tried(stats)) << way.name;
  for (const auto& each : (*engine)->stats_of_each()) {
    EXPECT_GT(each.stats.requests, 0U) << way.name;
    EXPECT_EQ(each.programs, 0U) << way.name;
  }
  return out;
}

TEST(Identity, MixedProgramsSayTheSameHoweverTheyAreRun) {
  const std::vector<Work> all = work(std::getenv("ESPALIER_LONG") != nullptr ? 500 : 70);
  const Compiled compiled = compile("mixed.gen", kPrograms);
  ASSERT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);

  Way plain{.name = "one at a time, nothing shared, nothing guessed, a forced token a step"};
  plain.engine.cache = plain.engine.jump = plain.engine.draft = false;
  plain.runners = 1;
  plain.at_once = 1;
  const std::vector<std::string> expected = say(all, compiled.program, plain);
  EXPECT_GT(std::set<std::string>(expected.begin(), expected.end()).size(), all.size() / 2);
  for (const std::string& text : expected)
    EXPECT_FALSE(text.starts_with("mixed.gen:")) << "a program failed: " << text.substr(0, 200);

  std::vector<Way> ways = {{.name = "all at once", .tried = [](const runtime::Stats& stats) {
                              return stats.reused_tokens > 0 && stats.forced_tokens > 0;
                            }}};
  ways.push_back({.name = "without the cache"});
  ways.back().engine.cache = false;
  ways.push_back({.name = "without forced spans"});
  ways.back().engine.jump = false;
  ways.push_back({.name = "with wishes to retain",
                  .retain = 5,
                  .tried = [](const runtime::Stats& stats) { return stats.pages_retained > 0; }});
  ways.push_back({.name = "without drafts"});
  ways.back().engine.draft = false;
  const auto guessed = [](const runtime::Stats& stats) { return stats.model_drafted_tokens > 0; };
  // How much is guessed depends on who comes together: one at a time it is the same on every run.
  ways.push_back(
      {.name = "its own draft model, one at a time",
       .runners = 1,
       .at_once = 1,
       .tried = [](const runtime::Stats& stats) { return stats.model_accepted_tokens > 100; }});
  ways.back().draft = tiny_model();
  ways.push_back({.name = "its own draft model"});
  ways.back().draft = tiny_model();
  const auto other = testing::load_tiny({.layers = 1, .seed = 2});
  ways.push_back(
      {.name = "another draft model, one at a time", .runners = 1, .at_once = 1, .tried = guessed});
  ways.back().draft = other;
  ways.push_back({.name = "another draft model, small pools", .order = 3, .pages = 96});
  ways.back().draft = other;
  // All that run must draw, so few of them at a time.
  for (const std::uint64_t pages : {4096U, 48U}) {
    for (const bool draft : {false, true}) {
      ways.push_back({.name = "steps ahead, " + std::to_string(pages) + " pages",
                      .at_once = draft ? 1U : 3U,
                      .order = 11,
                      .pages = pages,
                      .ahead = true,
                      .tried = [](const runtime::Stats& stats) { return stats.steps_ahead > 0; }});
      ways.back().engine.draft = draft;
    }
  }
  ways.push_back({.name = "steps ahead, two engines", .order = 12, .engines = 2, .ahead = true});
  ways.push_back({.name = "small steps", .threads = 2});
  ways.back().engine.max_rows = 24;
  for (const unsigned threads : {2U, 4U})
    ways.push_back(
        {.name = "threads " + std::to_string(threads), .threads = threads, .runners = 4});
  for (std::uint64_t order = 1; order < 5; ++order)
    ways.push_back({.name = "order " + std::to_string(order), .at_once = 48, .order = order});
  for (const std::uint64_t pages : {48U, 96U})
    ways.push_back(
        {.name = "pages " + std::to_string(pages),
         .order = 9,
         .pages = pages,
         .tried = [](const runtime::Stats& stats) { return stats.evicted_pages.once > 0; }});
  for (const std::size_t engines : {2U, 3U})
    ways.push_back({.name = std::to_string(engines) + " engines", .order = 5, .engines = engines});
  ways.push_back({.name = "two engines of few pages", .order = 6, .pages = 64, .engines = 2});
  const std::string folder =
      ::testing::TempDir() + "espalier_identity_" + std::to_string(::getpid());
  for (const char* time : {"first", "second"}) {
    ways.push_back({.name = std::string("the disk tier, the ") + time + " time"});
    ways.back().engine.kv_folder = folder;
    ways.back().engine.model_digest = "tiny";
  }
  ways.push_back(ways.back());
  ways.back().name = "the disk tier, two engines of one folder";
  ways.back().engines = 2;
  for (std::size_t i = ways.size() - 2; i < ways.size(); ++i)
    ways[i].tried = [](const runtime::Stats& stats) { return stats.disk_read_pages > 0; };
  for (const Way& way : ways) {
    const std::vector<std::string> said = say(all, compiled.program, way);
    for (std::size_t i = 0; i < all.size(); ++i)
      ASSERT_EQ(said[i], expected[i]) << way.name << ", program " << i << " (" << all[i].gen << ")";
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace espalier::dsl
