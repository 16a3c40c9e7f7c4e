// Masks of JSON Schemas against the byte recogniser, token by token, on vocabularies of 49
// thousand, 128 thousand and 262 thousand tokens.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <vector>

#include "base/system.h"
#include "grammar/json_schema.h"
#include "runtime/model/gguf.h"
#include "runtime/tokenizer/hf_tokenizer_json.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/support/data.h"
#include "tests/support/memory_system.h"

namespace espalier::grammar {
namespace {

struct TestVocabulary {
  const char* name;
  std::size_t
      every;  // n-th schema, and n-th token of a place; the larger the vocabulary, the fewer
};

// One of each kind of place: free and enumerated strings, patterns with counts, numbers, keys of
// every sort, alternatives that stay open, items that must differ, members in order.
const char* const kSchemas[] = {
    R"({"type":"object","properties":{"name":{"type":"string","minLength":2,"maxLength":40},
        "tags":{"type":"array","items":{"type":"string"},"maxItems":4},"n":{"type":"integer"}},
        "required":["name","tags"],"additionalProperties":false})",
    R"({"type":"object","additionalProperties":{"type":["number","null"]},"minProperties":1})",
    R"({"type":"array","items":{"enum":["red","green","dark red",null,12]},"uniqueItems":true})",
    R"({"type":"object","patternProperties":{"^x-[a-z]+$":{"type":"string"},"[0-9]$":{"type":"integer"}},
        "additionalProperties":false,"minProperties":1})",
    R"x({"type":"string","pattern":"^(?=.*[0-9])[A-Za-z0-9_. -]{6,24}$"})x",
    R"({"type":"object","properties":{"at":{"format":"date-time","type":"string"},
        "id":{"format":"uuid","type":"string"},"to":{"format":"email","type":"string"}},"required":["at","id"]})",
    R"({"oneOf":[{"type":"object","properties":{"kind":{"const":"circle"},"r":{"type":"number","minimum":0}},
        "required":["kind","r"]},{"type":"object","properties":{"kind":{"const":"box"},
        "w":{"type":"integer","multipleOf":3},"h":{"type":"number","multipleOf":0.25}},"required":["kind","w"]},
        {"type":"string"}]})",
    R"({"type":"array","uniqueItems":true,"minItems":2,"items":{"type":"object","properties":{
        "k":{"enum":["a","b"]},"v":{"type":"boolean"}},"required":["k","v"],"additionalProperties":false}})",
    R"({"not":{"anyOf":[{"type":"object"},{"type":"string","pattern":"secret"},{"type":"number"}]}})",
    R"({"$ref":"#/$defs/t","$defs":{"t":{"type":"object","properties":{"v":{},"kids":{"type":"array",
        "items":{"$ref":"#/$defs/t"}}},"required":["v"],"unevaluatedProperties":false}}})",
};

class SchemaMasks : public ::testing::TestWithParam<TestVocabulary> {
 protected:
  void SetUp() override {
    const std::string name = GetParam().name;
    if (name.ends_with(".gguf")) {
      const auto path = espalier::testing::model_file(name);
      if (!path) GTEST_SKIP() << "no model " << name;
      const auto file = runtime::Gguf::open(*path, real_system());
      ASSERT_TRUE(file) << file.error().message;
      vocabulary = runtime::load_tokenizer(*file).value()->vocabulary();
      return;
    }
    const auto text = espalier::testing::unpacked(name);
    if (!text) GTEST_SKIP() << "no reference data " << name;
    vocabulary = runtime::load_hf_tokenizer_json(*text, name).value()->vocabulary();
  }
  VocabularyRef vocabulary;
};
INSTANTIATE_TEST_SUITE_P(
    All, SchemaMasks,
    ::testing::Values(TestVocabulary{"SmolLM2-135M-Instruct.Q4_1.gguf", 2},
                      TestVocabulary{"tokenizers/llama3.1.tokenizer.json.xz", 3},
                      TestVocabulary{"tokenizers/gemma3.tokenizer.json.xz", 6}));

