// Masks against brute force: the vocabulary's trie walked a byte at a time by a plain recogniser,
// every token's verdict compared, on three real vocabularies and at random places of random types,
// regular expressions, schemas of each family of keywords, and context-free grammars.
//
// The recognisers share no code with the masks. Regular expressions (alone and as `pattern` beside
// lengths) and context-free grammars have textbook ones; schemas have the schema machine's single
// steps, of a machine of their own (whose verdicts other tests hold against a validator); types the
// automaton's single steps. ESPALIER_LONG compares 1,000 places and more of each category.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/system.h"
#include "grammar/gbnf.h"
#include "grammar/json_schema.h"
#include "grammar/program.h"
#include "grammar/regex.h"
#include "grammar/schema/schema_machine.h"
#include "grammar/token_trie.h"
#include "runtime/model/gguf.h"
#include "runtime/tokenizer/hf_tokenizer_json.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/grammar_exact/earley_recogniser.h"
#include "tests/grammar_exact/keyword_families.h"
#include "tests/grammar_exact/pattern_recogniser.h"
#include "tests/support/data.h"

namespace espalier::grammar {
namespace {

bool long_run() { return std::getenv("ESPALIER_LONG") != nullptr; }

// Bytes read one after the other, and taken back.
class Recogniser {
 public:
  Recogniser() = default;
  Recogniser(const Recogniser&) = delete;
  Recogniser& operator=(const Recogniser&) = delete;
  virtual ~Recogniser() = default;
  [[nodiscard]] virtual std::size_t size() const = 0;
  virtual void cut(std::size_t bytes) = 0;
  /// False, and nothing read, where no word can begin so.
  virtual bool read(unsigned char byte) = 0;
  /// Whether what was read begins a word; asked where a token ends.
  virtual bool alive() { return true; }
  virtual bool complete() = 0;
};

class DfaRecogniser final : public Recogniser {
 public:
  explicit DfaRecogniser(testing::PlainDfa dfa) : dfa_(std::move(dfa)) {}
  [[nodiscard]] std::size_t size() const override { return path_.size() - 1; }
  void cut(std::size_t bytes) override { path_.resize(bytes + 1); }
  bool read(unsigned char byte) override {
    const auto to = dfa_.step(path_.back(), byte);
    if (to == testing::PlainDfa::kDead) return false;
    path_.push_back(to);
    return true;
  }
  bool complete() override { return dfa_.accepting[path_.back()]; }

 private:
  testing::PlainDfa dfa_;
  std::vector<testing::PlainDfa::Place> path_{0};
};

class EarleyRecogniser final : public Recogniser {
 public:
  explicit EarleyRecogniser(const testing::Productions& grammar) : chart_(grammar) {}
  [[nodiscard]] std::size_t size() const override { return chart_.size(); }
  void cut(std::size_t bytes) override { chart_.cut(bytes); }
  bool read(unsigned char byte) override { return chart_.read(byte); }
  bool complete() override { return chart_.complete(); }

 private:
  testing::EarleyChart chart_;
};

class SchemaRecogniser final : public Recogniser {
 public:
  SchemaRecogniser(const Json& schema, const SchemaOptions& options, VocabularyRef vocabulary) {
    Fuel fuel("steps", 10'000'000);
    machine_ = std::make_unique<SchemaMachine>(*SchemaGraph::create(schema, options, fuel),
                                               std::move(vocabulary), Limits().max_depth);
    path_.push_back(machine_->state(machine_->start()));
  }
  [[nodiscard]] std::size_t size() const override { return path_.size() - 1; }
  void cut(std::size_t bytes) override { path_.resize(bytes + 1); }
  bool read(unsigned char byte) override {
    machine_->refuel();
    const SchemaMachine::State to = machine_->advance(path_.back(), byte);
    if (to.phase == SchemaMachine::Phase::kDead) return false;
    path_.push_back(to);
    return true;
  }
  // A key that is being read may be one that cannot be completed. Where any key may come that rests
  // on the place alone, not on the key so far.
  bool alive() override {
    const SchemaMachine::State& at = path_.back();
    if (at.phase != SchemaMachine::Phase::kKey) return true;
    if (surely_.contains({at.a, at.b})) return true;
    const auto cursor = machine_->cursor(at);
    if (machine_->sure_bound(cursor)) return surely_.emplace(at.a, at.b).second;
    return machine_->closing_size(cursor) <= Program::kLongestClosing;
  }
  bool complete() override { return machine_->accepting(path_.back()); }

