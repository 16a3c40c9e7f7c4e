// A model's layers on this machine's device, without head and choices: a kernel a stage, replayed,
// beside all of them in one kernel.
//
//   cuda_layers MODEL.gguf   microseconds of steps of 1 to 8 rows, by depth, with K and V in f16
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "runtime/backend.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/forward.h"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/one_kernel.h"
#include "runtime/cuda/page_transfers.h"
#include "runtime/cuda/stopwatch.h"
#include "runtime/cuda/tuning.h"
#include "runtime/model/model.h"
#include "runtime/model/model_part.h"

namespace espalier::runtime::cuda {
namespace {

constexpr std::uint32_t kPages = 2048;

// Decode rows of texts that have pages of their own.
Batch texts_of(std::uint32_t rows, std::uint32_t depth) {
  Batch batch;
  const std::uint32_t pages = depth / kPageTokens + 1;
  for (std::uint32_t i = 0; i < rows; ++i) {
    auto& table = batch.sequences.emplace_back(pages);
    for (std::uint32_t p = 0; p < pages; ++p) table[p] = (i * pages + p) % kPages;
    batch.rows.push_back({0, depth, i, i, 1});
    batch.writes.push_back({table.back(), depth % kPageTokens});
  }
  return batch;
}

// Median seconds of a step as it comes again.
Result<double> seconds_a_step(Forward& forward, const KvView& pool, const Batch& batch) {
  constexpr int kRuns = 21;
  constexpr int kTogether = 10;
  PageTransfers none;
  ESP_TRY(forward.prepare(batch, {}, {}, {}));
  std::vector<double> out;
  for (int run = 0; run < kRuns; ++run) {
    Status ran;
    ESP_ASSIGN(const double took, time_on_device(forward.stream(), [&] {
                 for (int i = 0; i < kTogether && ran; ++i) ran = forward.run(pool, none);
               }));
    ESP_TRY(ran);
    if (run > 0) out.push_back(took / kTogether);
  }
  std::sort(out.begin(), out.end());
  return out[out.size() / 2];
}

Status run(const char* path) {
  ESP_ASSIGN(const auto model, Model::load(path, real_system()));
  const ModelShape& shape = model->shape();
  ESP_TRY(check_shape(shape));
  ESP_ASSIGN(const auto all, devices());
  ESP_TRY(use_device(all.front().number));
  ESP_ASSIGN(const auto workers, cpu::WorkerPool::create(2));
  ESP_ASSIGN(const Shares shares, share_layers(shape, 1));
  ESP_ASSIGN(const auto forward, Forward::create(model, shares, *workers,
                                                 all.front().multiprocessors, KvType::kF16, {}));
  const std::uint64_t page = cpu::KvPool::page_bytes(shape, KvType::kF16);
  ESP_ASSIGN(const DeviceMemory memory, DeviceMemory::allocate(kPages * page, "pages"));
  ESP_TRY(check(cudaMemset(memory.data(), 0x2B, memory.size()), "filling"));
  KvView pool;
  pool.pages = memory.as<std::uint16_t>();
  pool.layers = shape.layers;
  pool.kv_heads = shape.kv_heads;
  pool.width = shape.head_width;
  std::printf("%-18s %5s %6s %12s %12s %12s\n", "layers", "rows", "depth", "stages us", "one, 1 us",
              "one, 2 us");
  for (const std::uint32_t rows : {1U, 2U, 4U, 8U}) {
    for (const std::uint32_t depth : {0U, 512U, 2040U}) {
      if (depth >= shape.context) continue;
      double took[kOneKernelBlocks + 1] = {};
      for (std::uint32_t blocks = 0; blocks <= kOneKernelBlocks; ++blocks) {
        Tuning tuning;
        for (StepSizes& step : tuning.steps) step.one_kernel = blocks;
        forward->set_tuning(tuning);
        ESP_ASSIGN(took[blocks], seconds_a_step(*forward, pool, texts_of(rows, depth)));
      }
      std::printf("%-18u %5u %6u %12.1f %12.1f %12.1f\n", shape.layers, rows, depth, took[0] * 1e6,
                  took[1] * 1e6, took[2] * 1e6);
    }
  }
  return {};
}

}  // namespace
}  // namespace espalier::runtime::cuda

int main(int count, char** arguments) {
  if (count != 2) {
    std::fputs("usage: cuda_layers MODEL.gguf\n", stderr);
    return 2;
  }
  const auto status = espalier::runtime::cuda::run(arguments[1]);
  if (status) return 0;
  std::fprintf(stderr, "cuda_layers: %s\n", status.error().message.c_str());
  return 1;
}
