// Automata that are freed beside the calls that are through with them.
#include "grammar/disposal.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "grammar/compiled_grammar.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kMany = std::size_t{64} << 20;

// Each refers to the program until it is freed.
std::vector<std::unique_ptr<Automaton>> automata(const ProgramRef& program, std::size_t count) {
  std::vector<std::unique_ptr<Automaton>> out;
  for (std::size_t i = 0; i < count; ++i) {
    out.push_back(std::make_unique<Automaton>(program));
    static_cast<void>(out.back()->start({}));
  }
  return out;
}

ProgramRef some_program() {
  Vocabulary::Spec spec;
  for (int b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
  spec.end_of_turn = static_cast<TokenId>(spec.bytes.size());
  spec.bytes.emplace_back();
  Fuel fuel("steps", 100'000);
  const auto pool = std::make_shared<ExpressionPool>(fuel);
  const Expr root = pool->repeat(pool->bytes("ab"), 0);
  return Program::create(pool, root, Vocabulary::create(std::move(spec)).value(), {}, {}, fuel)
      .value();
}

// Waits for a thread: a minute is for ever.
bool comes_to(const ProgramRef& program, long uses) {
  for (int i = 0; i < 60'000 && program.use_count() != uses; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return program.use_count() == uses;
}

TEST(Disposal, FreesAllOfThemInTheEnd) {
  const ProgramRef program = some_program();
  for (int round = 0; round < 50; ++round) {
    dispose(automata(program, 20), kMany);  // meanwhile those of the last round may be under way
  }
  EXPECT_TRUE(comes_to(program, 1));
}

TEST(Disposal, FreesFewBytesBeforeItReturns) {
  const ProgramRef program = some_program();
  dispose(automata(program, 20), 1000);
  EXPECT_EQ(program.use_count(), 1);
}

// What a fork leaves of the thread is nothing to wait for.
TEST(Disposal, InAForkedProcessNeitherWaitsNorKeepsThem) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "this allocator keeps the locks that other threads held at the fork";
#endif
  const ProgramRef program = some_program();
  for (int round = 0; round < 20; ++round) {
    dispose(automata(program, 2000), kMany);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const ProgramRef own = some_program();
      dispose(automata(own, 20), kMany);
      std::exit(comes_to(own, 1) ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_TRUE(comes_to(program, 1));
}

}  // namespace
}  // namespace espalier::grammar