 private:
  std::unique_ptr<SchemaMachine> machine_;
  std::vector<SchemaMachine::State> path_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> surely_;  // by State's a and b
};

struct Subject {
  std::string text;  // what is compiled
  GrammarRef grammar;
  std::unique_ptr<Recogniser> plain;  // none: `again` steps
  GrammarRef again;
};

class Comparison : public ::testing::Test {
 protected:
  void open(const char* name) {
    vocabulary_ = vocabulary_of(name);
    if (vocabulary_ == nullptr) GTEST_SKIP() << "no model or reference data " << name;
  }

  // Read once; nullptr where its file is absent.
  static VocabularyRef vocabulary_of(const std::string& name) {
    static std::map<std::string, VocabularyRef> known;
    if (const auto it = known.find(name); it != known.end()) return it->second;
    VocabularyRef& out = known[name];
    if (name.ends_with(".gguf")) {
      if (const auto path = espalier::testing::model_file(name)) {
        const auto file = runtime::Gguf::open(*path, real_system());
        if (file) out = runtime::load_tokenizer(*file).value()->vocabulary();
      }
    } else if (const auto text = espalier::testing::unpacked(name)) {
      out = runtime::load_hf_tokenizer_json(*text, name).value()->vocabulary();
    }
    return out;
  }

  // Compares places of subjects that `make(seed)` gives (a grammar of nothing: left out) until
  // there are enough of them.
  template <class Make>
  void compare(const std::string& category, Make&& make) {
    // The three vocabularies have more than 1,000 of a category together; the larger one is, the
    // longer brute force takes.
    const std::size_t size = vocabulary_->size();
    const std::size_t all = size < 100'000 ? 860 : size < 200'000 ? 110 : 50;
    const std::size_t wanted = long_run() ? all : size < 100'000 ? 4 : size < 200'000 ? 2 : 1;
    std::size_t places = 0;
    checks_ = 0;
    for (std::uint64_t seed = 0; places < wanted && !HasFatalFailure(); ++seed) {
      ASSERT_LT(seed, 100 * wanted) << "most are refused";
      Subject subject = make(seed);
      if (subject.grammar == nullptr) continue;
      std::mt19937_64 random(seed);
      const std::size_t here = std::min<std::size_t>(wanted - places, long_run() ? 12 : 4);
      for (std::size_t done = 0; done < here && !HasFatalFailure();) {
        done += walk(subject, here - done, random);
      }
      places += here;
    }
    std::printf("%s: %zu places, %zu checks\n", category.c_str(), places, checks_);
    std::fflush(stdout);
    RecordProperty(category, std::to_string(checks_));
  }

 private:
  // Down one text from its start; how many places were compared.
  std::size_t walk(Subject& subject, std::size_t most, std::mt19937_64& random) {
    Matcher matcher = subject.grammar->start();
    Matcher stepped = subject.again != nullptr ? subject.again->start() : Matcher();
    if (subject.plain != nullptr) subject.plain->cut(0);
    const std::vector<TokenId> hints = hinted(subject.text);
    std::string read;
    std::size_t compared = 0;
    const std::size_t longest = 1 + random() % 24;
    for (std::size_t step = 0; compared < most && step < longest; ++step) {
      const bool last = step + 1 == longest;
      const MaskRef mask = matcher.mask(UINT32_MAX);
      if (last || random() % 4 == 0) {
        ++compared;
        expect_equal(*mask,
                     subject.plain != nullptr ? brute_force(*subject.plain)
                                              : words_of(*stepped.plain_mask()),
                     subject, read);
        if (HasFatalFailure()) return compared;
      }
      const TokenId id = choose(*mask, hints, matcher, random);
      if (id == kNoToken) {
        if (compared == 0) continue;
        return compared;
      }
      const std::string_view bytes = vocabulary_->bytes(id);
      read += bytes;
      EXPECT_TRUE(matcher.advance(id)) << subject.text << "\nafter " << read;
      if (subject.again != nullptr) {
        EXPECT_TRUE(stepped.advance(id)) << subject.text;
      }
      if (subject.plain == nullptr) continue;
      for (const char c : bytes) {
        EXPECT_TRUE(subject.plain->read(static_cast<unsigned char>(c)))
            << subject.text << "\nafter " << read;
      }
    }
    return std::max<std::size_t>(compared, 1);
  }

