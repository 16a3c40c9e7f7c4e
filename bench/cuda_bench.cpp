// What the CUDA backend's kernels reach on this machine's device, beside its measured limits.
//
// Products: matrices of an 8B model's shapes and each tensor type, rotated so that the cache holds
// none of them; microseconds, bytes a second as a share of what a large copy reaches, and
// multiplications a second; beside them the microseconds with the sizes of work that are fastest
// here. Products of numerics `tensor`, where cuBLASLt is there: BF16 weights with few rows and
// many, beside its best large product. Attention: 32 branches over one prompt, which share its
// pages, beside as many that have copies of their own; beside them the shared ones with the sizes
// that are fastest here. Choices: a token of 128,256 under a mask, beside one read of the logits.
// Pages to host memory and back, beside one copy of as many bytes.
//
//   cuda_bench [PART...] [ROWS...]   products, tensor, attention, choices, pages: all of them where
//                                    none is named; products with so many rows (1 to 512)
#include <cuda_runtime.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "runtime/backend.h"
#include "runtime/cuda/activation_room.h"
#include "runtime/cuda/attention.h"
#include "runtime/cuda/autotuner.h"
#include "runtime/cuda/cuda_backend.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/limits.h"
#include "runtime/cuda/low_precision.h"
#include "runtime/cuda/page_transfers.h"
#include "runtime/cuda/sample.h"
#include "runtime/cuda/stopwatch.h"
#include "runtime/cuda/tensor_products.h"
#include "runtime/cuda/tuning.h"
#include "runtime/model/model.h"

