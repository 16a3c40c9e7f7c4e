// An engine whose steps begin before the ids of the ones before are known, on the CUDA backend over
// the shim: it says what the CPU says, and a device that is lost then ends its programs alone.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/engine/engine.h"
#include "tests/runtime/cuda/twins.h"

namespace espalier::runtime::cuda {
namespace {

#ifdef ESPALIER_HOST_CUDA

std::vector<std::vector<TokenId>> say(Engine& engine, std::size_t programs, float temperature) {
  Executor executor(2);
  std::vector<std::vector<TokenId>> out(programs);
  std::vector<Branch> branches;
  const auto one = [&](std::size_t i) -> Task<bool> {
    GenerateRequest request;
    request.max_tokens = static_cast<std::uint32_t>(30 + 5 * i);
    request.sampling.temperature = temperature;
    request.key = RandomKey(i);
    if (i % 2 == 1) request.end_tokens = {3, 4, 5, 6, 7, 8, 9, 10};
    auto said = branches[i].generate(executor, std::move(request));
    const auto answer = co_await said;
    EXPECT_TRUE(answer.has_value()) << answer.error().message;
    if (answer) out[i] = answer->ids;
    co_return true;
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < programs; ++i) {
    branches.push_back(engine.open());
    branches.back().append(std::vector<TokenId>(10 + 3 * i, static_cast<TokenId>(i + 5)));
  }
  for (std::size_t i = 0; i < programs; ++i) {
    threads.emplace_back([&, i] { (void)executor.run(one(i)); });
  }
  for (std::thread& thread : threads) thread.join();
  return out;
}

TEST(AnEngine, BeginsStepsBeforeIdsAreKnownAndSaysTheSame) {
  const auto model = four_layers();
  ASSERT_NE(model, nullptr);
  for (const float temperature : {0.0F, 0.8F}) {
    std::vector<std::vector<std::vector<TokenId>>> texts;
    for (const bool on_device : {false, true}) {
      CpuOptions cpu;
      cpu.threads = 1;
      cpu.kv_bytes = pool_bytes(*model);
      auto made =
          on_device ? Twins::made(model, {}) : CpuBackend::create(model, cpu, real_system());
      ASSERT_TRUE(made.has_value()) << made.error().message;
      EngineOptions options;
      options.draft = false;
      options.poison = true;
      options.check = true;
      if (on_device) options.host_kv_bytes = 40 * (*made)->info().page_bytes;
      auto engine = Engine::create(std::move(*made), options, real_system());
      ASSERT_TRUE(engine.has_value()) << engine.error().message;
      texts.push_back(say(**engine, 5, temperature));
      EXPECT_TRUE((*engine)->check_idle().has_value());
      EXPECT_EQ((*engine)->stats().steps_ahead > 20, on_device);
    }
    EXPECT_EQ(texts[0], texts[1]);
  }
}

// The programs of a device that is lost with two steps under way end with its error, one by one,
// and the engine answers those that come.
TEST(AnEngine, WhoseDeviceIsLostWithTwoStepsUnderWayFailsItsPrograms) {
  const auto model = four_layers();
  ASSERT_NE(model, nullptr);
  for (const unsigned calls : {0U, 7U, 20U, 33U}) {
    SCOPED_TRACE(calls);
    host_cuda::reset_device();
    auto made = Twins::made(model, {});
    ASSERT_TRUE(made.has_value()) << made.error().message;
    EngineOptions options;
    options.draft = false;
    options.check = true;
    auto engine = Engine::create(std::move(*made), options, real_system());
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    Branch branch = (*engine)->open();
    branch.append(std::vector<TokenId>{5, 6, 7});
    GenerateRequest request;
    request.max_tokens = 60;
    std::size_t said = 0;
    request.on_token = [&](const Progress&) {
      if (++said == 20) host_cuda::lose_device_after(calls);
    };
    const auto answer = branch.generate_now(std::move(request));
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().code, ErrorCode::kInternal);
    EXPECT_NE(answer.error().message.find("CUDA: "), std::string::npos) << answer.error().message;
    EXPECT_GT((*engine)->stats().steps_ahead, 10U);
    EXPECT_TRUE((*engine)->stats_of_each()[0].lost);
    EXPECT_TRUE((*engine)->check_idle().has_value());
    Branch next = (*engine)->open();
    next.append(std::vector<TokenId>{5, 6, 7});
    EXPECT_FALSE(next.generate_now(GenerateRequest{}).has_value());
    engine->reset();
    host_cuda::reset_device();
  }
}

// Another process takes all that is free: steps that need more are taken again with the rows that
// there is memory for, and the text is the CPU's. What lacks memory for one row fails by name.
TEST(MemoryThatLacks, UnderAnEngineFailsNobodyWhereFewerRowsDo) {
  host_cuda::reset_device();
  const auto model = four_layers();
  ASSERT_NE(model, nullptr);
  CpuOptions cpu;
  cpu.threads = 1;
  cpu.kv_bytes = pool_bytes(*model);
  auto on_cpu = CpuBackend::create(model, cpu, real_system());
  auto on_device = Twins::made(model, {});
  ASSERT_TRUE(on_cpu && on_device);
  std::vector<std::string> notes;
  EngineOptions options;
  options.draft = false;
  options.check = true;
  options.note = [&](const std::string& note) { notes.push_back(note); };
  auto expected = Engine::create(std::move(*on_cpu), options, real_system());
  auto engine = Engine::create(std::move(*on_device), options, real_system());
  ASSERT_TRUE(expected && engine);
  const auto say = [&](Engine& of, std::size_t prompt, std::uint32_t tokens) {
    Branch branch = of.open();
    std::vector<TokenId> ids;
    for (std::size_t i = 0; i < prompt; ++i) ids.push_back(static_cast<TokenId>(3 + i * 7 % 90));
    branch.append(ids);
    GenerateRequest request;
    request.max_tokens = tokens;
    return branch.generate_now(std::move(request));
  };
  // What grows with rows is there for 40.
  ASSERT_TRUE(say(**engine, 40, 20).has_value());
  host_cuda::set_memory_of_others((std::size_t{16} << 30) - host_cuda::allocated_bytes());
  const auto fewer = say(**engine, 150, 20);
  ASSERT_TRUE(fewer.has_value()) << fewer.error().message;
  EXPECT_EQ(fewer->ids, say(**expected, 150, 20)->ids);
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_NE(notes[0].find("rows found no memory"), std::string::npos) << notes[0];
  // What grows gives up what it had, and now that is not there again either.
  host_cuda::set_memory_of_others(std::size_t{16} << 30);
  const auto none = say(**engine, 350, 20);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code, ErrorCode::kExhausted);
  EXPECT_NE(none.error().message.find("0 MiB free"), std::string::npos) << none.error().message;
  host_cuda::set_memory_of_others(0);
  const auto again = say(**engine, 150, 30);
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(again->ids, say(**expected, 150, 30)->ids);
  EXPECT_TRUE((*engine)->check_idle().has_value());
  host_cuda::reset_device();
}

#endif

}  // namespace
}  // namespace espalier::runtime::cuda
