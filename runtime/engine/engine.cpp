#include "runtime/engine/engine.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/engine/engine_group.h"
#include "runtime/engine/engine_loop.h"

namespace espalier::runtime {

namespace {

Status check_options(const EngineOptions& options) {
  if (!(options.retained_share >= 0 && options.retained_share <= 1)) {
    return fail(ErrorCode::kInvalid, "the share of the pool that may be retained goes from 0 to 1");
  }
  if (options.max_rows == 0) return fail(ErrorCode::kInvalid, "max_rows must be at least 1");
  return {};
}

// `host_kv_bytes`: this engine's part of what was asked for.
Status check_backends(const EngineBackends& it, std::optional<std::uint64_t> host_kv_bytes) {
  const BackendInfo& info = it.backend->info();
  if (info.pages < 2) {
    return fail(ErrorCode::kExhausted, "the KV pool has " + std::to_string(info.pages) +
                                           " pages of " + std::to_string(kPageTokens) +
                                           " tokens; at least 2 are needed");
  }
  if (it.draft != nullptr && it.draft->info().vocabulary != info.vocabulary) {
    return fail(ErrorCode::kInvalid, "the draft model has " +
                                         std::to_string(it.draft->info().vocabulary) +
                                         " tokens, the model " + std::to_string(info.vocabulary));
  }
  if (host_kv_bytes) {
    if (it.backend->host_pages() == nullptr) {
      return fail(ErrorCode::kUnsupported,
                  "room for pages in host memory: the pool of this device is host memory already");
    }
    if (*host_kv_bytes < info.page_bytes) {
      return fail(ErrorCode::kInvalid,
                  "room for pages in host memory: " + std::to_string(*host_kv_bytes) +
                      " bytes hold no page, which has " + std::to_string(info.page_bytes));
    }
  }
  return {};
}

// Texts must not depend on the engine.
Status check_alike(const BackendInfo& first, const BackendInfo& other) {
  if (first.vocabulary == other.vocabulary && first.context == other.context &&
      first.page_bytes == other.page_bytes && first.kv_format == other.kv_format) {
    return {};
  }
  return fail(ErrorCode::kInvalid, "it does not run the same model in the same way as engine 1");
}

// Several stores may have one folder (page_store.h).
Result<std::unique_ptr<PageStore>> open_store(const BackendInfo& info, const EngineOptions& options,
                                              System& system) {
  if (options.kv_folder.empty()) return nullptr;
  PageStore::Options kept;
  kept.folder = options.kv_folder;
  kept.page_bytes = info.page_bytes;
  kept.fingerprint = "model " + options.model_digest + ", " + info.kv_format + ", " +
                     std::to_string(kPageTokens) + " tokens a page";
  auto note = [note = options.note](const std::string& message) {
    if (note) note("the folder of kept prompts: " + message);
  };
  return PageStore::open(std::move(kept), system, std::move(note));
}

// Waits for the answer to an errand; nothing where the engine has ended.
template <class Answer, class Errand>
std::optional<Answer> run_errand(EngineCore& core, Errand errand) {
  auto state = std::make_shared<BranchState>();
  state->request = errand;
  state->blocking = true;
  if (!core.inbox.push(state)) return std::nullopt;
  state->done.acquire();
  return std::move(std::get<Answer>(state->answer));
}

}  // namespace

class Engine::Impl {
 public:
  BackendInfo info;
  std::shared_ptr<EngineGroup> group;
  std::vector<std::unique_ptr<EngineLoop>> loops;
};

Result<std::unique_ptr<Engine>> Engine::create(std::unique_ptr<Backend> backend,
                                               const EngineOptions& options, System& system,
                                               std::unique_ptr<Backend> draft) {
  std::vector<EngineBackends> one;
  one.push_back({std::move(backend), std::move(draft)});
  return create(std::move(one), options, system);
}

Result<std::unique_ptr<Engine>> Engine::create(std::vector<EngineBackends> backends,
                                               const EngineOptions& options, System& system) {
  const std::size_t count = backends.size();
  if (count == 0 || count > kMostEngines) {
    return fail(ErrorCode::kInvalid, std::to_string(count) + " engines: there may be 1 to " +
                                         std::to_string(kMostEngines));
  }
  ESP_TRY(check_options(options));
  auto impl = std::make_unique<Impl>();
  impl->info = backends[0].backend->info();
  std::vector<EngineOptions> each(count, options);
  std::optional<std::uint64_t> host_part;
  if (options.host_kv_bytes > 0) host_part = options.host_kv_bytes / count;
  std::vector<std::unique_ptr<PageStore>> stores(count);
  std::vector<std::unique_ptr<EngineCore>> cores;
  std::vector<std::uint64_t> pages;
  for (std::size_t i = 0; i < count; ++i) {
    const BackendInfo& info = backends[i].backend->info();
    const std::string name = "engine " + std::to_string(i + 1) + " of " + std::to_string(count);
    const auto prepare = [&]() -> Status {
      ESP_TRY(check_alike(impl->info, info));
      ESP_TRY(check_backends(backends[i], host_part));
      ESP_ASSIGN(stores[i], open_store(info, each[i], system));
      return {};
    };
    each[i].host_kv_bytes = host_part.value_or(0);
    if (count > 1 && options.note) {
      each[i].note = [note = options.note, name](const std::string& message) {
        note(name + ": " + message);
      };
    }
    if (Status ready = prepare(); !ready) {
      Error error = std::move(ready).error();
      return fail(count > 1 ? std::move(error).within(name) : std::move(error));
    }
    impl->info.pages = std::min(impl->info.pages, info.pages);
    cores.push_back(std::make_unique<EngineCore>());
    pages.push_back(info.pages + each[i].host_kv_bytes / info.page_bytes);
  }
  impl->group = std::make_shared<EngineGroup>(std::move(cores), pages, options.cache);
  for (std::size_t i = 0; i < count; ++i) {
    EngineLoop::Failed failed;
    if (count > 1 && each[i].note) {
      failed = [note = each[i].note, &core = impl->group->core(i)](const Error& error) {
        note((core.lost.load() ? "its device is lost, so others get its programs while they work: "
                               : "a step failed, so it gets no new programs while others work: ") +
             error.message);
      };
    }
    impl->loops.push_back(std::make_unique<EngineLoop>(*impl->group, i, std::move(backends[i]),
                                                       each[i], system, std::move(stores[i]),
                                                       std::move(failed)));
  }
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Branch Engine::open(std::uint64_t space) {
  auto state = std::make_shared<BranchState>();
  state->lineage->group = impl_->group;
  state->space = impl_->group->space_of(space);
  return Branch(std::move(state));
}

Stats Engine::stats() const {
  Stats out;
  for (std::size_t i = 0; i < impl_->group->size(); ++i) out += impl_->group->core(i).stats();
  return out;
}

std::vector<EngineStats> Engine::stats_of_each() const {
  std::vector<EngineStats> out;
  for (std::size_t i = 0; i < impl_->group->size(); ++i) {
    const EngineCore& core = impl_->group->core(i);
    out.push_back({core.stats(), core.programs.load(std::memory_order_relaxed),
                   core.failed.load(std::memory_order_relaxed),
                   core.lost.load(std::memory_order_relaxed)});
  }
  return out;
}

const BackendInfo& Engine::info() const { return impl_->info; }

std::vector<std::vector<radix_cache::NodeView>> Engine::trees() {
  using Nodes = std::vector<radix_cache::NodeView>;
  std::vector<Nodes> out;
  for (std::size_t i = 0; i < impl_->group->size(); ++i) {
    out.push_back(run_errand<Nodes>(impl_->group->core(i), TreeRequest{}).value_or(Nodes()));
  }
  return out;
}

Status Engine::check_idle() {
  for (std::size_t i = 0; i < impl_->group->size(); ++i) {
    const auto status = run_errand<Status>(impl_->group->core(i), CheckRequest{});
    if (!status) return fail(ErrorCode::kCancelled, "the engine has ended");
    ESP_TRY(*status);
  }
  return {};
}

}  // namespace espalier::runtime
