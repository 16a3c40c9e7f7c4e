// A backend beside the CPU's: the same steps, and the same bits of answers and pages.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cpu/kv_pool.h"
#include "runtime/cuda/cuda_backend.h"
#include "tests/runtime/cpu/rig.h"
#include "tests/runtime/cuda/rig.h"
#include "tests/support/gguf_writer.h"

namespace espalier::runtime::cuda {

using testing::BatchBuilder;
using testing::load_bytes;
using testing::Rig;
using testing::Sequence;
using Random = std::mt19937_64;

/// Pages of a pool. Few bytes: the shim protects all of them before and after each kernel.
inline constexpr PageId kPages = 200;
inline std::uint64_t pool_bytes(const Model& model, KvType type = KvType::kF16) {
  return kPages * cpu::KvPool::page_bytes(model.shape(), type);
}

/// A model of four layers in Q4_0.
inline std::shared_ptr<const Model> four_layers(
    TensorType type = TensorType::kQ4_0,
    std::uint32_t kv_heads = espalier::testing::TinyLlama().kv_heads, bool tied = true) {
  espalier::testing::TinyLlama description;
  description.layers = 4;
  description.kv_heads = kv_heads;
  description.tied = tied;
  description.matrix_type = static_cast<std::uint32_t>(type);
  return load_bytes(description.writer().finish().bytes);
}

/// So many ranks on device 0, with the last `layers` there (0: all).
inline CudaOptions ranks(std::uint32_t stages, std::uint32_t tensor, std::uint32_t layers = 0) {
  CudaOptions out;
  out.devices.assign(std::size_t{stages} * tensor, 0);
  out.tensor_parallel = tensor;
  out.links = CudaOptions::Links::kThreads;
  out.layers = layers;
  return out;
}

inline std::vector<TokenId> random_ids(Random& random, const Model& model, std::size_t n) {
  std::vector<TokenId> ids(n);
  for (auto& id : ids) id = static_cast<TokenId>(random() % model.shape().vocabulary);
  return ids;
}

// Both backends with the same pages, full of NaN.
struct Twins {
  explicit Twins(const std::shared_ptr<const Model>& model, CudaOptions options = {},
                 System& system = real_system())
      : cpu(model, {.threads = 1,
                    .kv_bytes = pool_bytes(*model, options.kv_type),
                    .kv_type = options.kv_type,
                    .isa = ""}),
        device(made(model, options, system)) {
    if (!*this) return;
    std::vector<std::byte> bytes(cpu.backend->info().page_bytes);
    for (PageId page = 0; page < kPages; ++page) {
      cpu.backend->poison(page);
      cpu.backend->export_page(page, bytes);
      device.backend->import_page(page, bytes);
    }
  }
  explicit operator bool() const { return cpu.backend != nullptr && device.backend != nullptr; }

  // Log-probabilities of rows, the same on both.
  void step(const Batch& batch, const std::vector<std::uint32_t>& rows) {
    const auto expected = cpu.logprobs(batch, rows);
    const auto actual = device.logprobs(batch, rows);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      ASSERT_TRUE(same_bits(expected[i], actual[i])) << "row " << rows[i];
    }
  }
  // Greedy choices of some rows under a mask of about two thirds of the first `most` tokens: each
  // to `compare`, with the mask's words, as the CPU and as the device have made it.
  template <class Compare>
  void choose_masked(Random& random, const Model& model, std::uint32_t rows, std::uint32_t most,
                     const Compare& compare) {
    const Sampling greedy;
    std::vector<std::uint64_t> words((model.shape().vocabulary + 63) / 64);
    for (std::uint32_t id = 0; id < most; ++id) {
      if (random() % 3 != 0 || id == 2) words[id / 64] |= 1ULL << (id % 64);
    }
    const auto mask = std::make_shared<grammar::Mask>(words);
    Sequence sequence = cpu.sequence(40);
    BatchBuilder builder;
    builder.append(sequence, random_ids(random, model, rows));
    std::vector<RowPlan> plans(rows);
    for (std::uint32_t i = 0; i < rows; ++i) {
      plans[i].row = i;
      plans[i].sampling = &greedy;
      plans[i].mask = mask;
    }
    const auto expected = run_step(*cpu.backend, builder.batch, plans);
    const auto actual = run_step(*device.backend, builder.batch, plans);
    ASSERT_TRUE(expected && actual);
    for (std::uint32_t i = 0; i < rows; ++i) {
      compare(words, (*expected)[i].sampled, (*actual)[i].sampled);
    }
    cpu.next_page -= static_cast<PageId>(sequence.pages.size());
  }
  void expect_same_page(PageId page) {
    std::vector<std::byte> a(cpu.backend->info().page_bytes);
    std::vector<std::byte> b(a.size());
    cpu.backend->export_page(page, a);
    device.backend->export_page(page, b);
    EXPECT_TRUE(a == b) << "page " << page;
  }
  static Result<std::unique_ptr<Backend>> made(const std::shared_ptr<const Model>& model,
                                               CudaOptions options,
                                               System& system = real_system()) {
    options.threads = 2;
    options.kv_bytes = pool_bytes(*model, options.kv_type);
    return CudaBackend::create(model, options, system);
  }

