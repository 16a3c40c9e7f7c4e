#include "runtime/cuda/thread_communicator.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>

namespace espalier::runtime::cuda {
namespace {

Status given_up() {
  return fail(ErrorCode::kCancelled, "CUDA: another device of the group failed");
}

// Where the ranks of a group meet.
class Meeting {
 public:
  explicit Meeting(std::uint32_t ranks) : buffers_(ranks) {}

  /// Waits until all ranks have come. kCancelled where the group is given up.
  [[nodiscard]] Status meet() {
    std::unique_lock lock(mutex_);
    const std::uint64_t round = round_;
    if (++come_ == buffers_.size()) {
      come_ = 0;
      ++round_;
      changed_.notify_all();
    }
    changed_.wait(lock, [&] { return round_ != round || gone_; });
    return round_ != round ? Status() : given_up();
  }
  /// The same, with each rank's buffer as it came.
  [[nodiscard]] Status meet(std::uint32_t rank, float* buffer) {
    {
      const std::lock_guard lock(mutex_);
      buffers_[rank] = buffer;
    }
    return meet();
  }
  /// Between two meetings.
  [[nodiscard]] const float* buffer(std::uint32_t rank) const { return buffers_[rank]; }

  /// Offers floats to a rank, and waits until it has taken them.
  [[nodiscard]] Status offer(std::uint32_t from, std::uint32_t to, const float* data,
                             std::uint64_t count) {
    std::unique_lock lock(mutex_);
    const auto path = std::pair(from, to);
    offers_[path] = {data, count};
    changed_.notify_all();
    changed_.wait(lock, [&] { return offers_.count(path) == 0 || gone_; });
    return offers_.count(path) == 0 ? Status() : given_up();
  }
  /// What a rank offers; it stays until taken().
  [[nodiscard]] Result<const float*> offered(std::uint32_t from, std::uint32_t to,
                                             std::uint64_t count) {
    std::unique_lock lock(mutex_);
    const auto path = std::pair(from, to);
    changed_.wait(lock, [&] { return offers_.count(path) != 0 || gone_; });
    if (gone_) return fail(given_up().error());
    const Offer& offer = offers_[path];
    ESP_CHECK(offer.count == count);
    return offer.data;
  }
  void taken(std::uint32_t from, std::uint32_t to) {
    const std::lock_guard lock(mutex_);
    offers_.erase({from, to});
    changed_.notify_all();
  }

  void give_up() {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    changed_.notify_all();
  }

 private:
  struct Offer {
    const float* data = nullptr;
    std::uint64_t count = 0;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint32_t come_ = 0;
  std::uint64_t round_ = 0;
  bool gone_ = false;
  std::vector<float*> buffers_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, Offer> offers_;
};

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<Meeting> meeting, std::uint32_t rank, std::uint32_t ranks)
      : meeting_(std::move(meeting)), rank_(rank), ranks_(ranks) {}

  std::uint32_t rank() const override { return rank_; }
  std::uint32_t ranks() const override { return ranks_; }

  Status all_gather(float* buffer, std::span<const std::uint64_t> offsets,
                    const Stream& stream) override {
    ESP_TRY(stream.wait("gathering"));
    ESP_TRY(meeting_->meet(rank_, buffer));
    for (std::uint32_t r = 0; r < ranks_; ++r) {
      if (r == rank_) continue;
      ESP_TRY(copy(buffer + offsets[r], meeting_->buffer(r) + offsets[r],
                   offsets[r + 1] - offsets[r], stream));
    }
    ESP_TRY(stream.wait("gathering"));
    return meeting_->meet();
  }
  Status send(const float* from, std::uint64_t count, std::uint32_t to,
              const Stream& stream) override {
    ESP_TRY(stream.wait("sending"));
    return meeting_->offer(rank_, to, from, count);
  }
  Status receive(float* to, std::uint64_t count, std::uint32_t from,
                 const Stream& stream) override {
    ESP_ASSIGN(const float* data, meeting_->offered(from, rank_, count));
    ESP_TRY(copy(to, data, count, stream));
    ESP_TRY(stream.wait("receiving"));
    meeting_->taken(from, rank_);
    return {};
  }
  bool records() const override { return false; }
  void give_up() override { meeting_->give_up(); }

 private:
  static Status copy(float* to, const float* from, std::uint64_t count, const Stream& stream) {
    return check(cudaMemcpyAsync(to, from, count * sizeof(float), cudaMemcpyDefault, stream.get()),
                 "copying from another device");
  }

  std::shared_ptr<Meeting> meeting_;
  std::uint32_t rank_;
  std::uint32_t ranks_;
};

}  // namespace

Group thread_group(std::uint32_t ranks) {
  const auto meeting = std::make_shared<Meeting>(ranks);
  Group out;
  for (std::uint32_t r = 0; r < ranks; ++r) {
    out.push_back(std::make_unique<ThreadCommunicator>(meeting, r, ranks));
  }
  return out;
}

}  // namespace espalier::runtime::cuda
