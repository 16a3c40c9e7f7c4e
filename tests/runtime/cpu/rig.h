// A backend with sequences that own their pages, for tests of what a step computes.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/system.h"
#include "runtime/backend.h"
#include "runtime/cpu/cpu_backend.h"
#include "runtime/model/model.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/run_step.h"

namespace espalier::runtime::testing {

/// The model in a file of these bytes, which does not stay. Null, and the test fails, where it is
/// refused.
inline std::shared_ptr<const Model> load_bytes(const std::string& bytes) {
  const auto path = std::filesystem::temp_directory_path() /
                    ("espalier_rig_" + std::to_string(::getpid()) + ".gguf");
  espalier::testing::write_file(path.string(), bytes);
  auto model = Model::load(path.string(), real_system());
  std::filesystem::remove(path);
  if (!model) {
    ADD_FAILURE() << model.error().message;
    return nullptr;
  }
  return *model;
}

/// A path of tokens with pages of its own, or pages it shares.
struct Sequence {
  std::vector<PageId> pages;
  std::uint32_t length = 0;
};

/// Builds a Batch row by row.
class BatchBuilder {
 public:
  /// Appends `ids` to the sequence: its rows write to its own pages. The first row's index.
  std::uint32_t append(Sequence& sequence, std::span<const TokenId> ids) {
    const auto first = static_cast<std::uint32_t>(batch.rows.size());
    const auto index = static_cast<std::uint32_t>(batch.sequences.size());
    batch.sequences.push_back(sequence.pages);
    for (const TokenId id : ids) {
      const std::uint32_t position = sequence.length++;
      batch.rows.push_back(
          {id, position, index, static_cast<std::uint32_t>(batch.writes.size()), 1});
      batch.writes.push_back({sequence.pages[position / kPageTokens], position % kPageTokens});
    }
    return first;
  }
  Batch batch;
};

class Rig {
 public:
  explicit Rig(std::shared_ptr<const Model> model, CpuOptions options = {}) {
    if (options.threads == 0) options.threads = 1;
    if (options.kv_bytes == 0) options.kv_bytes = std::uint64_t{512} << 20;
    auto made = CpuBackend::create(std::move(model), options, real_system());
    if (!made) {
      ADD_FAILURE() << made.error().message;
      return;
    }
    backend = std::move(*made);
  }
  explicit Rig(Result<std::unique_ptr<Backend>> made) {
    if (!made) {
      ADD_FAILURE() << made.error().message;
      return;
    }
    backend = std::move(*made);
  }
  explicit operator bool() const { return backend != nullptr; }

  /// A sequence with room for `tokens`, on pages that nobody has.
  Sequence sequence(std::uint32_t tokens) {
    Sequence out;
    for (std::uint32_t i = 0; i < (tokens + kPageTokens - 1) / kPageTokens; ++i) {
      out.pages.push_back(next_page++);
    }
    return out;
  }
  /// Log-probabilities of the whole vocabulary after each of the rows.
  std::vector<std::vector<float>> logprobs(const Batch& batch,
                                           const std::vector<std::uint32_t>& rows) {
    std::vector<RowPlan> plans;
    for (const std::uint32_t row : rows) {
      RowPlan plan;
      plan.row = row;
      plan.want = Want::kLogprobs;
      for (std::uint32_t id = 0; id < backend->info().vocabulary; ++id) {
        plan.ids.push_back(static_cast<TokenId>(id));
      }
      plans.push_back(std::move(plan));
    }
    auto results = run_step(*backend, batch, plans);
    std::vector<std::vector<float>> out;
    if (!results) {
      ADD_FAILURE() << results.error().message;
      return std::vector<std::vector<float>>(rows.size());
    }
    for (auto& result : *results) out.push_back(std::move(result.logprobs));
    return out;
  }
  /// The same after the last of `ids`, fed in one step.
  std::vector<float> feed(Sequence& sequence, std::span<const TokenId> ids) {
    BatchBuilder builder;
    const std::uint32_t first = builder.append(sequence, ids);
    return logprobs(builder.batch, {first + static_cast<std::uint32_t>(ids.size()) - 1})[0];
  }

  std::unique_ptr<Backend> backend;
  PageId next_page = 0;
};

}  // namespace espalier::runtime::testing