TEST_P(SchemaMasks, AgreeWithTheRecogniserTokenByToken) {
  const bool all = std::getenv("ESPALIER_LONG") != nullptr;
  const int places = all ? 200 : 1;  // of each schema that are compared, a token at a time
  std::size_t checks = 0;
  unsigned seed = 0;
  for (const char* text : kSchemas) {
    if (seed++ % GetParam().every != 0 && !all) continue;
    SchemaOptions options;
    if (seed % 2 == 0) options.order = MemberOrder::kDeclared;
    const auto grammar = compile_json_schema(vocabulary, Json::parse(text), {}, options);
    ASSERT_TRUE(grammar.has_value()) << text << ": " << grammar.error().message;
    std::mt19937 random(seed);
    for (int compared = 0; compared < places; ++compared) {
      // Some way into a text, by tokens that say little: those that say much are rare.
      Matcher m = (*grammar)->start();
      for (unsigned steps = random() % 12; steps > 0; --steps) {
        const MaskRef mask = m.mask(1000);
        std::vector<TokenId> allowed;
        for (std::size_t id = 0; id < vocabulary->size(); ++id) {
          const auto t = static_cast<TokenId>(id);
          if (mask->allows(t) && !vocabulary->is_end(t)) allowed.push_back(t);
        }
        if (allowed.empty()) break;
        TokenId next = allowed[random() % allowed.size()];
        for (int i = 0; i < 20 && vocabulary->bytes(next).size() > 1 && random() % 4 != 0; ++i) {
          next = allowed[random() % allowed.size()];
        }
        ASSERT_TRUE(m.advance(next)) << text << "\nafter " << m.text();
      }
      const MaskRef mask = m.mask(1U << 20);
      const MaskRef plain = m.plain_mask();
      for (std::size_t id = 0; id < vocabulary->size(); ++id, ++checks) {
        const auto t = static_cast<TokenId>(id);
        ASSERT_EQ(mask->allows(t), plain->allows(t)) << text << "\nafter " << m.text() << "\n"
                                                     << id << " \"" << vocabulary->bytes(t) << "\"";
      }
    }
  }
  std::printf("%zu tokens compared over a vocabulary of %zu\n", checks, vocabulary->size());
}

// The same tokens as another vocabulary, whose formats are kept in that system.
VocabularyRef keeping(const Vocabulary& vocabulary, System& system) {
  Vocabulary::Spec spec;
  for (std::size_t id = 0; id < vocabulary.size(); ++id) {
    spec.bytes.emplace_back(vocabulary.bytes(static_cast<TokenId>(id)));
  }
  spec.end_of_turn = vocabulary.end_of_turn();
  spec.also_end.assign(vocabulary.also_end().begin(), vocabulary.also_end().end());
  auto out = Vocabulary::create(std::move(spec)).value();
  keep_tables(out, "/kept", system);
  return out;
}

TEST_P(SchemaMasks, AreTheSameWhereFormatsWereReadFromDisk) {
  espalier::testing::MemorySystem system;
  std::vector<Json> schemas;
  for (const char* text : kSchemas) schemas.push_back(Json::parse(text));
  for (const char* name : {"date", "email", "hostname", "idn-hostname", "ipv6", "iri", "regex"}) {
    schemas.push_back({{"type", "array"}, {"items", {{"type", "string"}, {"format", name}}}});
  }
  const Json format = {{"type", "string"}, {"format", "regex"}};
  ASSERT_TRUE(compile_json_schema(keeping(*vocabulary, system), format).has_value());
  ASSERT_EQ(system.paths().size(), 1U);
  const std::string kept = system.get(system.paths()[0]);
  const VocabularyRef reading = keeping(*vocabulary, system);
  for (const Json& schema : schemas) {
    const auto made = compile_json_schema(vocabulary, schema);
    const auto read = compile_json_schema(reading, schema);
    ASSERT_TRUE(made.has_value() && read.has_value()) << schema;
    std::mt19937 random(7);
    Matcher one = (*made)->start(), other = (*read)->start();
    for (int step = 0; step < 10; ++step) {
      ASSERT_EQ(one.distance(), other.distance()) << schema << "\nafter " << one.text();
      ASSERT_EQ(one.accepting(), other.accepting()) << schema << "\nafter " << one.text();
      const std::uint32_t budget = step % 2 == 0 ? UINT32_MAX : one.distance() + 3;
      const MaskRef mask = one.mask(budget);
      ASSERT_TRUE(std::ranges::equal(mask->words(), other.mask(budget)->words()))
          << schema << "\nafter " << one.text();
      TokenId next = kNoToken;
      for (int i = 0; i < 100'000 && next == kNoToken; ++i) {
        const auto id = static_cast<TokenId>(random() % vocabulary->size());
        if (mask->allows(id) && !vocabulary->is_end(id)) next = id;
      }
      if (next == kNoToken) break;
      ASSERT_TRUE(one.advance(next) && other.advance(next));
    }
  }
  EXPECT_EQ(system.get(system.paths()[0]), kept);
}

}  // namespace
}  // namespace espalier::grammar
