// One engine's thread: it takes requests out of the inbox, runs steps and hands answers out.
//
// Where its device is lost and another engine works, what waits and what still arrives goes there.
// The thread owns backend, scheduler, cache and pool; what others may touch is the EngineCore.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "runtime/engine/core.h"
#include "runtime/engine/engine_group.h"
#include "runtime/engine/page_store.h"
#include "runtime/engine/scheduler.h"

namespace espalier::runtime {

class EngineLoop {
 public:
  using Failed = std::function<void(const Error& error)>;
  /// `group` outlives the loop, whose core is its `engine`. `failed`, where it is given, is called
  /// on the engine's thread when EngineCore::failed becomes true.
  EngineLoop(EngineGroup& group, std::size_t engine, EngineBackends backends,
             const EngineOptions& options, System& system, std::unique_ptr<PageStore> store,
             Failed failed);
  /// Cancels what runs and joins the thread.
  ~EngineLoop();
  EngineLoop(const EngineLoop&) = delete;
  EngineLoop& operator=(const EngineLoop&) = delete;

 private:
  void loop();
  void receive(std::shared_ptr<BranchState> state);
  void take_in(std::shared_ptr<BranchState> request);
  void answer_checks();
  /// What others see of the engine, before an answer that they may act on.
  void publish();

  EngineGroup& group_;
  EngineCore& core_;
  std::unique_ptr<Backend> backend_;
  Failed failed_;
  Scheduler scheduler_;
  std::vector<std::shared_ptr<BranchState>> checks_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace espalier::runtime
