// How far a backend's log-probabilities are from the exact ones: for numerics that are near them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "tests/runtime/cuda/cublaslt.h"
#include "tests/runtime/cuda/twins.h"
#include "tests/support/gguf_writer.h"

namespace espalier::runtime::cuda {

using espalier::testing::TinyLlama;

/// So many ranks on device 0 (see ranks()) under numerics that take cuBLASLt.
inline CudaOptions under(Numerics numerics, std::uint32_t stages = 1, std::uint32_t tensor = 1,
                         std::uint32_t layers = 0) {
  CudaOptions out = ranks(stages, tensor, layers);
  out.numerics = numerics;
  out.find_cublaslt = find_cublaslt;
  return out;
}

struct Farthest {
  double most = 0;
  double sum = 0;
  std::size_t count = 0;
  void take(const std::vector<float>& expected, const std::vector<float>& actual) {
    ASSERT_EQ(expected.size(), actual.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double difference = std::abs(static_cast<double>(expected[i]) - actual[i]);
      most = std::max(most, std::isnan(difference) ? INFINITY : difference);
      sum += difference;
      ++count;
    }
  }
};

/// A prompt in chunks, then steps of its branches together.
inline Farthest compare(const std::shared_ptr<const Model>& model, const CudaOptions& options) {
  Farthest out;
  Random random(11);
  Twins twins(model, options);
  if (!twins) return out;
  std::vector<Sequence> branches{twins.cpu.sequence(120)};
  const auto step = [&](BatchBuilder& builder, const std::vector<std::uint32_t>& rows) {
    const auto expected = twins.cpu.logprobs(builder.batch, rows);
    const auto actual = twins.device.logprobs(builder.batch, rows);
    for (std::size_t i = 0; i < rows.size(); ++i) out.take(expected[i], actual[i]);
  };
  for (const std::size_t count : {40U, 3U, 21U}) {
    BatchBuilder builder;
    const auto first = builder.append(branches[0], random_ids(random, *model, count));
    step(builder, {first, first + static_cast<std::uint32_t>(count) - 1});
  }
  while (branches.size() < 7) {
    Sequence fork = branches[0];
    const Sequence own = twins.cpu.sequence(56);
    std::copy(own.pages.begin(), own.pages.end(), fork.pages.begin() + 4);
    branches.push_back(std::move(fork));
  }
  for (int i = 0; i < 4; ++i) {
    BatchBuilder builder;
    std::vector<std::uint32_t> rows;
    for (Sequence& branch : branches) {
      rows.push_back(builder.append(branch, random_ids(random, *model, 1)));
    }
    step(builder, rows);
  }
  return out;
}

/// Rows of a prompt in two steps, with heads of 64, as wide as tensor cores take.
inline Farthest compare_prompt(TensorType weights, KvType kv_type, CudaOptions options) {
  TinyLlama description;
  description.layers = 2;
  description.width = 256;
  description.matrix_type = static_cast<std::uint32_t>(weights);
  const auto model = load_bytes(description.writer().finish().bytes);
  options.kv_type = kv_type;
  Farthest out;
  Random random(12);
  Twins twins(model, options);
  if (!twins) return out;
  Sequence sequence = twins.cpu.sequence(200);
  for (const std::size_t count : {130U, 70U}) {
    BatchBuilder builder;
    builder.append(sequence, random_ids(random, *model, count));
    std::vector<std::uint32_t> rows(count);
    std::iota(rows.begin(), rows.end(), 0U);
    const auto expected = twins.cpu.logprobs(builder.batch, rows);
    const auto actual = twins.device.logprobs(builder.batch, rows);
    for (std::size_t i = 0; i < rows.size(); ++i) out.take(expected[i], actual[i]);
  }
  return out;
}

}  // namespace espalier::runtime::cuda
