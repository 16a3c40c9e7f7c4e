// A thread for each rank of a group of devices: CUDA's current device is a thread's own, and ranks
// wait for each other. A single rank runs on the calling thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"

namespace espalier::runtime::cuda {

class RankThreads {
 public:
  using Work = std::function<Status(std::uint32_t rank)>;

  /// kExhausted where the system refuses a thread.
  [[nodiscard]] static Result<std::unique_ptr<RankThreads>> create(std::uint32_t ranks);
  ~RankThreads();
  RankThreads(const RankThreads&) = delete;
  RankThreads& operator=(const RankThreads&) = delete;

  /// Runs `work` once for each rank, side by side, and waits for all; `failed` is called at once,
  /// by the rank's thread, where one fails, so that others need not wait for it. The error of the
  /// lowest rank that failed by itself, and not for another one (kCancelled). Memory that lacks is
  /// kExhausted.
  [[nodiscard]] Status each(const Work& work, const std::function<void()>& failed);

 private:
  RankThreads() = default;
  void run(std::uint32_t rank);

  std::vector<std::thread> threads_;  // none where there is one rank
  std::mutex mutex_;
  std::condition_variable changed_;
  const Work* work_ = nullptr;
  const std::function<void()>* failed_ = nullptr;
  std::uint64_t round_ = 0;
  std::uint32_t running_ = 0;
  bool stop_ = false;
  std::vector<Status> results_;
};

}  // namespace espalier::runtime::cuda
