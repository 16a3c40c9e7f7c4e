// The grammar itself: no rule loops without reading, and every construct is exercised by the
// programs.
#include "dsl/grammar.h"

#include <gtest/gtest.h>

#include <set>
#include <tao/pegtl/contrib/analyze.hpp>

#include "support.h"

namespace espalier::dsl {
namespace {

TEST(Grammar, HasNoRuleThatLoopsWithoutReading) {
  EXPECT_EQ(tao::pegtl::analyze<syntax::file>(), 0u);
}

TEST(Grammar, EveryKindOfNodeOccursInThePrograms) {
  std::set<int> seen;
  for (const auto& path : testing::files(testing::folder() / "programs", ".gen")) {
    const Source source(path.filename().string(), testing::read_file(path));
    Diagnostics diagnostics;
    const auto result = match_syntax(source, 0, diagnostics);
    EXPECT_TRUE(result.complete);
    EXPECT_EQ(diagnostics.size(), 0u) << path << render(diagnostics, {&source, 1});
    for (const SyntaxNode& node : result.tree.nodes) seen.insert(static_cast<int>(node.kind));
    for (std::size_t i = 0; i < result.tree.nodes.size(); ++i) {
      const SyntaxNode& node = result.tree.nodes[i];
      EXPECT_LE(node.begin, node.end);
      EXPECT_GT(node.next, i);
      for (std::size_t child = i + 1; child < node.next; child = result.tree.nodes[child].next) {
        EXPECT_GE(result.tree.nodes[child].begin, node.begin);
        EXPECT_LE(result.tree.nodes[child].end, node.end);
      }
    }
  }
  for (int kind = 0; kind < static_cast<int>(Kind::kComment); ++kind)
    EXPECT_EQ(seen.count(kind), 1u) << "kind " << kind;
}

}  // namespace
}  // namespace espalier::dsl
