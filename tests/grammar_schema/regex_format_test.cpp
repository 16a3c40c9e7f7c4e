// `format: regex` against ECMA-262's Pattern production, written down as a parser.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>

#include "grammar/regex.h"
#include "grammar/schema/scalar_library.h"
#include "grammar/schema/schema_graph.h"
#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

// Pattern with the u flag, and identity escapes of ASCII punctuation as without it.
class Production {
 public:
  explicit Production(std::string_view text) : text_(text) {}
  bool holds() { return disjunction() && at_ == text_.size(); }

 private:
  [[nodiscard]] bool looking_at(std::string_view what) const {
    return text_.substr(at_).starts_with(what);
  }
  bool take(std::string_view what) {
    if (!looking_at(what)) return false;
    at_ += what.size();
    return true;
  }
  bool take_one_of(std::string_view set) {
    if (at_ == text_.size() || set.find(text_[at_]) == std::string_view::npos) return false;
    ++at_;
    return true;
  }
  bool disjunction() {
    do {
      while (at_ < text_.size() && !looking_at("|") && !looking_at(")")) {
        if (!term()) return false;
      }
    } while (take("|"));
    return true;
  }
  bool term() {
    if (take("^") || take("$") || take("\\b") || take("\\B")) return true;
    for (const char* look : {"(?=", "(?!", "(?<=", "(?<!"}) {
      if (take(look)) return disjunction() && take(")");
    }
    return atom() && quantifier();
  }
  bool atom() {
    if (take("(")) {
      if (take("?") && !take(":")) return false;  // (names are not made here)
      return disjunction() && take(")");
    }
    if (take("[")) return in_class();
    if (take("\\")) return escape(false);
    if (take(".")) return true;
    if (std::string_view("^$\\.*+?()[]{}|").find(text_[at_]) != std::string_view::npos)
      return false;
    ++at_;
    return true;
  }
  bool number(unsigned& value) {
    const std::size_t from = at_;
    value = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      value = value * 10 + static_cast<unsigned>(text_[at_++] - '0');
    }
    return at_ > from;
  }
  bool quantifier() {
    if (take("{")) {
      unsigned low = 0, high = 0;
      if (!number(low)) return false;
      if (take(",") && number(high) && high < low) return false;
      if (!take("}")) return false;
    } else if (!take_one_of("*+?")) {
      return true;
    }
    take("?");
    return true;
  }
  bool escape(bool inside) {
    if (inside && take("b")) return true;
    set_ = looking_at("d") || looking_at("w");
    if (take_one_of("dDwWsSfnrtv") || take_one_of("^$\\.*+?()[]{}|/ -,!=:")) return true;
    if (take("x")) return take_one_of("0123456789ab") && take_one_of("0123456789ab");
    return false;
  }
  // One character or escape of a class; `value` is what it is, or -1 of a set.
  bool class_atom(int& value) {
    set_ = false;
    if (take("\\")) {
      const std::size_t from = at_;
      if (!escape(true)) return false;
      value = set_ ? -1 : static_cast<unsigned char>(text_[from]);
      return true;
    }
    if (at_ == text_.size() || text_[at_] == ']') return false;
    value = static_cast<unsigned char>(text_[at_++]);
    return true;
  }
  bool in_class() {
    take("^");
    while (!take("]")) {
      int low = 0, high = 0;
      if (!class_atom(low)) return false;
      if (!looking_at("-") || looking_at("-]")) continue;
      ++at_;
      if (!class_atom(high) || low < 0 || high < 0 || low > high) return false;
      ranges_ = true;
    }
    return true;
  }

 public:
  bool ranges_ = false;  // inside a class: what the format leaves out may follow

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  bool set_ = false;
};

const GrammarRef& format() {
  static const GrammarRef made =
      compile_json_schema(testing::byte_vocabulary(), Json{{"type", "string"}, {"format", "regex"}})
          .value();
  return made;
}
bool accepts(const std::string& text) { return testing::accepts(format(), Json(text).dump()); }

TEST(RegexFormat, HoldsNoTextThatIsNoPatternAndLeavesOutWhatItSays) {
  std::mt19937 random(5);
  const auto piece = [&](std::string_view pieces) { return pieces[random() % pieces.size()]; };
  int valid = 0, left_out = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string text;
    const bool class_alone = random() % 3 == 0;
    if (class_alone) text = "[";
    const std::string_view pieces = class_alone ? std::string_view("a3z-^\\]d[b-/w9")
                                                : std::string_view("a/|^$.*?(){}2,[]\\bd-:=!");
    for (std::size_t n = 1 + random() % 7; n > 0; --n) text += piece(pieces);
    if (class_alone && random() % 4 != 0) text += "]";
    Production production(text);
    const bool holds = production.holds();
    const bool ours = accepts(text);
    ASSERT_TRUE(holds || !ours) << text;
    valid += holds ? 1 : 0;
    if (holds && !ours) {
      // Ranges of other characters than letters and digits of one kind.
      ++left_out;
      EXPECT_TRUE(production.ranges_) << text;
    }
  }
  EXPECT_GT(valid, 3'000);
  EXPECT_LT(left_out * 5, valid);
}

// Masks in it are tables: else each would be a walk over an automaton as it is made.
TEST(RegexFormat, IsOneFinishedAutomaton) {
  const auto library = ScalarLibrary::of(testing::byte_vocabulary());
  Fuel fuel("steps", 10'000'000);
  const auto pool = std::make_shared<ExpressionPool>(fuel);
  const auto inside = regex_expression(*pool, schema_format("regex")->regex,
                                       {RegexDialect::kEcma, false, true, false, false});
  ASSERT_TRUE(inside);
  const Expr root = pool->concat({pool->bytes("\""), *inside, pool->bytes("\"")});
  const auto program =
      Program::create(pool, root, testing::byte_vocabulary(), {}, {}, fuel).value();
  const auto dfa = ScalarDfa::create(program, ScalarLibrary::kFormatSteps, library->string());
  ASSERT_NE(dfa, nullptr);
  EXPECT_LT(dfa->size(), 6'000U);
}

TEST(RegexFormat, HoldsPatternsThatPeopleWrite) {
  for (const char* pattern : {"/build/",
                              "^dist/",
                              R"(^\d+\/\d+$)",
                              "[1-9][0-9]*",
                              "[a-fA-F0-9]{6}",
                              R"([\w\-.]+@[\w-]+)",
                              "[-_a-z]",
                              "[a-z-]",
                              R"([^\]]*)",
                              R"(\u{1F600}\u00E9)",
                              R"(\p{Lu}\P{L})",
                              R"(^[ -~]+$)",
                              R"(\"[^\"]*\")",
                              R"(a\-b)",
                              "[[(]",
                              R"([\b\t])",
                              "(a|b)*?c{2,3}?",
                              "",
                              R"((?<!\.)x(?!y))",
                              R"((?<year>[0-9]{4})-x)",
                              "a b"}) {
    EXPECT_TRUE(accepts(pattern)) << pattern;
  }
  for (const char* not_one :
       {"[9-1]",         "[z-a]", "(",    ")",      "a**",      R"(\Z)",      R"(\a)",
        R"(\)",          "[",     "{",    "a{2,1}", "(?P<n>a)", R"([\w-z])",  "(?=a)*",
        R"(\u{110000})", "]",     "(?a)", R"(\x1)", R"(\u12)",  R"(\p{Foo})", R"(\c1)",
        R"(\01)",        "a{1"}) {
    EXPECT_FALSE(accepts(not_one)) << not_one;
  }
}

}  // namespace
}  // namespace espalier::grammar
