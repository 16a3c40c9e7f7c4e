#include "runtime/cpu/limits.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <vector>

#include "runtime/cpu/isa.h"
#include "runtime/cpu/memory.h"
#include "runtime/cpu/worker_pool.h"

namespace espalier::runtime::cpu {
namespace {

constexpr int kRepeats = 7;
constexpr std::size_t kRounds = 100'000;
constexpr std::size_t kStreams = 4;  // places read at a time, as a panel's rows are
constexpr std::size_t kLane = 8;     // words summed side by side: a cache line

// Units of `work` a second, the best of some runs.
template <class Run>
double best_rate(System& system, double work, const Run& run) {
  double best = 0;
  for (int i = 0; i < kRepeats; ++i) {
    const auto start = system.now();
    run();
    const std::chrono::duration<double> took = system.now() - start;
    best = std::max(best, work / std::max(took.count(), 1e-9));
  }
  return best;
}

std::uint64_t sum_of(const std::uint64_t* words, std::size_t count) {
  std::array<std::uint64_t, kLane> sums{};
  const std::size_t stream = count / kStreams / kLane * kLane;
  for (std::size_t i = 0; i < stream; i += kLane) {
    for (std::size_t s = 0; s < kStreams; ++s) {
      for (std::size_t lane = 0; lane < kLane; ++lane) sums[lane] += words[s * stream + i + lane];
    }
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t part : sums) sum += part;
  return sum;
}

}  // namespace

Result<MachineLimits> measure_limits(unsigned threads, const std::string& isa, std::uint64_t bytes,
                                     System& system) {
  ESP_ASSIGN(const Kernels* kernels, choose_kernels(isa));
  ESP_ASSIGN(const auto workers, WorkerPool::create(threads));
  MachineLimits out;
  out.isa = kernels->name;
  std::vector<std::uint64_t> done(threads);
  const auto compute = [&] {
    workers->for_each(
        threads, [&](std::uint32_t item, unsigned) { done[item] = kernels->dot_peak(kRounds); });
  };
  compute();
  out.products_per_second =
      best_rate(system, static_cast<double>(done[0]) * static_cast<double>(threads), compute);
  // On large pages, as the weights are.
  const std::size_t words = std::max<std::size_t>(
      bytes / sizeof(std::uint64_t) / threads / (kStreams * kLane) * (kStreams * kLane),
      kStreams * kLane);
  const std::uint64_t size = words * sizeof(std::uint64_t);
  ESP_ASSIGN(const Memory memory,
             Memory::reserve(size * threads, Memory::Use::kDense, "memory to measure reads with"));
  const auto part = [&](std::uint32_t item) { return memory.data() + item * size; };
  workers->for_each(threads, [&](std::uint32_t item, unsigned) {
    std::memset(part(item), static_cast<int>(item) + 1, size);
  });
  out.bytes_per_second = best_rate(system, static_cast<double>(size) * threads, [&] {
    workers->for_each(threads, [&](std::uint32_t item, unsigned) {
      done[item] = sum_of(reinterpret_cast<const std::uint64_t*>(part(item)), words);
    });
  });
  return out;
}

}  // namespace espalier::runtime::cpu
