// Mutated programs are run, by a model whose logits are a hash of what it reads: what the checker
// accepts runs to an end, generates no more than its bound says, says the same with the cache off,
// and leaves every page accounted for. Arguments are random values of the parameters' types, drawn
// from the masks.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/result.h"
#include "dsl/cost.h"
#include "dsl/mock_model.h"
#include "dsl/program.h"
#include "dsl/render.h"
#include "gen_mutator.h"
#include "grammar/matcher.h"
#include "tests/dsl_run/support.h"

namespace espalier::fuzz {
namespace {

using namespace espalier::dsl;

constexpr std::uint64_t kMostTokens = 2'000;  // of a run, by its bound: so that each is short
constexpr std::uint64_t kMostHoles = 200;
constexpr std::uint32_t kSpare = 12;  // tokens that an argument may take more than it must
constexpr std::uint64_t kHealing = 8;

/// A value of `type`, written by random choices among the tokens that its mask allows. Nothing
/// where it has none that is short.
std::optional<Json> random_value(const grammar::TypeRef& type, std::mt19937& random) {
  static const grammar::VocabularyRef bytes = *byte_vocabulary();
  grammar::Type list;  // in a list, so that it stands as in JSON
  list.kind = grammar::TypeKind::kList;
  list.low = list.high = 1;
  list.items = {type};
  const auto compiled =
      grammar::compile(bytes, std::make_shared<const grammar::Type>(std::move(list)), "");
  if (!compiled) return std::nullopt;
  std::uint32_t left = (*compiled)->least_tokens() + kSpare;
  grammar::Matcher at = (*compiled)->start();
  while (!at.accepting()) {
    const grammar::MaskRef mask = at.mask(left);
    std::vector<TokenId> allowed;
    for (std::size_t i = 0; i < bytes->size(); ++i)
      if (mask->allows(static_cast<TokenId>(i))) allowed.push_back(static_cast<TokenId>(i));
    ESP_CHECK(!allowed.empty());
    ESP_CHECK(at.advance(allowed[random() % allowed.size()]));
    --left;
  }
  return at.value()[0];
}

/// The shortest of a few: a loop to a random int of 64 bits only finds the limit on steps, slowly.
std::optional<Json> short_value(const grammar::TypeRef& type, std::mt19937& random) {
  std::optional<Json> best;
  std::size_t least = SIZE_MAX;
  for (int i = 0; i < 6; ++i) {
    auto value = random_value(type, random);
    if (!value) break;
    const std::size_t size = value->dump().size();
    if (size < least) best = std::move(value);
    least = std::min(least, size);
  }
  return best;
}

/// Whether a number of more than four digits stands in it.
bool has_large_number(const std::string& source) {
  std::size_t digits = 0;
  for (const char c : source) {
    digits = c >= '0' && c <= '9' ? digits + 1 : 0;
    if (digits > 4) return true;
  }
  return false;
}

/// Counts the tokens that holes have.
class Counter final : public Observer {
 public:
  void on_token(const HoleEvent&, TokenId, std::string_view, bool) override { ++tokens_; }
  std::uint64_t tokens() const { return tokens_; }

 private:
  std::atomic<std::uint64_t> tokens_ = 0;
};

struct Ran {
  std::string text;
  std::uint64_t tokens = 0;
};

Ran run_once(dsl::testing::World& world, const ProgramRef& program, const GenInfo& gen,
             const Json& arguments) {
  Counter counter;
  RunOptions options;
  options.observer = &counter;
  const RunOutcome out = world.runner->run_now(program, gen.name, arguments, options);
  ESP_CHECK(world.engine->check_idle());
  return {out ? to_json(*out).dump() : out.error().rendered, counter.tokens()};
}

}  // namespace
}  // namespace espalier::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace espalier;
  using namespace espalier::dsl;
  if (size > 4096) return 0;
  const std::string source(reinterpret_cast<const char*>(data), size);
  const auto compiled = compile("fuzz.gen", source);
  if (compiled.program == nullptr || fuzz::has_large_number(source)) return 0;
  static auto mock = *MockModel::create(real_system());
  static dsl::testing::World cached, plain{{.cache = false}};
  std::mt19937 random(static_cast<unsigned>(size) * 2654435761U + (size > 0 ? data[size / 2] : 0U));
  for (const GenInfo* gen : compiled.program->own_gens()) {
    Json arguments = Json::object();
    bool complete = true;
    for (const Parameter& parameter : gen->parameters) {
      const auto value = fuzz::short_value(parameter.type, random);
      complete = complete && value.has_value();
      if (value) arguments[parameter.key] = *value;
    }
    if (!complete) continue;
    static_cast<void>(
        render_prompt(mock->runner().model(), *compiled.program, gen->name, arguments));
    const Cost cost = cost_of(*compiled.program, *gen);
    Bound shown = cost.generated;
    shown += cost.scored;  // a choice shows the tokens of what it took
    const auto tokens = shown.number(), holes = cost.holes.number();
    if (!tokens || !holes || *tokens > fuzz::kMostTokens || *holes > fuzz::kMostHoles) continue;
    const auto with_cache = fuzz::run_once(cached, compiled.program, *gen, arguments);
    ESP_CHECK(with_cache.tokens <= *tokens + fuzz::kHealing * *holes);
    const auto without = fuzz::run_once(plain, compiled.program, *gen, arguments);
    if (without.text != with_cache.text)
      std::cerr << gen->name << ' ' << arguments << "\ncached: " << with_cache.text
                << "\nplain: " << without.text << '\n';
    ESP_CHECK(without.text == with_cache.text);
  }
  for (const TestDecl* test : compiled.program->tests)
    static_cast<void>(mock->runner().run_test(compiled.program, *test, false, {}));
  return 0;
}
