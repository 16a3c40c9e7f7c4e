// Requests that are sent together: a fork's branches begin in one step.
#pragma once

#include <memory>
#include <vector>

namespace espalier::runtime {

class BranchState;

/// While one lives, what this thread awaits of an engine is kept back; all of it arrives at once
/// when it goes. For the time in which several coroutines are resumed one after the other, each up
/// to its first wait; one a thread. Requests that block their thread are not kept.
class Together {
 public:
  Together();
  ~Together();
  Together(const Together&) = delete;
  Together& operator=(const Together&) = delete;

  /// Keeps the request back where this thread has a Together; else false.
  static bool keep(const std::shared_ptr<BranchState>& state);

 private:
  std::vector<std::shared_ptr<BranchState>> kept_;
};

}  // namespace espalier::runtime
