// Engines side by side, each on devices of its own: which they get, the text of one engine on the
// CPU, and a device that is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/fault_system.h"
#include "runtime/cpu/cpu_backend.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/engine_backends.h"
#include "tests/runtime/cuda/twins.h"

namespace espalier::runtime::cuda {
namespace {

std::shared_ptr<const Model> tiny() { return four_layers(); }

BackendOptions on(const std::string& device) {
  BackendOptions out;
  auto parsed = Device::parse(device);
  EXPECT_TRUE(parsed.has_value());
  out.device = *parsed;
  out.threads = 4;
  return out;
}

class EightProcessors : public FaultSystem {
 public:
  EightProcessors() : FaultSystem(real_system()) {}
  unsigned processors() override { return processors_; }
  unsigned processors_ = 8;
};

// "cpu x2", "cuda:0,1 x2": of each engine its device and threads.
std::vector<std::string> dealt(const BackendOptions& options, std::size_t count) {
  EightProcessors system;
  const auto each = deal_out(tiny(), options, count, system);
  if (!each) return {each.error().message};
  std::vector<std::string> out;
  for (const BackendOptions& it : *each) {
    std::string text = it.device.kind == Device::Kind::kCpu    ? "cpu"
                       : it.device.kind == Device::Kind::kAuto ? "auto"
                                                               : "cuda:";
    if (it.device.kind == Device::Kind::kCuda) {
      for (const int number : it.device.numbers) {
        text += (text.back() == ':' ? "" : ",") + std::to_string(number);
      }
    }
    out.push_back(text + " x" + std::to_string(it.threads));
  }
  return out;
}

using Dealt = std::vector<std::string>;

TEST(EngineDevices, AreDealtOutInTheirOrderAndThreadsDivided) {
  EXPECT_EQ(dealt(on("auto"), 1), (Dealt{"auto x4"}));
  EXPECT_EQ(dealt(on("cuda:5,3"), 1), (Dealt{"cuda:5,3 x4"}));
  EXPECT_EQ(dealt(on("cpu"), 2), (Dealt{"cpu x2", "cpu x2"}));
  EXPECT_EQ(dealt(on("cpu"), 5), (Dealt{"cpu x1", "cpu x1", "cpu x1", "cpu x1", "cpu x1"}));
  EXPECT_EQ(dealt(on("cuda:3,1"), 2), (Dealt{"cuda:3 x2", "cuda:1 x2"}));
  EXPECT_EQ(dealt(on("cuda:3,1,0,2"), 2), (Dealt{"cuda:3,1 x2", "cuda:0,2 x2"}));
  EXPECT_EQ(dealt(on("cuda"), 2), (Dealt{"2 engines have as many devices each: 1 is named"}));
  EXPECT_EQ(dealt(on("cuda:0,1,2"), 2),
            (Dealt{"2 engines have as many devices each: 3 are named"}));
  EXPECT_EQ(dealt(on("cpu"), 0), (Dealt{"0 engines: there may be 1 to 64"}));
  EXPECT_EQ(dealt(on("cpu"), 65), (Dealt{"65 engines: there may be 1 to 64"}));
  BackendOptions none = on("cuda:0,1");
  none.gpu_layers = 0;
  EXPECT_EQ(dealt(none, 2), (Dealt{"cpu x2", "cpu x2"}));
  // The pool that nobody asked for is divided where it is one memory.
  EightProcessors system;
  const auto cpus = deal_out(tiny(), on("cpu"), 4, system);
  ASSERT_TRUE(cpus.has_value());
  EXPECT_EQ((*cpus)[3].kv_bytes, CpuBackend::default_kv_bytes(system) / 4);
}

TEST(EngineDevices, HaveNoMoreThreadsThanThereAreProcessors) {
  EightProcessors system;
  BackendOptions options = on("cpu");
  EXPECT_EQ(threads_of(options, system), 4U);
  options.threads = 0;
  EXPECT_EQ(threads_of(options, system), 8U);
  options.threads = 1000;
  EXPECT_EQ(threads_of(options, system), 8U);
  const auto each = deal_out(tiny(), options, 3, system);
  ASSERT_TRUE(each.has_value());
  for (const BackendOptions& it : *each) EXPECT_EQ(it.threads, 2U);
  system.processors_ = 1024;
  EXPECT_EQ(threads_of(options, system), CpuBackend::kMostThreads);
  system.processors_ = 1;
  EXPECT_EQ(threads_of(options, system), 1U);
}

#ifdef ESPALIER_HOST_CUDA

TEST(EngineDevices, AutoTakesAsManyAsTakeTheModelElseTheCpu) {
  host_cuda::reset_device();
  EXPECT_EQ(dealt(on("auto"), 2), (Dealt{"cpu x2", "cpu x2"}));  // one device
  host_cuda::set_devices(3);
  EXPECT_EQ(dealt(on("auto"), 2), (Dealt{"cuda:0 x2", "cuda:1 x2"}));
  EXPECT_EQ(dealt(on("auto"), 4), (Dealt{"cpu x1", "cpu x1", "cpu x1", "cpu x1"}));
  BackendOptions layers = on("auto");
  layers.gpu_layers = 2;
  EXPECT_EQ(dealt(layers, 3), (Dealt{"cuda:0 x1", "cuda:1 x1", "cuda:2 x1"}));
  EXPECT_EQ(dealt(layers, 4),
            (Dealt{"4 engines with layers on a GPU each: this espalier can use 3 here"}));
  BackendOptions type = on("auto");
  type.kv_type = KvType::kQ8;
  EXPECT_EQ(dealt(type, 2), (Dealt{"cuda:0 x2", "cuda:1 x2"}));
  host_cuda::set_devices(0, cudaErrorNoDevice);
  EXPECT_EQ(dealt(on("auto"), 2), (Dealt{"cpu x2", "cpu x2"}));
  host_cuda::reset_device();
}

// ---- under the engine

std::uint64_t pool(const Model& model, std::uint32_t pages) {
  return pages * cpu::KvPool::page_bytes(model.shape(), KvType::kF16);
}

// Programs of two turns and a fork each, of three heads, several at once; some at a temperature.
std::vector<std::vector<TokenId>> say(Engine& engine, unsigned at_once) {
  std::vector<std::vector<TokenId>> out(8);
  std::atomic<std::size_t> next = 0;
  const auto run = [&](std::size_t program) {
    Branch trunk = engine.open();
    std::vector<TokenId> head;
    for (std::size_t i = 0; i < 40; ++i) {
      head.push_back(static_cast<TokenId>(3 + (i * 7 + program % 3 * 13) % 200));
    }
    trunk.append(head);
    const auto speak = [&](Branch& branch, TokenId id) {
      branch.append(std::vector<TokenId>{id});
      GenerateRequest request;
      request.max_tokens = 4;
      request.sampling.temperature = program % 2 == 0 ? 0.0F : 0.8F;
      request.key = RandomKey(program * 10 + static_cast<std::uint64_t>(id));
      const auto answer = branch.generate_now(std::move(request));
      EXPECT_TRUE(answer.has_value()) << answer.error().message;
      if (answer) out[program].insert(out[program].end(), answer->ids.begin(), answer->ids.end());
    };
    speak(trunk, static_cast<TokenId>(20 + program));
    Branch fork = trunk.fork();
    speak(fork, 30);
    speak(trunk, 31);
  };
  std::vector<std::thread> clients;
  for (unsigned c = 0; c < at_once; ++c) {
    clients.emplace_back([&] {
      for (std::size_t at; (at = next++) < out.size();) run(at);
    });
  }
  for (std::thread& client : clients) client.join();
  const Status idle = engine.check_idle();
  EXPECT_TRUE(idle.has_value()) << idle.error().message;
  return out;
}

std::unique_ptr<Engine> engines(const std::shared_ptr<const Model>& model, BackendOptions options,
                                std::size_t count) {
  options.kv_bytes = pool(*model, 64);
  auto made = make_engine_backends(model, options, count, std::nullopt, real_system());
  EXPECT_TRUE(made.has_value()) << made.error().message;
  EngineOptions engine;
  engine.max_rows = 32;
  engine.poison = engine.check = true;
  auto out = Engine::create(std::move(made->backends), engine, real_system());
  EXPECT_TRUE(out.has_value()) << out.error().message;
  return std::move(*out);
}

TEST(EnginesSideBySide, SayWhatOneEngineOnTheCpuSays) {
  host_cuda::reset_device();
  host_cuda::set_devices(4);
  ASSERT_EQ(setenv("ESPALIER_NCCL", "none", 1), 0);
  const auto model = tiny();
  const auto expected = say(*engines(model, on("cpu"), 1), 1);
  for (const char* device : {"cuda:0,1", "cuda:3,1,0,2"}) {
    auto two = engines(model, on(device), 2);
    EXPECT_EQ(say(*two, 4), expected) << device;
    for (const EngineStats& it : two->stats_of_each()) EXPECT_GT(it.stats.requests, 0U);
  }
  unsetenv("ESPALIER_NCCL");
  host_cuda::reset_device();
}

// What runs on a lost device ends with its error. All else goes to the other: its own programs, new
// ones, and what the lost one's programs ask from then on.
TEST(EnginesSideBySide, ALostDeviceFailsWhatRunsThereAlone) {
  host_cuda::reset_device();
  host_cuda::set_devices(2);
  const auto model = tiny();
  const auto cpu = engines(model, on("cpu"), 1);
  const auto expected = say(*cpu, 1);
  for (const unsigned calls : {0U, 25U}) {
    SCOPED_TRACE(calls);
    auto two = engines(model, on("cuda:0,1"), 2);
    // One program of each.
    std::vector<Branch> live;
    const auto speak = [&](Branch& branch) {
      branch.append(std::vector<TokenId>{7});
      GenerateRequest request;
      request.max_tokens = 24;
      return branch.generate_now(std::move(request));
    };
    for (TokenId id = 0; id < 2; ++id) {
      live.push_back(two->open());
      live.back().append(std::vector<TokenId>(20, id + 5));
      ASSERT_TRUE(speak(live.back()).has_value());
    }
    const auto first = two->stats_of_each();
    ASSERT_EQ(first[0].stats.requests, 1U);
    host_cuda::lose_device_after(calls, cudaErrorLaunchFailure, 1);
    int failed = 0;
    for (Branch& branch : live) {
      const auto answer = speak(branch);
      if (answer) continue;
      ++failed;
      EXPECT_EQ(answer.error().code, ErrorCode::kInternal);
      EXPECT_THAT(answer.error().message, ::testing::HasSubstr("CUDA: "));
      // Twice the token: that of the request that failed stays.
      const auto again = speak(branch);
      ASSERT_TRUE(again.has_value()) << again.error().message;
      Branch same = cpu->open();
      same.append(std::span(branch.ids()).first(branch.ids().size() - again->ids.size()));
      GenerateRequest request;
      request.max_tokens = 24;
      const auto there = same.generate_now(std::move(request));
      ASSERT_TRUE(there.has_value());
      EXPECT_EQ(again->ids, there->ids);
    }
    EXPECT_EQ(failed, 1);
    const auto each = two->stats_of_each();
    EXPECT_FALSE(each[0].failed);
    EXPECT_TRUE(each[1].failed);
    EXPECT_FALSE(each[0].lost);
    EXPECT_TRUE(each[1].lost);
    EXPECT_EQ(each[1].programs, 0U);
    EXPECT_EQ(say(*two, 4), expected);
    two.reset();
    live.clear();
    host_cuda::reset_device();
    host_cuda::set_devices(2);
  }
  host_cuda::reset_device();
}

#endif

}  // namespace
}  // namespace espalier::runtime::cuda
