#include "runtime/cpu/fp8_errors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <initializer_list>
#include <new>
#include <numeric>
#include <utility>

#include "runtime/cpu/isa.h"
#include "runtime/model/e4m3.h"

namespace espalier::runtime::cpu {
namespace {

constexpr std::uint32_t kOutputs = 16;  // that a thread takes at a time

// Sixteen sums side by side, for the compiler's vectors.
double dot(const float* a, const float* b, std::size_t count) {
  constexpr std::size_t kSums = 16;
  float sums[kSums] = {};
  std::size_t k = 0;
  for (; k + kSums <= count; k += kSums) {
    for (std::size_t i = 0; i < kSums; ++i) sums[i] += a[k + i] * b[k + i];
  }
  for (; k < count; ++k) sums[k % kSums] += a[k] * b[k];
  return std::accumulate(std::begin(sums), std::end(sums), 0.0);
}

// What a row's codes stand for.
void code(const float* row, std::size_t count, float* to) {
  std::uint32_t top = 0;
  for (std::size_t k = 0; k < count; ++k) {
    top = std::max(top, std::bit_cast<std::uint32_t>(row[k]) & 0x7FFFFFFFU);
  }
  const E4m3Scale by = e4m3_scale(top);
  for (std::size_t k = 0; k < count; ++k) to[k] = e4m3_to_float(e4m3_code(row[k], by)) * by.scale;
}

std::vector<const Tensor*> tensors_of(const LayerWeights& it, LayerProducts products) {
  switch (products) {
    case LayerProducts::kHeads:
      return {&it.query, &it.key, &it.value};
    case LayerProducts::kOutput:
      return {&it.attention_output};
    case LayerProducts::kHidden:
      return {&it.gate, &it.up};
    case LayerProducts::kDown:
      break;
  }
  return {&it.down};
}

}  // namespace

Fp8Errors::Fp8Errors(std::shared_ptr<const Model> model, std::unique_ptr<WorkerPool> workers,
                     std::unique_ptr<Forward> forward, KvPool pool)
    : model_(std::move(model)),
      workers_(std::move(workers)),
      forward_(std::move(forward)),
      pool_(std::move(pool)),
      sums_(model_->shape().layers),
      weights_(workers_->threads()),
      coded_weights_(workers_->threads()) {
  forward_->watch([this](std::size_t layer, LayerProducts products, const Activations& x,
                         std::size_t rows) { measure(layer, products, x, rows); });
}

Result<std::unique_ptr<Fp8Errors>> Fp8Errors::create(const std::shared_ptr<const Model>& model,
                                                     unsigned threads, System& system) {
  const auto& layers = model->weights().layers;
  bool any = false;
  for (const LayerWeights& it : layers) {
    for (const LayerProducts products : kLayerProducts) {
      for (const Tensor* tensor : tensors_of(it, products)) any = any || takes_fp8(tensor->type);
    }
  }
  if (!any) {
    return fail(ErrorCode::kInvalid, "'" + model->path() +
                                         "': its layers' weights are quantised already; numerics "
                                         "fp8 are for weights in F32, F16 or BF16");
  }
  ESP_ASSIGN(const Kernels* kernels,
             choose_kernels(system.environment("ESPALIER_ISA").value_or("")));
  try {
    ESP_ASSIGN(auto workers, WorkerPool::create(threads));
    const std::uint64_t bytes = (kMostWindow + kPageTokens - 1) / kPageTokens *
                                KvPool::page_bytes(model->shape(), KvType::kF16);
    ESP_ASSIGN(auto pool, KvPool::create(model->shape(), KvType::kF16, bytes));
    ESP_ASSIGN(auto forward, Forward::create(model, *kernels, *workers));
    return std::unique_ptr<Fp8Errors>(
        new Fp8Errors(model, std::move(workers), std::move(forward), std::move(pool)));
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kExhausted, "measuring fp8: out of memory");
  }
}

Status Fp8Errors::take(std::span<const TokenId> window) {
  ESP_CHECK(!window.empty() && window.size() <= kMostWindow);
  try {
    Batch batch;
    std::vector<PageId>& pages = batch.sequences.emplace_back();
    std::vector<std::uint32_t> wanted;
    for (std::uint32_t i = 0; i < window.size(); ++i) {
      if (i % kPageTokens == 0) pages.push_back(i / kPageTokens);
      batch.rows.push_back({window[i], i, 0, i, 1});
      batch.writes.push_back({i / kPageTokens, i % kPageTokens});
      wanted.push_back(i);  // so that the last layer has all of them
    }
    forward_->run(batch, wanted, pool_);
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kExhausted, "measuring fp8: out of memory");
  }
  return {};
}

void Fp8Errors::measure(std::size_t layer, LayerProducts products, const Activations& x,
                        std::size_t rows) {
  if (!x.has_floats()) return;
  const LayerWeights& it = model_->weights().layers[layer];
  const std::vector<const Tensor*> tensors = tensors_of(it, products);
  const std::size_t columns = tensors[0]->columns;
  const std::size_t count = std::min(rows, kRows);
  rows_.resize(count * columns);
  coded_rows_.resize(count * columns);
  for (std::size_t i = 0; i < count; ++i) {
    // The last one of each share: the first token of all is like no other.
    const float* row = x.row((i + 1) * rows / count - 1);
    std::copy_n(row, columns, rows_.data() + i * columns);
    code(row, columns, coded_rows_.data() + i * columns);
  }
  for (const Tensor* tensor : tensors) {
    if (!takes_fp8(tensor->type)) continue;
    add(*tensor, count, sums_[layer][static_cast<std::size_t>(products)]);
  }
}

void Fp8Errors::add(const Tensor& tensor, std::size_t rows, Sums& to) {
  const std::size_t columns = tensor.columns;
  for (std::vector<float>& row : weights_) row.resize(std::max(row.size(), columns));
  for (std::vector<float>& row : coded_weights_) row.resize(std::max(row.size(), columns));
  const auto outputs = static_cast<std::uint32_t>(tensor.rows);
  outputs_.assign(outputs, {});
  workers_->for_each((outputs + kOutputs - 1) / kOutputs, [&](std::uint32_t item, unsigned thread) {
    float* const weights = weights_[thread].data();
    float* const coded = coded_weights_[thread].data();
    const std::uint32_t end = std::min((item + 1) * kOutputs, outputs);
    for (std::uint32_t n = item * kOutputs; n < end; ++n) {
      dequantise_row(tensor, n, {weights, columns});
      code(weights, columns, coded);
      for (std::size_t m = 0; m < rows; ++m) {
        const double exact = dot(weights, rows_.data() + m * columns, columns);
        const double error = dot(coded, coded_rows_.data() + m * columns, columns) - exact;
        outputs_[n].error += error * error;
        outputs_[n].output += exact * exact;
      }
    }
  });
  for (const Sums& of : outputs_) {
    to.error += of.error;
    to.output += of.output;
  }
}

std::vector<std::array<double, kLayerProducts.size()>> Fp8Errors::errors() const {
  std::vector<std::array<double, kLayerProducts.size()>> out(sums_.size());
  for (std::size_t l = 0; l < out.size(); ++l) {
    for (std::size_t p = 0; p < kLayerProducts.size(); ++p) {
      const Sums& of = sums_[l][p];
      // Outputs that are all 0 have no error unless they are not.
      out[l][p] = of.error == 0.0 ? 0.0 : std::sqrt(of.error / of.output);
    }
  }
  return out;
}

}  // namespace espalier::runtime::cpu
