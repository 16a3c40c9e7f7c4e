// The engine against a naive model: small random expressions whose words are listed outright, small
// vocabularies, and everything the engine says (masks, distances, values' extent) derived from the
// list by definition.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "grammar/compiled_grammar.h"
#include "testing.h"

namespace espalier::grammar {
namespace {

using namespace testing_support;
using Words = std::set<std::string>;

constexpr std::size_t kMostWords = 400;

struct TooMany {};

// The texts that the factors of the expression under test copy from.
using Sources = std::map<std::uint32_t, std::string>;
Sources sources;

// All spans of a text over one letter, one digit and spaces, by definition: a word begins or ends
// where two neighbours are not of one kind, and white space is one space.
Words spans_of(const std::string& text) {
  Words out;
  const auto edge = [&](std::size_t at) {
    return at == 0 || at == text.size() || (text[at] != text[at - 1]);
  };
  for (std::size_t from = 0; from < text.size(); ++from) {
    if (text[from] == ' ' || !edge(from)) continue;
    for (std::size_t to = from + 1; to <= text.size(); ++to) {
      if (text[to - 1] == ' ' || !edge(to)) continue;
      std::string word;
      for (std::size_t i = from; i < to; ++i)
        if (text[i] != ' ' || text[i - 1] != ' ') word += text[i];
      out.insert(word);
    }
  }
  return out;
}

// All words of an expression without rules.
Words words_of(const ExpressionPool& pool, Expr e) {
  Words out;
  const auto& node = pool.node(e);
  const auto children = pool.children(e);
  const auto joined = [](const Words& a, const Words& b) {
    Words both;
    for (const auto& x : a) {
      for (const auto& y : b) both.insert(x + y);
      if (both.size() > kMostWords) throw TooMany();
    }
    return both;
  };
  switch (node.op) {
    case Op::kNothing:
      break;
    case Op::kEmpty:
      out = {""};
      break;
    case Op::kBytes:
      out = {pool.bytes_of(e)};
      break;
    case Op::kSet:
      for (unsigned b = 0; b < 256; ++b) {
        if (pool.set_of(e).has(b)) out.insert(std::string(1, static_cast<char>(b)));
      }
      break;
    case Op::kConcat:
      out = {""};
      for (const Expr c : children) out = joined(out, words_of(pool, c));
      break;
    case Op::kChoice:
      for (const Expr c : children) out.merge(words_of(pool, c));
      break;
    case Op::kRepeat: {
      const Words one = words_of(pool, children[0]);
      Words turn = {""};
      for (std::uint32_t i = 0; i <= node.b; ++i) {
        if (i >= node.a) out.insert(turn.begin(), turn.end());
        turn = joined(turn, one);
      }
      break;
    }
    case Op::kRule:
      return words_of(pool, pool.rule_body(node.a));
    case Op::kCapture:
    case Op::kCodePoints:
    case Op::kContextFree:
      return words_of(pool, children[0]);
    case Op::kIntersection:
    case Op::kDifference: {
      const Words b = words_of(pool, children[1]);
      for (const auto& w : words_of(pool, children[0])) {
        if (b.contains(w) == (node.op == Op::kIntersection)) out.insert(w);
      }
      break;
    }
    case Op::kFactor:
      return spans_of(sources.at(e.id));
    case Op::kMultiple:
    case Op::kSchema:
      ADD_FAILURE() << "schemas and multiples have oracles of their own";
      break;
  }
  return out;
}

// Over three characters; with `factors` also spans of random texts of them.
Expr random_expression(ExpressionPool& pool, std::mt19937& random, int depth,
                       const std::string& letters, bool factors) {
  const auto any = [&] { return random_expression(pool, random, depth + 1, letters, factors); };
  if (factors && random() % 3 == 0) {
    std::string text;
    for (unsigned n = 1 + random() % 9; n > 0; --n) text += letters[random() % 3];
    const auto source = SpanSource::create(text);
    if (!source) return pool.nothing();
    const Expr made = pool.factor(*source, false);
    sources[made.id] = text;
    return made;
  }
  const unsigned roll = random() % (depth >= 4 ? 3 : 10);
  switch (roll) {
    case 0:
      return pool.byte_set(
          ByteSet::of((random() % 2 ? letters.substr(0, 2) : letters.substr(1)).c_str()));
    case 1:
    case 2: {
      std::string text;
      for (unsigned n = 1 + random() % 3; n > 0; --n) text += letters[random() % 3];
      return pool.bytes(text);
    }
    case 3:
    case 4:
      return pool.concat({any(), any()});
    case 5:
      return pool.choice({any(), any(), any()});
    case 6: {
      const std::uint32_t low = random() % 2;
      return pool.repeat(any(), low, low + random() % 3);
    }
    case 7:
      return pool.capture(Capture::kText, any());
    case 8:
      return pool.intersection(
          pool.repeat(pool.byte_set(ByteSet::of(letters.c_str())), random() % 2, 4), any());
    default:
      return pool.difference(any(), any());
  }
}

struct Model {
  Words values;    // L
  Words whole;     // L·F
  Words prefixes;  // of L·F
};

// CONTRACTS 18, as it is written there.
Model model_of(const Words& type, const std::string& follow) {
  Model m;
  bool proper = false;
  for (const auto& a : type) {
    for (const auto& b : type) {
      const std::string x = a + follow;
      const std::string y = b + follow;
      proper |= x.size() < y.size() && y.starts_with(x);
    }
  }
  for (const auto& v : type) {
    if (follow.empty() || !proper || (v + follow).find(follow) == v.size()) m.values.insert(v);
  }
  for (const auto& v : m.values) {
    m.whole.insert(v + follow);
    for (std::size_t n = 0; n <= v.size() + follow.size(); ++n)
      m.prefixes.insert((v + follow).substr(0, n));
  }
  return m;
}

// Least tokens from `at` to any complete value (0: the value is complete; its follow may have
// begun), and whether the whole hole can be spelled from here; by exhaustion over the listed
// prefixes, longest first.
struct Least {
  std::map<std::string, std::uint32_t> to_value;
  std::map<std::string, bool> live;
};
Least least_of(const Model& m, const Vocabulary& v, const std::string& follow) {
  Least out;
  std::vector<std::string> order(m.prefixes.begin(), m.prefixes.end());
  std::sort(order.begin(), order.end(),
            [](const auto& a, const auto& b) { return a.size() > b.size(); });
  for (const auto& p : order) {
    bool live = m.whole.contains(p);
    std::uint32_t least = UINT32_MAX;
    for (std::size_t id = 0; id < v.size(); ++id) {
      const std::string next = p + std::string(v.bytes(static_cast<TokenId>(id)));
      if (next.size() == p.size() || !m.prefixes.contains(next) || !out.live[next]) continue;
      live = true;
      if (out.to_value[next] != UINT32_MAX) least = std::min(least, out.to_value[next] + 1);
    }
    for (std::size_t read = 0; live && read <= std::min(follow.size(), p.size()); ++read) {
      // p = value + the first `read` bytes of the follow, and the rest of the follow can be spelled
      if (!p.ends_with(follow.substr(0, read)) || !m.values.contains(p.substr(0, p.size() - read)))
        continue;
      const std::string whole = p.substr(0, p.size() - read) + follow;
      std::map<std::size_t, bool> spelled{{whole.size(), true}};
      for (std::size_t at = whole.size(); at-- > p.size();) {
        for (std::size_t id = 0; id < v.size(); ++id) {
          const auto bytes = v.bytes(static_cast<TokenId>(id));
          if (!bytes.empty() && whole.substr(at).starts_with(bytes) && spelled[at + bytes.size()])
            spelled[at] = true;
        }
      }
      if (spelled[p.size()]) least = 0;
    }
    out.live[p] = live;
    out.to_value[p] = least;
  }
  return out;
}

struct Case {
  unsigned seed = 0;
  std::uint64_t states = 0;
};

void check_seed(unsigned seed, int* checked, const std::string& letters = "abc",
                bool factors = false) {
  sources.clear();
  std::mt19937 random(seed);
  Fuel fuel("steps", 1'000'000);
  auto pool = std::make_shared<ExpressionPool>(fuel);
  const Expr root = random_expression(*pool, random, 0, letters, factors);
  std::string follow;
  for (unsigned n = random() % 4; n > 0; --n) follow += letters[random() % 3];
  std::vector<std::string> tokens;
  const bool lacks = random() % 3 == 0;
  for (const char b : letters) {
    if (!lacks || random() % 2) tokens.emplace_back(1, b);
  }
  for (unsigned n = 2 + random() % 8; n > 0; --n) {
    std::string t;
    for (unsigned k = 1 + random() % 4; k > 0; --k) t += letters[random() % 3];
    tokens.push_back(t);
  }
  const VocabularyRef vocabulary = vocabulary_of(tokens);
  Model model;
  try {
    model = model_of(words_of(*pool, root), follow);
  } catch (const TooMany&) {
    return;
  }
  Least least = least_of(model, *vocabulary, follow);
  const auto grammar = compile_expression(vocabulary, pool, root, follow, {}, fuel);
  if (!follow.empty()) {  // a follow that needs the value's last bytes to be spelled is refused
                          // outright
    std::vector<bool> spelled(follow.size() + 1, false);
    spelled[follow.size()] = true;
    for (std::size_t p = follow.size(); p-- > 0;) {
      for (const auto& t : tokens) {
        if (std::string_view(follow).substr(p).starts_with(t) && spelled[p + t.size()])
          spelled[p] = true;
      }
    }
    if (!spelled[0]) {
      ASSERT_FALSE(grammar.has_value());
      return;
    }
  }
  const bool any = !model.values.empty() && least.live[""] && least.to_value[""] != UINT32_MAX;
  if (!grammar) {
    ASSERT_FALSE(any) << grammar.error().message;
    return;
  }
  ASSERT_TRUE(any);
  ++*checked;
  // Every reachable place, breadth first over token paths; places with equal text are looked at
  // once.
  std::map<std::string, Matcher> places{{"", (*grammar)->start({})}};
  std::vector<std::string> work{""};
  for (std::size_t w = 0; w < work.size(); ++w) {
    const std::string text = work[w];
    SCOPED_TRACE("after \"" + text + "\"");
    const Matcher at = places.at(text);
    const std::uint32_t truth = least.to_value[text];
    const bool finished = model.whole.contains(text) && !follow.empty();
    ASSERT_EQ(at.accepting(), truth == 0);
    ASSERT_EQ(at.done(), finished);
    ASSERT_GE(at.distance(), truth);
    ASSERT_NE(at.distance(), UINT32_MAX);
    ASSERT_EQ(at.distance() == 0, truth == 0);
    if (at.accepting()) {
      const std::string value = at.text();
      ASSERT_TRUE(model.values.contains(value)) << value;
      ASSERT_TRUE(text.starts_with(value));
      ASSERT_EQ(text.substr(value.size()), follow.substr(0, text.size() - value.size()));
      const Json json = at.value();
      ASSERT_TRUE(json.is_string());
    }
    if (finished) continue;
    const MaskRef mask = at.mask(1000);
    bool lowers = at.distance() == 0;
    for (std::size_t id = 0; id < vocabulary->size(); ++id) {
      const auto t = static_cast<TokenId>(id);
      if (vocabulary->is_end(t)) {
        ASSERT_EQ(mask->allows(t), follow.empty() && model.whole.contains(text));
        continue;
      }
      const std::string next = text + std::string(vocabulary->bytes(t));
      const bool allowed =
          model.prefixes.contains(next) && least.live[next] && least.to_value[next] != UINT32_MAX;
      ASSERT_EQ(mask->allows(t), allowed) << vocabulary->bytes(t);
      Matcher m = at;
      ASSERT_EQ(m.advance(t), allowed) << vocabulary->bytes(t);
      if (!allowed) {
        ASSERT_EQ(m.text(), at.text());
        continue;
      }
      lowers |= m.distance() < at.distance();
      if (places.try_emplace(next, m).second) work.push_back(next);
      // A smaller budget allows exactly what still closes within it by the engine's own distances.
      for (const std::uint32_t left : {1U, 2U, 3U, 5U}) {
        ASSERT_EQ(at.mask(left)->allows(t), m.distance() <= left - 1)
            << left << " left, " << vocabulary->bytes(t);
      }
    }
    ASSERT_TRUE(lowers);
    ASSERT_TRUE(at.distance() != 0 || at.mask(0)->count() > 0);
  }
}

TEST(Oracle, MasksDistancesAndEndsAgreeWithTheListedLanguage) {
  int checked = 0;
  for (unsigned seed = 0; seed < 4000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    check_seed(seed, &checked);
    if (testing::Test::HasFatalFailure()) return;
  }
  EXPECT_GT(checked, 1000);
}

TEST(Oracle, SpansAreTheWordsOfTheirSourceAndNothingElse) {
  int checked = 0;
  for (unsigned seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    check_seed(seed, &checked, "a1 ", true);
    if (testing::Test::HasFatalFailure()) return;
  }
  EXPECT_GT(checked, 800);
}

}  // namespace
}  // namespace espalier::grammar
