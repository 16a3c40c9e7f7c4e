#include "runtime/engine/engine.h"

#include <chrono>
#include <thread>
#include <utility>

#include "runtime/engine/core.h"
#include "runtime/engine/scheduler.h"

namespace espalier::runtime {

namespace {
// In which a program's thread looks at an answer and sends its next request.
constexpr std::chrono::microseconds kMoment{400};
}  // namespace

class Engine::Impl {
 public:
  Impl(std::unique_ptr<Backend> backend, const EngineOptions& options, System& system,
       std::unique_ptr<PageStore> store, std::unique_ptr<Backend> draft)
      : core(std::make_shared<EngineCore>()),
        backend_(std::move(backend)),
        scheduler_(
            *backend_, options, system,
            [this](const std::shared_ptr<BranchState>& state) {
              core->set_stats(
                  scheduler_.stats());  // whoever reads them after the answer sees it counted
              complete(state);
            },
            std::move(store), std::move(draft)) {
    core->info = backend_->info();
    core->cache = options.cache;
    core->set_stats(scheduler_.stats());
    thread_ = std::thread([this] { loop(); });
  }

  ~Impl() {
    stop_.store(true, std::memory_order_relaxed);
    auto wake = std::make_shared<BranchState>();
    wake->request = ForgetRequest{};
    (void)core->inbox.push(wake);
    thread_.join();
  }

  const std::shared_ptr<EngineCore> core;

 private:
  void loop() {
    std::vector<std::shared_ptr<BranchState>> arrived;
    while (!stop_.load(std::memory_order_relaxed)) {
      if (scheduler_.idle()) {
        answer_checks();
        core->inbox.wait();
      }
      arrived.clear();
      core->inbox.take(arrived);
      for (auto& state : arrived) receive(std::move(state));
      if (!scheduler_.idle()) scheduler_.step();
      if (scheduler_.holding()) std::this_thread::sleep_for(kMoment);
    }
    scheduler_.cancel_all();
    answer_checks();
    arrived.clear();
    core->inbox.close(arrived);
    for (auto& state : arrived) {
      if (std::holds_alternative<ForgetRequest>(state->request)) continue;
      state->cancelled = true;
      receive(std::move(state));
    }
    scheduler_.cancel_all();
    answer_checks();
  }

  void receive(std::shared_ptr<BranchState> state) {
    if (std::holds_alternative<ForgetRequest>(state->request)) {
      if (!state->ids.empty()) scheduler_.forget(*state);
    } else if (std::holds_alternative<CheckRequest>(state->request)) {
      checks_.push_back(std::move(state));
    } else if (std::holds_alternative<TreeRequest>(state->request)) {
      state->answer = scheduler_.tree();
      complete(state);
    } else {
      scheduler_.add(std::move(state));
    }
  }

  void answer_checks() {
    for (auto& state : std::exchange(checks_, {})) {
      state->answer = scheduler_.check();
      core->set_stats(scheduler_.stats());
      complete(state);
    }
  }

  std::unique_ptr<Backend> backend_;
  Scheduler scheduler_;
  std::vector<std::shared_ptr<BranchState>> checks_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

Result<std::unique_ptr<Engine>> Engine::create(std::unique_ptr<Backend> backend,
                                               const EngineOptions& options, System& system,
                                               std::unique_ptr<Backend> draft) {
  if (!(options.retained_share >= 0 && options.retained_share <= 1)) {
    return fail(ErrorCode::kInvalid, "the share of the pool that may be retained goes from 0 to 1");
  }
  if (options.max_rows == 0) return fail(ErrorCode::kInvalid, "max_rows must be at least 1");
  if (backend->info().pages < 2) {
    return fail(ErrorCode::kExhausted, "the KV pool has " + std::to_string(backend->info().pages) +
                                           " pages of " + std::to_string(kPageTokens) +
                                           " tokens; at least 2 are needed");
  }
  if (draft != nullptr && draft->info().vocabulary != backend->info().vocabulary) {
    return fail(ErrorCode::kInvalid,
                "the draft model has " + std::to_string(draft->info().vocabulary) +
                    " tokens, the model " + std::to_string(backend->info().vocabulary));
  }
  if (options.host_kv_bytes > 0) {
    if (backend->host_pages() == nullptr) {
      return fail(ErrorCode::kUnsupported,
                  "room for pages in host memory: the pool of this device is host memory already");
    }
    if (options.host_kv_bytes < backend->info().page_bytes) {
      return fail(ErrorCode::kInvalid,
                  "room for pages in host memory: " + std::to_string(options.host_kv_bytes) +
                      " bytes hold no page, which has " +
                      std::to_string(backend->info().page_bytes));
    }
  }
  std::unique_ptr<PageStore> store;
  if (!options.kv_folder.empty()) {
    const BackendInfo& info = backend->info();
    PageStore::Options kept;
    kept.folder = options.kv_folder;
    kept.page_bytes = info.page_bytes;
    kept.fingerprint = "model " + options.model_digest + ", " + info.kv_format + ", " +
                       std::to_string(kPageTokens) + " tokens a page";
    auto note = [note = options.note](const std::string& message) {
      if (note) note("the folder of kept prompts: " + message);
    };
    ESP_ASSIGN(store, PageStore::open(std::move(kept), system, std::move(note)));
  }
  return std::unique_ptr<Engine>(new Engine(std::make_unique<Impl>(
      std::move(backend), options, system, std::move(store), std::move(draft))));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Branch Engine::open(std::uint64_t space) {
  auto state = std::make_shared<BranchState>();
  state->core = impl_->core;
  state->space = impl_->core->cache ? space : impl_->core->next_space++;
  return Branch(std::move(state));
}

Stats Engine::stats() const { return impl_->core->stats(); }
const BackendInfo& Engine::info() const { return impl_->core->info; }

std::vector<radix_cache::NodeView> Engine::tree() {
  auto state = std::make_shared<BranchState>();
  state->request = TreeRequest{};
  state->blocking = true;
  if (!impl_->core->inbox.push(state)) return {};
  state->done.acquire();
  return std::move(std::get<std::vector<radix_cache::NodeView>>(state->answer));
}

Status Engine::check_idle() {
  auto state = std::make_shared<BranchState>();
  state->request = CheckRequest{};
  state->blocking = true;
  if (!impl_->core->inbox.push(state)) return fail(ErrorCode::kCancelled, "the engine has ended");
  state->done.acquire();
  return std::get<Status>(state->answer);
}

}  // namespace espalier::runtime