  Rig cpu, device;
};

// A prompt in chunks, forks that share whole pages and copy the head of a boundary page, and steps
// of decode rows and chunks together.
inline void run_branches(const std::shared_ptr<const Model>& model, std::uint64_t seed,
                         std::size_t prompt, CudaOptions options = {},
                         System& system = real_system()) {
  Random random(seed);
  set_order(seed + 1);
  Twins twins(model, std::move(options), system);
  ASSERT_TRUE(twins);
  const auto room = static_cast<std::uint32_t>(prompt + 60);
  std::vector<Sequence> branches{twins.cpu.sequence(room)};
  for (std::size_t done = 0; done < prompt;) {
    BatchBuilder builder;
    const std::size_t count = std::min<std::size_t>(prompt - done, 1 + random() % 90);
    const auto first = builder.append(branches[0], random_ids(random, *model, count));
    std::vector<std::uint32_t> rows;  // of some chunks nothing is wanted
    if (random() % 3 != 0) rows.push_back(first + static_cast<std::uint32_t>(random() % count));
    if (random() % 3 == 0 && rows != std::vector{first}) rows.insert(rows.begin(), first);
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
    ASSERT_NO_FATAL_FAILURE(twins.step(builder.batch, rows));
    done += count;
  }
  std::vector<PageCopy> copies;
  const std::size_t forks = 1 + random() % 12;
  while (branches.size() <= forks) {
    const Sequence from = branches[random() % branches.size()];
    Sequence fork;
    fork.length = from.length -
                  static_cast<std::uint32_t>(random() % std::min<std::uint32_t>(40, from.length));
    const std::uint32_t whole = fork.length / kPageTokens;
    fork.pages.assign(from.pages.begin(), from.pages.begin() + whole);
    const Sequence own = twins.cpu.sequence(room - whole * kPageTokens);
    fork.pages.insert(fork.pages.end(), own.pages.begin(), own.pages.end());
    if (fork.length % kPageTokens != 0) {
      copies.push_back({from.pages[whole], own.pages[0], fork.length % kPageTokens});
    }
    branches.push_back(std::move(fork));
  }
  for (int step = 0; step < 3; ++step) {
    BatchBuilder builder;
    builder.batch.copies = std::exchange(copies, {});
    std::vector<std::uint32_t> rows;
    for (Sequence& branch : branches) {
      if (step > 0 && random() % 4 == 0) continue;
      const auto more = random_ids(random, *model, random() % 3 == 0 ? 1 + random() % 9 : 1);
      const auto first = builder.append(branch, more);
      rows.push_back(first + static_cast<std::uint32_t>(more.size()) - 1);
    }
    if (rows.empty()) continue;
    ASSERT_NO_FATAL_FAILURE(twins.step(builder.batch, rows));
  }
  for (const Sequence& branch : branches) {
    for (const PageId page : branch.pages) twins.expect_same_page(page);
  }
}

#ifdef ESPALIER_HOST_CUDA
/// Steps on a device that is lost after so many calls: they go on until one says so, and so does
/// the next.
inline void expect_the_loss_is_said(Rig& rig, const Model& model, Random& random, unsigned calls) {
  Sequence sequence = rig.sequence(40);
  BatchBuilder builder;
  builder.append(sequence, random_ids(random, model, 20));
  RowPlan plan;
  const Sampling greedy;
  plan.row = 19;
  plan.sampling = &greedy;
  host_cuda::lose_device_after(calls);
  bool lost = false;
  for (int step = 0; step < 50; ++step) {
    const auto result = run_step(*rig.backend, builder.batch, std::span(&plan, 1));
    if (result) {
      ASSERT_FALSE(lost) << "a lost device came back";
      continue;
    }
    EXPECT_EQ(result.error().code, ErrorCode::kInternal) << result.error().message;
    EXPECT_NE(result.error().message.find("CUDA: "), std::string::npos);
    if (lost) return;
    lost = true;
  }
  FAIL() << "not lost after " << calls << " calls";
}
#endif

}  // namespace espalier::runtime::cuda
