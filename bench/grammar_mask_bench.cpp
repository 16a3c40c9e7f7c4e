// Masks on the default model's vocabulary: time per mask while generating with random tastes
// (p50/p90/p99/max, cold and warm automaton), and compile times. `grammar_mask_bench [model.gguf]`;
// one thread, a few seconds.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "base/system.h"
#include "grammar/matcher.h"
#include "runtime/model/gguf.h"
#include "runtime/tokenizer/load_tokenizer.h"

namespace {

using namespace espalier;
using grammar::Type;
using grammar::TypeKind;
using grammar::TypeRef;
using Clock = std::chrono::steady_clock;

double microseconds(Clock::duration d) {
  return std::chrono::duration<double, std::micro>(d).count();
}

TypeRef make(TypeKind kind, std::vector<TypeRef> items = {}, std::optional<std::uint64_t> low = {},
             std::optional<std::uint64_t> high = {}) {
  Type t;
  t.kind = kind;
  t.items = std::move(items);
  t.low = low;
  t.high = high;
  return std::make_shared<const Type>(std::move(t));
}

TypeRef record(const std::vector<std::pair<std::string, TypeRef>>& fields) {
  Type t;
  t.kind = TypeKind::kRecord;
  for (const auto& [name, type] : fields) t.fields.push_back({name, name, type, false, {}});
  return std::make_shared<const Type>(std::move(t));
}

TypeRef enumeration(const std::vector<std::string>& cases) {
  Type t;
  t.kind = TypeKind::kEnum;
  for (const auto& c : cases) t.cases.push_back({c, c, {}});
  return std::make_shared<const Type>(std::move(t));
}

void print(const char* what, std::vector<double>& times) {
  if (times.empty()) return;
  std::sort(times.begin(), times.end());
  const auto at = [&](double q) {
    return times[static_cast<std::size_t>(q * static_cast<double>(times.size() - 1))];
  };
  std::printf("    %-6s n=%-6zu p50 %8.2f  p90 %8.2f  p99 %8.2f  max %8.2f us\n", what,
              times.size(), at(0.5), at(0.9), at(0.99), times.back());
}

}  // namespace

int main(int argc, char** argv) {
  std::string path;
  if (argc > 1) {
    path = argv[1];
  } else if (const char* home = std::getenv("HOME")) {
    path = std::string(home) + "/.cache/espalier/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  }
  const auto file = runtime::Gguf::open(path, real_system());
  if (!file) return std::fprintf(stderr, "%s\n", file.error().message.c_str()), 1;
  const auto tokenizer = runtime::load_tokenizer(*file);
  if (!tokenizer) return std::fprintf(stderr, "%s\n", tokenizer.error().message.c_str()), 1;
  const grammar::VocabularyRef vocabulary = (*tokenizer)->vocabulary();
  std::printf("%zu tokens\n", vocabulary->size());

  const TypeRef string = make(TypeKind::kString);
  const TypeRef person =
      record({{"name", string},
              {"age", make(TypeKind::kInt)},
              {"mood", enumeration({"happy", "sad", "tired"})},
              {"tags", make(TypeKind::kList, {make(TypeKind::kString, {}, 1, 12)}, 0, 5)},
              {"score", make(TypeKind::kFloat)}});
  const std::vector<std::tuple<const char*, TypeRef, std::string>> types = {
      {"line, follow \\n", make(TypeKind::kLine), "\n"},
      {"string(1..40), follow .", make(TypeKind::kString, {}, 1, 40), "."},
      {"int", make(TypeKind::kInt), ""},
      {"enum", enumeration({"positive", "negative", "neutral"}), "\n"},
      {"record", person, ""},
      {"record[]", make(TypeKind::kList, {person}), ""},
      {"json", make(TypeKind::kJson), ""},
  };
  for (const auto& [name, type, follow] : types) {
    std::vector<double> compiles;
    grammar::GrammarRef g;
    for (int i = 0; i < 5; ++i) {
      const auto begin = Clock::now();
      auto made = grammar::compile(vocabulary, type, follow);
      compiles.push_back(microseconds(Clock::now() - begin));
      if (!made) return std::fprintf(stderr, "%s\n", made.error().message.c_str()), 1;
      g = *made;
    }
    std::printf("%s: least %u tokens\n", name, g->least_tokens());
    print("build", compiles);
    for (const char* round : {"cold", "warm"}) {
      std::mt19937 random(7);
      std::vector<double> times;
      for (int text = 0; text < 20; ++text) {
        grammar::Matcher m = g->start();
        std::uint32_t left = 120;
        while (!m.done()) {
          const auto begin = Clock::now();
          const grammar::MaskRef mask = m.mask(left);
          times.push_back(microseconds(Clock::now() - begin));
          if (mask->count() == 0) break;
          std::uint32_t nth = random() % mask->count();
          TokenId pick = kNoToken;
          for (std::size_t w = 0; w < mask->words().size() && pick == kNoToken; ++w) {
            std::uint64_t word = mask->words()[w];
            const auto n = static_cast<std::uint32_t>(__builtin_popcountll(word));
            if (nth >= n) {
              nth -= n;
              continue;
            }
            for (; nth > 0; --nth) word &= word - 1;
            pick = static_cast<TokenId>(w * 64 + static_cast<std::size_t>(__builtin_ctzll(word)));
          }
          if (!m.advance(pick)) return std::fprintf(stderr, "mask and advance differ\n"), 1;
          if (left > 0) --left;
        }
      }
      print(round, times);
    }
  }
  return 0;
}
