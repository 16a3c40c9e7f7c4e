// CUDA graphs of steps that come again: a decode step is some hundred short kernels, and launching
// them one by one takes longer than they do.
//
// A key is everything that a launch depends on but the memory's contents: counts, offsets, grids.
// The second time that a key is seen its launches are recorded, from then on replayed.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "runtime/cuda/device.h"

namespace espalier::runtime::cuda {

class GraphCache {
 public:
  using Key = std::vector<std::uint64_t>;

  GraphCache() = default;
  ~GraphCache() { clear(); }
  GraphCache(const GraphCache&) = delete;
  GraphCache& operator=(const GraphCache&) = delete;

  /// Enqueues what `work()` (a Status) enqueues on the stream, by replay where that is known.
  template <class Work>
  [[nodiscard]] Status run(const Stream& stream, const Key& key, Work&& work) {
    Entry& entry = at(key);
    if (entry.graph != nullptr) {
      return check(cudaGraphLaunch(entry.graph, stream.get()), "replaying a step");
    }
    if (++entry.seen < kRecordAt) return work();
    ESP_TRY(check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal),
                  "recording a step"));
    Status status = work();
    cudaGraph_t graph = nullptr;
    const cudaError_t ended = cudaStreamEndCapture(stream.get(), &graph);
    if (!status) {
      if (graph != nullptr) cudaGraphDestroy(graph);
      return status;
    }
    ESP_TRY(check(ended, "recording a step"));
    const cudaError_t made = cudaGraphInstantiate(&entry.graph, graph, 0);
    cudaGraphDestroy(graph);
    ESP_TRY(check(made, "recording a step"));
    return check(cudaGraphLaunch(entry.graph, stream.get()), "replaying a step");
  }

  /// Forgets all: memory that they name has moved.
  void clear();

 private:
  static constexpr std::uint32_t kRecordAt = 2;
  static constexpr std::size_t kMost = 64;
  struct Entry {
    cudaGraphExec_t graph = nullptr;
    std::uint32_t seen = 0;
    std::uint64_t used = 0;
  };
  Entry& at(const Key& key);

  std::map<Key, Entry> entries_;
  std::uint64_t clock_ = 0;
};

}  // namespace espalier::runtime::cuda
