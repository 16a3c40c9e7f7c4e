// Engines on a real model of the smallest size, for tests of what only a real backend shows.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "runtime/cpu/kv_pool.h"
#include "runtime/engine/engine.h"
#include "tests/runtime/cpu/rig.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/wrapped_backend.h"

namespace espalier::runtime::testing {

using Ids = std::vector<TokenId>;

inline std::shared_ptr<const Model> tiny_model() {
  static const auto made = load_bytes(espalier::testing::TinyLlama{}.writer().finish().bytes);
  return made;
}

inline std::unique_ptr<Backend> tiny_backend(std::uint32_t pages) {
  CpuOptions options;
  options.threads = 1;
  options.kv_bytes = pages * cpu::KvPool::page_bytes(tiny_model()->shape(), options.kv_type);
  auto made = CpuBackend::create(tiny_model(), options, real_system());
  EXPECT_TRUE(made.has_value()) << made.error().message;
  return std::move(*made);
}

/// A backend of the model, told of each step before it runs.
class Watched final : public WrappedBackend {
 public:
  Watched(std::uint32_t pages, std::function<void(std::uint64_t)> before)
      : WrappedBackend(tiny_backend(pages)), before_(std::move(before)) {}
  Status begin(const Batch& batch, std::span<const std::uint32_t> wanted) override {
    ++steps_;
    if (before_) before_(steps_);
    return WrappedBackend::begin(batch, wanted);
  }

 private:
  std::function<void(std::uint64_t)> before_;
  std::uint64_t steps_ = 0;
};

/// What tests want checked, in steps so short that there are several of each thing.
inline EngineOptions checked() {
  EngineOptions options;
  options.max_rows = 16;
  options.poison = options.check = true;
  return options;
}

inline std::unique_ptr<Engine> engine_of(std::uint32_t pages,
                                         std::function<void(std::uint64_t)> before = {},
                                         System& system = real_system(),
                                         const EngineOptions& options = checked()) {
  auto made = Engine::create(std::make_unique<Watched>(pages, std::move(before)), options, system);
  EXPECT_TRUE(made.has_value()) << made.error().message;
  return std::move(*made);
}

/// One exit for all that can go wrong: whatever ended how, the pages add up.
inline void expect_nothing_is_held(Engine& engine) {
  const Status idle = engine.check_idle();
  EXPECT_TRUE(idle.has_value()) << idle.error().message;
  const Stats stats = engine.stats();
  EXPECT_EQ(stats.pages_free + stats.pages_held, stats.pages_total);
}

inline GenerateRequest free_text(std::uint32_t tokens, float temperature = 0) {
  GenerateRequest request;
  request.max_tokens = tokens;
  request.sampling.temperature = temperature;
  request.key = RandomKey(7);
  return request;
}

/// Ids that differ by `number`, behind a head that all have.
inline Ids prompt(std::size_t head, std::uint32_t number) {
  Ids out;
  for (std::size_t i = 0; i < head; ++i) out.push_back(static_cast<TokenId>(3 + i * 7 % 200));
  for (; number > 0; number /= 200) out.push_back(static_cast<TokenId>(3 + number % 200));
  return out;
}

}  // namespace espalier::runtime::testing
