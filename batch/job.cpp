#include "batch/job.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/threads.h"

namespace espalier::batch {
namespace {

class Job {
 public:
  Job(const Inputs& inputs, Journal& journal, const RowFunction& run_row, const JobOptions& options,
      const std::atomic<bool>& stop, System& system)
      : inputs_(inputs),
        journal_(journal),
        run_row_(run_row),
        options_(options),
        stop_(stop),
        system_(system) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!journal.has(inputs.id(i))) waiting_.push_back(i);
    }
    report_.total = inputs.size();
    report_.kept = inputs.size() - waiting_.size();
  }

  Result<JobReport> run() {
    const std::size_t threads =
        std::min<std::size_t>(std::max(1U, options_.parallel), waiting_.size());
    {
      std::vector<std::jthread> workers;
      start_threads(workers, threads, [this] { work(); });
      if (workers.empty()) work();
    }
    if (failure_) {
      (void)journal_.pause();  // the rows that stand, where it was not the journal that failed
      return fail(std::move(*failure_));
    }
    report_.failed = journal_.failed();
    if (report_.kept + report_.ran < report_.total) {
      report_.cancelled = true;
      ESP_TRY(journal_.pause());
      return report_;
    }
    std::vector<Json> ids;
    ids.reserve(inputs_.size());
    for (std::size_t i = 0; i < inputs_.size(); ++i) ids.push_back(inputs_.id(i));
    ESP_TRY(journal_.finish(ids));
    return report_;
  }

 private:
  void work() {
    while (!stop_ && !halted_) {
      const std::size_t next = next_++;
      if (next >= waiting_.size()) return;
      const std::size_t index = waiting_[next];
      Json answer;
      answer["id"] = inputs_.id(index);
      auto row = inputs_.read(index, system_, &stop_);
      auto value = row ? run_row_(*row) : Result<Json>(fail(std::move(row).error()));
      if (!value && value.error().code == ErrorCode::kCancelled) return;
      if (!value && options_.ends_job && options_.ends_job(value.error())) {
        const std::lock_guard lock(mutex_);
        halt(std::move(value).error());
        return;
      }
      if (value) {
        answer["value"] = std::move(*value);
      } else {
        answer["error"] = {{"code", name(value.error().code)}, {"message", value.error().message}};
      }
      write(answer);
    }
  }

  void write(const Json& answer) {
    const std::lock_guard lock(mutex_);
    if (failure_) return;
    if (auto status = journal_.append(answer); !status) {
      halt(std::move(status).error());
      return;
    }
    ++report_.ran;
    if (options_.on_row) {
      options_.on_row({report_.total, report_.kept + report_.ran, journal_.failed()});
    }
  }

  // Under mutex_. The first error is the job's.
  void halt(Error error) {
    if (failure_) return;
    failure_ = std::move(error);
    halted_ = true;
    if (options_.cancel_rows) options_.cancel_rows();
  }

  const Inputs& inputs_;
  Journal& journal_;
  const RowFunction& run_row_;
  const JobOptions& options_;
  const std::atomic<bool>& stop_;
  System& system_;
  std::vector<std::size_t> waiting_;  // inputs that are not done, in order
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> halted_ = false;
  std::mutex mutex_;
  std::optional<Error> failure_;  // under mutex_
  JobReport report_;              // under mutex_ while workers run
};

}  // namespace

Result<JobReport> run_job(const Inputs& inputs, Journal& journal, const RowFunction& run_row,
                          const JobOptions& options, const std::atomic<bool>& stop,
                          System& system) {
  return Job(inputs, journal, run_row, options, stop, system).run();
}

}  // namespace espalier::batch