namespace espalier::runtime::cuda {
namespace {

struct Shape {
  const char* name;
  std::uint32_t outputs, columns;
};
constexpr Shape kShapes[] = {{"qkv", 6144, 4096},      {"output", 4096, 4096},
                             {"gate+up", 28672, 4096}, {"down", 4096, 14336},
                             {"head", 128256, 4096},   {"135M gate+up", 3072, 576}};
struct Format {
  const char* name;
  WeightFormat format;
};
constexpr Format kFormats[] = {{"Q4_0", WeightFormat::kQ4_0}, {"Q4_K", WeightFormat::kQ4_K},
                               {"Q6_K", WeightFormat::kQ6_K}, {"Q8_0", WeightFormat::kQ8_0},
                               {"BF16", WeightFormat::kBF16}, {"F32", WeightFormat::kF32},
                               {"E4M3", WeightFormat::kE4M3}};
// Far more than any cache.
constexpr std::uint64_t kRotated = std::uint64_t{512} << 20;
// What a round of a measurement takes at least, and one of a size that is tried, in seconds; fewer
// calls than a few tens will do where each is long.
constexpr double kRound = 2e-3;
constexpr double kVariant = 2e-4;

// Median seconds of `run(i)`, called back to back, i from 0 on.
template <class Run>
Result<double> seconds(const Stream& stream, int count, Run&& run) {
  std::vector<double> out;
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  ESP_TRY(check(cudaEventCreate(&begin), "event"));
  ESP_TRY(check(cudaEventCreate(&end), "event"));
  int next = 0;
  for (int round = 0; round < 6; ++round) {
    cudaEventRecord(begin, stream.get());
    for (int i = 0; i < count; ++i) run(next++);
    cudaEventRecord(end, stream.get());
    ESP_TRY(stream.wait("measuring"));
    float milliseconds = 0;
    cudaEventElapsedTime(&milliseconds, begin, end);
    if (round > 0) out.push_back(static_cast<double>(milliseconds) / 1e3 / count);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::sort(out.begin(), out.end());
  return out[out.size() / 2];
}

// So many calls of `time` seconds that together they take `least` seconds, `most` at most.
int calls_of(double time, double least, int most) {
  return static_cast<int>(std::clamp(least / std::max(time, 1e-9), 1.0, static_cast<double>(most)));
}

// Seconds of one of `count` calls of `run`, once; endless where they do not run.
template <class Run>
double once(const Stream& stream, int count, Run&& run) {
  const auto took = time_on_device(stream, [&] {
    for (int i = 0; i < count; ++i) run(i);
  });
  return took ? *took / count : std::numeric_limits<double>::infinity();
}

// `fp8`: whether the device has products of E4M3.
Status products(const std::vector<std::uint32_t>& rows, double copy_rate, bool fp8) {
  ESP_ASSIGN(const Stream stream, Stream::create());
  ESP_ASSIGN(DeviceMemory weights, DeviceMemory::allocate(2 * kRotated, "weights"));
  // Any bytes are weights; some repeat as small scales, so that nothing is infinite.
  ESP_TRY(check(cudaMemset(weights.data(), 0x21, weights.size()), "filling"));
  std::printf("%-14s %-5s %5s %10s %8s %10s %10s\n", "product", "type", "rows", "us", "of copy",
              "T mul/s", "tuned us");
  for (const Shape& shape : kShapes) {
    for (const Format& format : kFormats) {
      const bool e4m3 = format.format == WeightFormat::kE4M3;
      if (e4m3 && !fp8) continue;
      const std::uint64_t bytes = matrix_bytes(format.format, shape.outputs, shape.columns);
      const std::uint64_t step = (bytes + 255) / 256 * 256;
      if (step > weights.size()) continue;
      const auto copies = static_cast<int>(std::min<std::uint64_t>(weights.size() / step, 64));
      for (const std::uint32_t m : rows) {
        MatrixGroup group;
        group.codes = !is_dense(format.format) && !e4m3;
        group.floats = is_dense(format.format);
        group.e4m3 = e4m3;
        group.halves = group.codes && packing(format.format).groups == 2;
        ActivationRoom room;
        ESP_TRY(room.fit(m, shape.columns, group));
        // Codes and scales of some size: zeros would be quicker.
        const std::uint64_t values = (m + kTileRows - 1) / kTileRows * kTileRows * shape.columns;
        if (group.codes) {
          cudaMemset(room.view().coded.codes, 0x15, values);
          cudaMemset(room.view().coded.scales, 0x3D, values / kBlock * sizeof(float));
        } else if (e4m3) {
          cudaMemset(room.view().e4m3.codes, 0x35, m * room.view().e4m3.stride);
          cudaMemset(room.view().e4m3.scales, 0x3D, m * sizeof(float));
        } else {
          cudaMemset(room.view().floats, 0x3D, std::uint64_t{m} * shape.columns * sizeof(float));
        }
        ESP_ASSIGN(const DeviceMemory out,
                   DeviceMemory::allocate(std::uint64_t{m} * shape.outputs * 4, "outputs"));
        ProductSizes sizes;
        const auto run = [&](int i) {
          DeviceMatrix matrix;
          matrix.data = weights.as<unsigned char>(static_cast<std::uint64_t>(i % copies) * step);
          matrix.rows = shape.outputs;
          matrix.columns = shape.columns;
          matrix.format = format.format;
          matrix.scales = weights.as<float>();
          product(stream.get(), matrix, room.view(), m, out.as<float>(), shape.outputs, false,
                  nullptr, sizes);
        };
        // Long ones need not be called often.
        const double about = once(stream, 2, run);
        const int count = calls_of(about, kRound, 30);
        ESP_ASSIGN(const double time, seconds(stream, count, run));
        sizes = fastest_product(
            m, group.floats,
            [&](const ProductSizes& of) {
              sizes = of;
              return once(stream, calls_of(about, kVariant, 10), run);
            },
            [] { return true; });
        ESP_ASSIGN(const double tuned, seconds(stream, count, run));
        std::printf("%-14s %-5s %5u %10.2f %7.0f%% %10.1f %10.2f", shape.name, format.name, m,
                    time * 1e6, 100 * static_cast<double>(bytes) / time / copy_rate,
                    static_cast<double>(shape.outputs) * shape.columns * m / time / 1e12,
                    tuned * 1e6);
        if (sizes == ProductSizes()) {
          std::printf("  rule\n");
        } else {
          std::printf("  rows %u, warps %u, ahead %u\n", sizes.rows, sizes.warps, sizes.ahead);
        }
      }
    }
  }
  return {};
}

// What numerics `tensor` have for BF16 weights, or `fp8` for many rows, with the scales behind it.
Status products_on_tensor_cores(const CublasLtFunctions& functions, const MeasuredLimits& limits,
                                WeightFormat format) {
  const bool e4m3 = format == WeightFormat::kE4M3;
  ESP_ASSIGN(const Stream stream, Stream::create());
  ESP_ASSIGN(const auto tensor, TensorProducts::create(functions));
  ESP_ASSIGN(DeviceMemory weights, DeviceMemory::allocate(2 * kRotated, "weights"));
  // As large as the weights of models; equal numbers would be cheaper.
  std::vector<std::uint16_t> numbers(weights.size() / 2);
  std::uint64_t state = 1;
  for (std::uint16_t& it : numbers) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    it = static_cast<std::uint16_t>(e4m3 ? (state >> 33U & 0x8787U) | 0x3030U
                                         : (state >> 33U & 0x807FU) | 0x3C00U);
  }
  ESP_TRY(stream.copy_in(weights.data(), numbers.data(), weights.size()));
  ESP_TRY(stream.wait("filling"));
  std::printf("%-14s %-5s %5s %10s %8s %10s %8s\n", "tensor cores", "type", "rows", "us", "of copy",
              "T mul/s", "of peak");
  for (const Shape& shape : kShapes) {
    const std::uint64_t bytes = matrix_bytes(format, shape.outputs, shape.columns);
    const std::uint64_t step = (bytes + 255) / 256 * 256;
    if (step > weights.size()) continue;
    const auto copies = static_cast<int>(std::min<std::uint64_t>(weights.size() / step, 64));
    for (const std::uint32_t m : {kLeastTensorRows, 8U, 64U, 512U, 4096U}) {
      if (shape.outputs > 100'000 && m > 64) continue;  // a head's rows at a time
      if (e4m3 && m < kLeastE4m3Rows) continue;
      ActivationRoom room;
      MatrixGroup reader;
      reader.e4m3 = true;
      ESP_TRY(e4m3 ? room.fit(m, shape.columns, reader)
                   : room.fit_strips(m, shape.columns, WeightFormat::kBF16));
      const StripRows x = room.view().strips;
      const E4m3Rows codes = room.view().e4m3;
      if (e4m3) {
        ESP_TRY(stream.copy_in(codes.codes, numbers.data(), m * codes.stride));
        ESP_TRY(check(cudaMemset(codes.scales, 0x3D, m * sizeof(float)), "filling"));
      } else {
        ESP_TRY(stream.copy_in(x.values, numbers.data(), m * x.stride * sizeof(std::uint16_t)));
      }
      ESP_ASSIGN(const DeviceMemory out,
                 DeviceMemory::allocate(std::uint64_t{m} * shape.outputs * 4, "outputs"));
      Status ran;
      const auto multiply = [&](int i) {
        DeviceMatrix matrix;
        matrix.data = weights.as<unsigned char>(static_cast<std::uint64_t>(i % copies) * step);
        matrix.rows = shape.outputs;
        matrix.columns = shape.columns;
        matrix.format = format;
        matrix.scales = weights.as<float>();
        if (e4m3) {
          const auto taken =
              tensor->code_product(stream, matrix, codes, m, out.as<float>(), shape.outputs);
          if (!taken) ran = fail(taken.error());
          scale_sums(stream.get(), matrix, codes, m, out.as<float>(), shape.outputs,
                     out.as<float>(), shape.outputs, false);
          return;
        }
        Status now = tensor->product(stream, matrix, x, m, out.as<float>(), shape.outputs, false);
        if (!now) ran = std::move(now);
      };
      ESP_ASSIGN(const double time,
                 seconds(stream, calls_of(once(stream, 2, multiply), kRound, 30), multiply));
      ESP_TRY(std::move(ran));
      const double rate = static_cast<double>(shape.outputs) * shape.columns * m / time;
      std::printf("%-14s %-5s %5u %10.2f %7.0f%% %10.1f %7.0f%%\n", shape.name,
                  e4m3 ? "E4M3" : "BF16", m, time * 1e6,
                  100 * static_cast<double>(bytes) / time / limits.bytes_per_second, rate / 1e12,
                  100 * rate / limits.products_per_second);
    }
  }
  return {};
}

// Decode rows of `branches` texts of `tokens` tokens, whose whole pages are the same or copies.
Batch branches_of(std::uint32_t branches, std::uint32_t tokens, bool shared) {
  Batch batch;
  const std::uint32_t whole = tokens / kPageTokens;
  PageId next = whole;
  for (std::uint32_t b = 0; b < branches; ++b) {
    std::vector<PageId> pages(whole);
    for (std::uint32_t p = 0; p < whole; ++p) pages[p] = shared ? p : next++;
    pages.push_back(next++);
    batch.sequences.push_back(std::move(pages));
    batch.rows.push_back({0, tokens + 3, b, 0, 0});
  }
  return batch;
}

// Of one layer with these sizes.
Result<double> attention_seconds(const Stream& stream, const ModelShape& shape, const Batch& batch,
                                 const AttentionLimits& limits) {
  const auto count = static_cast<std::uint32_t>(batch.rows.size());
  const std::uint64_t pages = batch.sequences.back().back() + 1;
  const std::uint64_t page = std::uint64_t{4} * shape.kv_heads * shape.head_width * kPageTokens;
  ESP_ASSIGN(const DeviceMemory pool, DeviceMemory::allocate(pages * page, "pages"));
  ESP_TRY(check(cudaMemset(pool.data(), 0x2B, pool.size()), "filling"));
  AttentionPlan plan(shape, 0, limits);
  std::vector<std::uint32_t> rows(count);
  for (std::uint32_t i = 0; i < count; ++i) rows[i] = i;
  plan.plan(batch, rows);
  std::vector<std::byte> bytes(plan.bytes());
  plan.write_to(bytes);
  ESP_ASSIGN(const DeviceMemory on_device, DeviceMemory::allocate(bytes.size(), "plan"));
  ESP_TRY(check(cudaMemcpy(on_device.data(), bytes.data(), bytes.size(), cudaMemcpyHostToDevice),
                "plan"));
  const std::size_t width = std::size_t{shape.heads} * shape.head_width;
  ESP_ASSIGN(const DeviceMemory queries,
             DeviceMemory::allocate(count * width * sizeof(float), "queries"));
  ESP_TRY(check(cudaMemset(queries.data(), 0x3D, queries.size()), "filling"));
  ESP_ASSIGN(const DeviceMemory out,
             DeviceMemory::allocate(count * width * sizeof(float), "results"));
  ESP_ASSIGN(const DeviceMemory parts,
             DeviceMemory::allocate(std::uint64_t{plan.parts()} * shape.heads *
                                            part_floats(shape.head_width) * sizeof(float) +
                                        16,
                                    "parts"));
  AttentionCall call;
  call.plan = on_device.as<unsigned char>();
  call.pool = {pool.as<std::uint16_t>(), 1, shape.kv_heads, shape.head_width};
  call.heads = shape.heads;
  call.scale = shape.query_scale;
  call.queries = queries.as<float>();
  call.query_stride = width;
  call.out = out.as<float>();
  call.out_stride = width;
  call.parts = parts.as<float>();
  return seconds(stream, 20, [&](int) { attend(stream.get(), plan.grid(), call); });
}

Status attention(std::uint32_t multiprocessors) {
  ESP_ASSIGN(const Stream stream, Stream::create());
  ModelShape shape;
  shape.layers = 1;
  shape.heads = 32;
  shape.kv_heads = 8;
  shape.head_width = 128;
  shape.query_scale = 0.088F;
  constexpr std::uint32_t kBranches = 32;
  std::printf("%-34s %10s %10s %8s %10s\n", "attention, 32 branches", "shared us", "copies us",
              "ratio", "tuned us");
  for (const std::uint32_t tokens : {512U, 2048U, 8192U}) {
    const Batch shared = branches_of(kBranches, tokens, true);
    StepSizes sizes;
    ESP_ASSIGN(const double time,
               attention_seconds(stream, shape, shared, sizes.attention(multiprocessors)));
    ESP_ASSIGN(const double copies,
               attention_seconds(stream, shape, branches_of(kBranches, tokens, false),
                                 sizes.attention(multiprocessors)));
    double tuned = time;
    std::uint32_t best = sizes.side_by_side;
    for (const std::uint32_t side : {1U, 4U, 8U}) {
      sizes.side_by_side = side;
      ESP_ASSIGN(const double its,
                 attention_seconds(stream, shape, shared, sizes.attention(multiprocessors)));
      if (its >= tuned) continue;
      tuned = its;
      best = side;
    }
    std::printf("prompt of %-24u %10.1f %10.1f %8.2f %10.1f  side by side %u\n", tokens, time * 1e6,
                copies * 1e6, copies / time, tuned * 1e6, best);
  }
  return {};
}

Status choices(double copy_rate) {
  constexpr std::uint32_t kVocabulary = 128'256;
  ESP_ASSIGN(const Stream stream, Stream::create());
  std::printf("%-34s %10s %10s %8s\n", "choices of 128,256 tokens", "us", "a read us", "ratio");
  for (const std::uint32_t rows : {1U, 64U, 256U}) {
    for (const std::uint32_t one_in : {1U, 2U, 1000U}) {
      std::vector<float> logits(std::size_t{rows} * kVocabulary);
      std::uint64_t state = 1;
      const auto random = [&] {
        return (state = state * 6364136223846793005U + 1442695040888963407U) >> 33U;
      };
      for (float& it : logits) it = static_cast<float>(random() % 4096) / 256.0F;
      std::vector<std::uint32_t> mask((kVocabulary + 31) / 32);
      for (std::uint32_t id = 0; id < kVocabulary; ++id) {
        if (random() % one_in == 0) mask[id / 32] |= 1U << (id % 32);
      }
      ESP_ASSIGN(const DeviceMemory on_device,
                 DeviceMemory::allocate(logits.size() * sizeof(float), "logits"));
      ESP_ASSIGN(const DeviceMemory words, DeviceMemory::allocate(mask.size() * 4, "mask"));
      std::vector<SampleRow> wanted(rows);
      for (std::uint32_t i = 0; i < rows; ++i) {
        wanted[i].logits_row = i;
        wanted[i].mask = words.as<std::uint32_t>();
        wanted[i].mask_words = static_cast<std::uint32_t>(mask.size());
      }
      ESP_ASSIGN(const DeviceMemory row, DeviceMemory::allocate(rows * sizeof(SampleRow), "rows"));
      ESP_ASSIGN(const DeviceMemory out,
                 DeviceMemory::allocate(rows * sizeof(SampleResult), "results"));
      ESP_ASSIGN(const DeviceMemory scratch,
                 DeviceMemory::allocate(sample_scratch_bytes(rows, kVocabulary), "scratch"));
      ESP_TRY(check(cudaMemset(scratch.data(), 0, scratch.size()), "filling"));
      cudaMemcpy(on_device.data(), logits.data(), on_device.size(), cudaMemcpyHostToDevice);
      cudaMemcpy(words.data(), mask.data(), words.size(), cudaMemcpyHostToDevice);
      cudaMemcpy(row.data(), wanted.data(), row.size(), cudaMemcpyHostToDevice);
      ESP_ASSIGN(const double time, seconds(stream, 10, [&](int) {
                   sample(stream.get(), rows, row.as<SampleRow>(), on_device.as<float>(),
                          kVocabulary, kVocabulary, scratch.data(), out.as<SampleResult>());
                 }));
      const double read = static_cast<double>(on_device.size()) / copy_rate;
      std::printf("%4u rows, one in %-17u %10.1f %10.1f %8.2f\n", rows, one_in, time * 1e6,
                  read * 1e6, time / read);
    }
  }
  return {};
}

// Pages of a Llama-3.1-8B shape.
Status pages_beside() {
  constexpr std::uint32_t kLayers = 32;
  constexpr std::uint64_t kPage = std::uint64_t{kLayers} * 4 * 8 * 128 * kPageTokens;
  constexpr std::uint32_t kPages = 64;
  ESP_ASSIGN(const Stream steps, Stream::create());
  ESP_ASSIGN(const DeviceMemory pool, DeviceMemory::allocate(kPages * kPage, "pages"));
  ESP_TRY(check(cudaMemset(pool.data(), 0x2B, pool.size()), "filling"));
  PinnedMemory whole;
  ESP_TRY(whole.fit(kPages * kPage, "pages"));
  PageTransfers transfers(pool.data(), kPages, kPage, kLayers, steps);
  ESP_TRY(transfers.reserve(kPages));
  std::vector<HostCopy> copies;
  // What a step waits for.
  const auto waited = [&](auto&& begin) {
    return seconds(steps, 1, [&](int) {
      begin();
      for (const HostCopy& it : copies) (void)transfers.before_touching(it.page);
    });
  };
  Status status;
  const auto keep = [&](Status now) {
    if (status && !now) status = std::move(now);
  };
  std::printf("%-34s %10s %10s %8s\n", "pages of 2 MiB to host and back", "us", "a copy us",
              "ratio");
  for (const std::uint32_t count : {1U, 8U, 32U, kPages}) {
    copies.clear();
    for (std::uint32_t i = 0; i < count; ++i) copies.push_back({i, kPages - 1 - i});
    const std::uint64_t bytes = count * kPage;
    ESP_ASSIGN(const double out, seconds(steps, 1, [&](int) {
                 keep(steps.copy_out(whole.bytes().data(), pool.data(), bytes));
               }));
    ESP_ASSIGN(const double in, seconds(steps, 1, [&](int) {
                 keep(steps.copy_in(pool.data(), whole.bytes().data(), bytes));
               }));
    ESP_ASSIGN(const double saved, waited([&] {
                 for (const HostCopy& it : copies) keep(transfers.save(it));
               }));
    ESP_ASSIGN(const double loaded, waited([&] { keep(transfers.load(copies)); }));
    std::printf("%4u saved %23s %10.1f %10.1f %8.2f\n", count, "", saved * 1e6, out * 1e6,
                saved / out);
    std::printf("%4u loaded %22s %10.1f %10.1f %8.2f\n", count, "", loaded * 1e6, in * 1e6,
                loaded / in);
  }
  transfers.finish();
  return status;
}

constexpr std::string_view kParts[] = {"products", "tensor", "attention", "choices", "pages"};

Status run(const std::set<std::string_view>& parts, const std::vector<std::uint32_t>& rows) {
  const auto wanted = [&](std::string_view part) { return parts.empty() || parts.contains(part); };
  ESP_ASSIGN(const auto all, devices());
  ESP_TRY(use_device(all.front().number));
  const auto cublaslt = load_cublaslt(CudaBackend::cublaslt_library(real_system()));
  ESP_ASSIGN(const MeasuredLimits limits,
             measure_limits(all.front().number, cublaslt ? &*cublaslt : nullptr));
  std::printf("%s (%s), %u multiprocessors; a large copy: %.0f GB/s read and written\n",
              all.front().name.c_str(), limits.architecture.c_str(), all.front().multiprocessors,
              limits.bytes_per_second / 1e9);
  if (cublaslt) {
    std::printf("cuBLASLt %zu: %.0f T multiplications a second of BF16 matrices\n",
                cublaslt->get_version(), limits.products_per_second / 1e12);
  } else {
    std::printf("no products on tensor cores: %s\n", cublaslt.error().message.c_str());
  }
  const bool fp8 = check_fp8(std::span(all).first(1)).has_value();
  if (wanted("products")) ESP_TRY(products(rows, limits.bytes_per_second, fp8));
  const bool tensor = cublaslt && wanted("tensor");
  if (tensor) ESP_TRY(products_on_tensor_cores(*cublaslt, limits, WeightFormat::kBF16));
  if (tensor && fp8) {
    const auto of_fp8 = measure_limits(all.front().number, &*cublaslt, WeightFormat::kE4M3);
    if (!of_fp8) {
      std::printf("%s\n", of_fp8.error().message.c_str());
    } else {
      std::printf("cuBLASLt: %.0f T multiplications a second of E4M3 matrices\n",
                  of_fp8->products_per_second / 1e12);
      ESP_TRY(products_on_tensor_cores(*cublaslt, *of_fp8, WeightFormat::kE4M3));
    }
  }
  if (wanted("attention")) ESP_TRY(attention(all.front().multiprocessors));
  if (wanted("choices")) ESP_TRY(choices(limits.bytes_per_second));
  return wanted("pages") ? pages_beside() : Status();
}

}  // namespace
}  // namespace espalier::runtime::cuda

int main(int count, char** arguments) {
  using espalier::runtime::cuda::kParts;
  std::set<std::string_view> parts;
  std::vector<std::uint32_t> rows;
  for (const std::string_view given :
       std::span(arguments, static_cast<std::size_t>(count)).subspan(1)) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(given.begin(), given.end(), number);
    if (std::find(std::begin(kParts), std::end(kParts), given) != std::end(kParts)) {
      parts.insert(given);
    } else if (error == std::errc() && end == given.end() && number > 0) {
      rows.push_back(number);
    } else {
      std::fputs("usage: cuda_bench [products|tensor|attention|choices|pages...] [ROWS...]\n",
                 stderr);
      return 2;
    }
  }
  if (rows.empty()) rows = {1, 2, 8, 16, 32, 64, 512};
  const auto status = espalier::runtime::cuda::run(parts, rows);
  if (status) return 0;
  std::fprintf(stderr, "cuda_bench: %s\n", status.error().message.c_str());
  return 1;
}