  static std::vector<std::uint64_t> words_of(const Mask& mask) {
    return {mask.words().begin(), mask.words().end()};
  }

  std::vector<std::uint64_t> brute_force(Recogniser& plain) {
    std::vector<std::uint64_t> out((vocabulary_->size() + 63) / 64);
    const auto allow = [&](TokenId id) {
      out[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
    };
    const TokenTrie& trie = vocabulary_->trie();
    const auto nodes = trie.nodes();
    const std::size_t before = plain.size();
    for (std::uint32_t i = 0; i < nodes.size();) {
      plain.cut(before + nodes[i].depth - 1);
      if (!plain.read(nodes[i].byte)) {
        i = nodes[i].next;
        continue;
      }
      if (nodes[i].token_count > 0 && plain.alive()) {
        for (const TokenId id : trie.tokens_at(i)) allow(id);
      }
      ++i;
    }
    plain.cut(before);
    if (plain.complete()) {
      if (vocabulary_->end_of_turn() != kNoToken) allow(vocabulary_->end_of_turn());
      for (const TokenId id : vocabulary_->also_end()) allow(id);
    }
    return out;
  }

  void expect_equal(const Mask& mask, const std::vector<std::uint64_t>& plain,
                    const Subject& subject, const std::string& read) {
    checks_ += vocabulary_->size();
    ASSERT_EQ(mask.words().size(), plain.size());
    for (std::size_t w = 0; w < plain.size(); ++w) {
      if (mask.words()[w] == plain[w]) continue;
      const std::uint64_t wrong = mask.words()[w] ^ plain[w];
      const auto id =
          static_cast<TokenId>(w * 64 + static_cast<std::size_t>(std::countr_zero(wrong)));
      FAIL() << subject.text << "\nafter " << read << "\ntoken " << id << " '"
             << vocabulary_->bytes(id) << "' is " << (mask.allows(id) ? "" : "not ")
             << "allowed by the mask";
    }
  }

  // The tokens that occur in a text.
  std::vector<TokenId> hinted(std::string_view text) const {
    std::vector<TokenId> out;
    const TokenTrie& trie = vocabulary_->trie();
    for (std::size_t at = 0; at < std::min<std::size_t>(text.size(), 1000); ++at) {
      std::uint32_t node = TokenTrie::kRoot;
      for (std::size_t i = at; i < text.size(); ++i) {
        node = trie.child(node, static_cast<std::uint8_t>(text[i]));
        if (node == TokenTrie::kNone) break;
        for (const TokenId id : trie.tokens_at(node)) out.push_back(id);
      }
    }
    return out;
  }

  // One that occurs in the subject's text, one that leads towards the end, or any.
  TokenId choose(const Mask& mask, const std::vector<TokenId>& hints, const Matcher& at,
                 std::mt19937_64& random) const {
    const auto ordinary = [&](TokenId id) {
      return mask.allows(id) && !vocabulary_->is_end(id) && !vocabulary_->bytes(id).empty();
    };
    const std::uint64_t how = random() % 8;
    if (how < 4) {
      std::vector<TokenId> fit;
      for (const TokenId id : hints) {
        if (ordinary(id)) fit.push_back(id);
      }
      if (!fit.empty()) {
        const TokenId one = fit[random() % fit.size()], other = fit[random() % fit.size()];
        return vocabulary_->bytes(one).size() > vocabulary_->bytes(other).size() ? one : other;
      }
    }
    std::vector<TokenId> ids;
    for_each_bit(mask.words(), [&](TokenId id) {
      if (ordinary(id)) ids.push_back(id);
    });
    if (ids.empty()) return kNoToken;
    if (how == 7) return ids[random() % ids.size()];
    TokenId best = kNoToken;
    std::uint32_t least = UINT32_MAX;
    for (int i = 0; i < 8; ++i) {
      const TokenId id = ids[random() % ids.size()];
      Matcher after = at;
      if (!after.advance(id) || after.distance() >= least) continue;
      least = after.distance();
      best = id;
    }
    return best;
  }

 protected:
  VocabularyRef vocabulary_;
  std::size_t checks_ = 0;
};

struct Source {
  const char* name;
  const char* file;
};
constexpr Source kSources[] = {{"ByteLevel49k", "SmolLM2-135M-Instruct.Q4_1.gguf"},
                               {"ByteLevel128k", "tokenizers/llama3.1.tokenizer.json.xz"},
                               {"SentencePiece262k", "tokenizers/gemma3.tokenizer.json.xz"}};

class MaskExactness : public Comparison, public ::testing::WithParamInterface<Source> {
 protected:
  void SetUp() override { open(GetParam().file); }
};
INSTANTIATE_TEST_SUITE_P(Vocabularies, MaskExactness, ::testing::ValuesIn(kSources),
                         [](const auto& one) { return std::string(one.param.name); });

// A family of keywords and a vocabulary.
class SchemaMaskExactness
    : public Comparison,
      public ::testing::WithParamInterface<std::tuple<Source, std::string_view>> {
 protected:
  void SetUp() override { open(std::get<0>(GetParam()).file); }
};
INSTANTIATE_TEST_SUITE_P(Families, SchemaMaskExactness,
                         ::testing::Combine(::testing::ValuesIn(kSources),
                                            ::testing::ValuesIn(testing::KeywordFamilies::kNames)),
                         [](const auto& one) {
                           return std::string(std::get<0>(one.param).name) + "_" +
                                  std::string(std::get<1>(one.param));
                         });

constexpr std::size_t kMostStates = 3000;

TEST_P(MaskExactness, OfRegularExpressions) {
  compare("regex", [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto pattern = testing::PlainPattern::random(random);
    Subject out;
    testing::PlainDfa dfa =
        pattern.dfa(testing::PlainPattern::Spelling::kPlain, false, kMostStates);
    if (dfa.rows.empty()) return out;
    const auto grammar = compile_regex(vocabulary_, pattern.text());
    EXPECT_TRUE(grammar) << pattern.text();
    out.text = pattern.text();
    out.plain = std::make_unique<DfaRecogniser>(std::move(dfa));
    out.grammar = *grammar;
    return out;
  });
}

// `pattern`, anchored, beside lengths.
TEST_P(MaskExactness, OfPatternsBesideLengths) {
  compare("pattern", [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    using Spelling = testing::PlainPattern::Spelling;
    const auto pattern = testing::PlainPattern::random(random);
    Json schema{{"type", "string"}, {"pattern", "^" + pattern.text() + "$"}};
    Subject out;
    testing::PlainDfa dfa = pattern.dfa(Spelling::kJsonString, true, kMostStates);
    if (dfa.rows.empty()) return out;
    if (random() % 2 == 0) {
      const auto low = static_cast<std::uint32_t>(random() % 4);
      const std::uint32_t high = low + static_cast<std::uint32_t>(random() % 9);
      schema["minLength"] = low;
      schema["maxLength"] = high;
      dfa = intersection(dfa,
                         testing::PlainPattern::any_characters(low, high).dfa(Spelling::kJsonString,
                                                                              true, kMostStates),
                         4 * kMostStates);
      if (dfa.rows.empty()) return out;
    }
    if (!dfa.live[0]) return out;
    const auto grammar = compile_json_schema(vocabulary_, schema);
    EXPECT_TRUE(grammar) << schema.dump();
    out.text = schema.dump();
    out.plain = std::make_unique<DfaRecogniser>(std::move(dfa));
    out.grammar = *grammar;
    return out;
  });
}

TEST_P(MaskExactness, OfContextFreeGrammars) {
  compare("context-free", [&](std::uint64_t seed) {
    std::mt19937 random(static_cast<std::uint32_t>(seed));
    testing::Productions grammar = testing::random_productions(random);
    // Other letters than two, which tokens of real vocabularies join.
    static const char* const kLetters[] = {"ab", "01", "()", "+n", "e ", ",\n"};
    const std::string letters = kLetters[seed % std::size(kLetters)];
    for (auto& [name, bodies] : grammar.rules) {
      for (std::string& body : bodies) {
        for (char& c : body) {
          if (c == 'a') c = letters[0];
          if (c == 'b') c = letters[1];
        }
      }
    }
    Subject out;
    auto plain = std::make_unique<EarleyRecogniser>(grammar);
    std::string text;
    for (const char c : grammar.gbnf()) text += c;
    for (std::size_t at = 0; (at = text.find("\"\n\"", at)) != std::string::npos;) {
      text.replace(at, 3, "\"\\n\"");
    }
    const auto compiled = compile_gbnf(vocabulary_, text);
    if (!compiled) return out;  // no word: the oracle's other test
    out.text = text;
    out.plain = std::move(plain);
    out.grammar = compiled->grammar;
    return out;
  });
}

TypeRef make_type(TypeKind kind, std::vector<TypeRef> items = {},
                  std::optional<std::uint64_t> low = {}, std::optional<std::uint64_t> high = {}) {
  Type t;
  t.kind = kind;
  t.items = std::move(items);
  t.low = low;
  t.high = high;
  return std::make_shared<const Type>(std::move(t));
}

TypeRef random_type(std::mt19937_64& random, int depth) {
  static constexpr TypeKind kScalars[] = {TypeKind::kString, TypeKind::kInt,  TypeKind::kFloat,
                                          TypeKind::kBool,   TypeKind::kJson, TypeKind::kLine};
  const std::uint64_t roll = random() % (depth >= 2 ? 7 : 10);
  if (roll < 6) return make_type(kScalars[roll]);
  const std::uint64_t low = random() % 3;
  if (roll == 6) return make_type(TypeKind::kString, {}, 1 + low, 2 + low + random() % 20);
  if (roll == 7) return make_type(TypeKind::kList, {random_type(random, depth + 1)}, low, low + 3);
  Type t;
  if (roll == 8) {
    t.kind = TypeKind::kEnum;
    for (const char* name : {"positive", "negative", "neutral", "very positive"}) {
      t.cases.push_back({name, name, {}});
    }
    return std::make_shared<const Type>(std::move(t));
  }
  t.kind = TypeKind::kRecord;
  for (const char* name : {"name", "id", "created_at"}) {
    if (random() % 4 == 0) continue;
    t.fields.push_back({name, name, random_type(random, depth + 1), random() % 3 == 0, {}});
  }
  return std::make_shared<const Type>(std::move(t));
}

TEST_P(MaskExactness, OfTypes) {
  compare("types", [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const TypeRef type = random_type(random, 0);
    static const char* const kFollows[] = {"", "\n", ".", "</a>"};
    const char* follow = kFollows[random() % std::size(kFollows)];
    Subject out;
    const auto one = compile(vocabulary_, type, follow);
    if (!one) return out;
    out.grammar = *one;
    out.again = *compile(vocabulary_, type, follow);
    out.text = "type of seed " + std::to_string(seed) + " name id created_at \": \", }]" + follow;
    return out;
  });
}

TEST_P(SchemaMaskExactness, OfAFamilyOfKeywords) {
  const std::string_view family = std::get<1>(GetParam());
  compare(std::string(family), [&](std::uint64_t seed) {
    const Json schema = testing::KeywordFamilies(seed).make(family);
    SchemaOptions options;
    if (seed % 4 == 3) options.order = MemberOrder::kDeclared;
    Subject out;
    const auto grammar = compile_json_schema(vocabulary_, schema, {}, options);
    if (!grammar) return out;
    out.text = schema.dump();
    out.grammar = *grammar;
    out.plain = std::make_unique<SchemaRecogniser>(schema, options, vocabulary_);
    return out;
  });
}

}  // namespace
}  // namespace espalier::grammar
