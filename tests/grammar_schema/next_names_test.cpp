// Laws of which names may come next, where formulas say which members come together: those with
// which some whole object is left, and no others.
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

constexpr unsigned kNames = 5;

std::string name_of(unsigned i) { return std::string(1, static_cast<char>('a' + i)); }

// A condition on which of the names come: as a schema, and of a set of them.
struct Condition {
  Json schema;
  std::vector<bool> holds;  // by set
};

class Conditions {
 public:
  explicit Conditions(std::uint32_t seed) : random_(seed) {}

  Condition any(unsigned depth) {
    Condition out;
    switch (random_() % (depth == 0 ? 4 : 8)) {
      case 0:
      case 1: {
        unsigned set = 0;
        Json names = Json::array();
        for (unsigned i = 0; i < 1 + random_() % 2; ++i) {
          const unsigned name = random_() % kNames;
          if ((set >> name & 1U) == 0) names.push_back(name_of(name));
          set |= 1U << name;
        }
        out.schema = {{"required", names}};
        of_sets(out, [set](unsigned s) { return (s & set) == set; });
        break;
      }
      case 2: {
        const unsigned from = random_() % kNames, to = random_() % kNames;
        out.schema["dependentRequired"][name_of(from)] = Json::array({name_of(to)});
        of_sets(out, [=](unsigned s) { return (s >> from & 1U) == 0 || (s >> to & 1U) != 0; });
        break;
      }
      case 3: {
        const auto least = static_cast<int>(random_() % 4);
        const int most = least + static_cast<int>(random_() % 3);
        out.schema = {{"minProperties", least}};
        if (random_() % 2 == 0) out.schema["maxProperties"] = most;
        const bool bounded = out.schema.contains("maxProperties");
        of_sets(out, [=](unsigned s) {
          const int count = __builtin_popcount(s);
          return count >= least && (!bounded || count <= most);
        });
        break;
      }
      case 4: {
        const Condition inner = any(depth - 1);
        out.schema = {{"not", inner.schema}};
        of_sets(out, [&](unsigned s) { return !inner.holds[s]; });
        break;
      }
      default: {
        const char* words[] = {"allOf", "anyOf", "oneOf"};
        const unsigned which = random_() % 3;
        Json parts = Json::array();
        std::vector<unsigned> count(1U << kNames, 0);
        const unsigned size = 2 + random_() % 2;
        for (unsigned i = 0; i < size; ++i) {
          const Condition inner = any(depth - 1);
          parts.push_back(inner.schema);
          for (unsigned s = 0; s < count.size(); ++s) count[s] += inner.holds[s] ? 1 : 0;
        }
        out.schema[words[which]] = parts;
        of_sets(out, [&](unsigned s) {
          return which == 0 ? count[s] == size : which == 1 ? count[s] > 0 : count[s] == 1;
        });
      }
    }
    return out;
  }
  unsigned below(unsigned n) { return random_() % n; }

 private:
  template <class Holds>
  static void of_sets(Condition& out, Holds&& holds) {
    for (unsigned s = 0; s < 1U << kNames; ++s) out.holds.push_back(holds(s));
  }
  std::mt19937 random_;
};

bool feed(Matcher& matcher, const std::string& text) {
  for (const char c : text) {
    if (!matcher.advance(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

TEST(NextNames, AreThoseWithWhichSomeWholeObjectIsLeft) {
  unsigned objects = 0;
  for (std::uint32_t seed = 0; seed < 400; ++seed) {
    Conditions random(seed);
    const Condition condition = random.any(3);
    const unsigned never = random.below(3) == 0 ? 1U << random.below(kNames) : 0;
    Json schema = condition.schema;
    schema["type"] = "object";
    schema["additionalProperties"] = false;
    for (unsigned i = 0; i < kNames; ++i) {
      schema["properties"][name_of(i)] = {{"const", (never >> i & 1U) != 0 ? Json() : Json(1)}};
      if ((never >> i & 1U) != 0) schema["properties"][name_of(i)] = false;
    }
    SCOPED_TRACE(std::to_string(seed) + " " + schema.dump());
    const auto whole = [&](unsigned s) { return condition.holds[s] && (s & never) == 0; };
    const auto completes = [&](unsigned s) {
      for (unsigned t = 0; t < 1U << kNames; ++t) {
        if ((t & s) == s && whole(t)) return true;
      }
      return false;
    };
    const auto grammar = compile_json_schema(testing::byte_vocabulary(), schema);
    ASSERT_EQ(grammar.has_value(), completes(0)) << (grammar ? "" : grammar.error().message);
    if (!grammar) continue;
    // Along some orders of names, as far as they lead.
    for (unsigned round = 0; round < 6; ++round) {
      Matcher at = (*grammar)->start();
      ASSERT_TRUE(feed(at, "{"));
      for (unsigned set = 0;;) {
        ++objects;
        Matcher closed = at;
        ASSERT_EQ(feed(closed, "}") && closed.accepting(), whole(set)) << set;
        std::vector<unsigned> may;
        for (unsigned i = 0; i < kNames; ++i) {
          if ((set >> i & 1U) != 0) continue;
          Matcher next = at;
          const std::string member = (set == 0 ? "\"" : ",\"") + name_of(i) + "\":1";
          const bool comes = feed(next, member);
          ASSERT_EQ(comes, completes(set | 1U << i)) << "after " << set << ": " << name_of(i);
          if (comes) may.push_back(i);
        }
        if (may.empty()) break;
        const unsigned chosen = may[random.below(static_cast<unsigned>(may.size()))];
        ASSERT_TRUE(feed(at, (set == 0 ? "\"" : ",\"") + name_of(chosen) + "\":1"));
        set |= 1U << chosen;
      }
    }
  }
  EXPECT_GT(objects, 3000U);
}

}  // namespace
}  // namespace espalier::grammar
