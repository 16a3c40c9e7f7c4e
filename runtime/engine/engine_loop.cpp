#include "runtime/engine/engine_loop.h"

#include <chrono>
#include <utility>

namespace espalier::runtime {

namespace {
// In which a program's thread looks at an answer and sends its next request.
constexpr std::chrono::microseconds kMoment{400};
}  // namespace

EngineLoop::EngineLoop(EngineGroup& group, std::size_t engine, EngineBackends backends,
                       const EngineOptions& options, System& system,
                       std::unique_ptr<PageStore> store, Failed failed)
    : group_(group),
      core_(group.core(engine)),
      backend_(std::move(backends.backend)),
      failed_(std::move(failed)),
      scheduler_(
          *backend_, options, system,
          [this](const std::shared_ptr<BranchState>& state) {
            publish();
            complete(state);
          },
          std::move(store), std::move(backends.draft)) {
  core_.set_stats(scheduler_.stats());
  thread_ = std::thread([this] { loop(); });
}

EngineLoop::~EngineLoop() {
  stop_.store(true, std::memory_order_relaxed);
  auto wake = std::make_shared<BranchState>();
  wake->request = ForgetRequest{};
  (void)core_.inbox.push(wake);
  thread_.join();
}

void EngineLoop::publish() {
  core_.set_stats(scheduler_.stats());
  const Error* const failure = scheduler_.failure();
  const bool failed = failure != nullptr;
  if (failed) core_.lost.store(backend_->lost(), std::memory_order_release);
  const bool before = core_.failed.exchange(failed, std::memory_order_relaxed);
  if (failed && !before && failed_) failed_(*failure);
}

void EngineLoop::loop() {
  std::vector<std::shared_ptr<BranchState>> arrived;
  while (!stop_.load(std::memory_order_relaxed)) {
    if (scheduler_.idle()) {
      answer_checks();
      core_.inbox.wait();
    }
    arrived.clear();
    core_.inbox.take(arrived);
    for (auto& state : arrived) receive(std::move(state));
    if (!scheduler_.idle()) scheduler_.step();
    if (scheduler_.waiting() > 0 && group_.replaced(core_)) {
      for (auto& state : scheduler_.release_waiting()) take_in(std::move(state));
    }
    if (scheduler_.holding()) std::this_thread::sleep_for(kMoment);
  }
  scheduler_.cancel_all();
  answer_checks();
  arrived.clear();
  core_.inbox.close(arrived);
  for (auto& state : arrived) {
    if (std::holds_alternative<ForgetRequest>(state->request)) continue;
    state->cancelled = true;
    receive(std::move(state));
  }
  scheduler_.cancel_all();
  answer_checks();
}

void EngineLoop::receive(std::shared_ptr<BranchState> state) {
  if (std::holds_alternative<ForgetRequest>(state->request)) {
    if (!state->ids.empty()) scheduler_.forget(*state);
  } else if (std::holds_alternative<CheckRequest>(state->request)) {
    checks_.push_back(std::move(state));
  } else if (std::holds_alternative<TreeRequest>(state->request)) {
    state->answer = scheduler_.tree();
    complete(state);
  } else {
    take_in(std::move(state));
  }
}

void EngineLoop::take_in(std::shared_ptr<BranchState> request) {
  if (group_.replaced(core_) && group_.send_elsewhere(request)) return;
  scheduler_.add(std::move(request));
}

void EngineLoop::answer_checks() {
  for (auto& state : std::exchange(checks_, {})) {
    state->answer = scheduler_.check();
    publish();
    complete(state);
  }
}

}  // namespace espalier::runtime
