#include "cli/sharing_run.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "dsl/join.h"
#include "grammar/json_schema.h"
#include "grammar/json_text.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/engine_backends.h"

namespace espalier::cli {
namespace {

using runtime::Task;

// One run on its way. All coroutines run on one thread; only what stop() touches is shared.
class WorkloadRun {
 public:
  WorkloadRun(const EncodedWorkload& workload, runtime::Engine& engine, bool cache, System& system)
      : workload_(workload), engine_(engine), cache_(cache), system_(system), executor_(1) {
    for (const EncodedWorkload::Program& program : workload.programs)
      answers_.emplace_back(program.requests.size());
  }

  Result<std::vector<std::vector<SharingRun::Answer>>> run(std::size_t at_once) {
    std::vector<Task<Status>> lanes;
    for (std::size_t i = 0; i < std::min(at_once, workload_.programs.size()); ++i)
      lanes.push_back(lane());
    ESP_TRY(executor_.run(all(std::move(lanes))));
    return std::move(answers_);
  }

  // From another thread: what runs ends with kCancelled, and nothing more begins.
  void stop() {
    stopped_ = true;
    const std::lock_guard lock(mutex_);
    for (runtime::Branch* branch : running_) branch->cancel();
  }

 private:
  Task<Status> all(std::vector<Task<Status>> tasks) {
    const std::vector<Status> ends = co_await dsl::join_all(executor_, std::move(tasks));
    for (const Status& end : ends) {
      if (!end) co_return end;
    }
    co_return Status();
  }

  // Programs, one after the other.
  Task<Status> lane() {
    while (next_ < workload_.programs.size()) {
      const std::size_t program = next_++;
      std::vector<Task<Status>> roots;
      for (const std::size_t first : workload_.programs[program].first)
        roots.push_back(request(program, first, engine_.open()));
      Task<Status> both = all(std::move(roots));
      const Status end = co_await both;
      if (!end) {
        next_ = workload_.programs.size();  // the others need not begin
        co_return end;
      }
    }
    co_return Status();
  }

  Task<Status> request(std::size_t program, std::size_t index, runtime::Branch branch) {
    const EncodedWorkload::Request& what = workload_.programs[program].requests[index];
    SharingRun::Answer& answer = answers_[program][index];
    if (stopped_) co_return fail(ErrorCode::kCancelled, "stopped");
    branch.append(what.text);
    answer.prompt = branch.ids();
    runtime::GenerateRequest request;
    request.max_tokens = what.max_tokens;
    if (what.grammar != nullptr) request.matcher = what.grammar->start();
    const System::Clock::time_point began = system_.now();
    request.on_token = [&answer, began, this, first = true](const runtime::Progress&) mutable {
      if (!std::exchange(first, false)) return;
      answer.first_token_seconds = std::chrono::duration<double>(system_.now() - began).count();
    };
    hold(branch);
    runtime::Operation<runtime::Generated> operation =
        branch.generate(executor_, std::move(request));
    Result<runtime::Generated> generated = co_await operation;
    release(branch);
    if (!generated) {
      co_return fail(std::move(generated).error().within(
          "program '" + workload_.programs[program].id + "', request " + std::to_string(index)));
    }
    answer.ids = std::move(generated->ids);
    std::vector<Task<Status>> followers;
    for (const std::size_t follower : what.followers)
      followers.push_back(this->request(program, follower, behind(branch)));
    branch = runtime::Branch();
    Task<Status> rest = all(std::move(followers));
    const Status end = co_await rest;
    co_return end;
  }

  // Where what comes after `branch` goes on. Without the cache nothing is kept from one request to
  // the next either: each sends its whole path.
  runtime::Branch behind(const runtime::Branch& branch) {
    if (cache_) return branch.fork();
    runtime::Branch again = engine_.open();
    again.append(branch.ids());
    return again;
  }

  void hold(runtime::Branch& branch) {
    const std::lock_guard lock(mutex_);
    running_.push_back(&branch);
  }
  void release(runtime::Branch& branch) {
    const std::lock_guard lock(mutex_);
    running_.erase(std::find(running_.begin(), running_.end(), &branch));
  }

  const EncodedWorkload& workload_;
  runtime::Engine& engine_;
  bool cache_;
  System& system_;
  std::vector<std::vector<SharingRun::Answer>> answers_;
  std::size_t next_ = 0;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;
  std::vector<runtime::Branch*> running_;
  runtime::Executor executor_;
};

}  // namespace

Result<EncodedWorkload> encode_workload(const Workload& workload, const runtime::Model& model) {
  const runtime::Tokenizer& tokenizer = *model.tokenizer();
  std::map<std::string, grammar::GrammarRef> grammars;
  EncodedWorkload out;
  for (const WorkloadProgram& source : workload.programs) {
    EncodedWorkload::Program program;
    program.id = source.id;
    std::vector<std::uint64_t> lengths;
    for (std::size_t i = 0; i < source.requests.size(); ++i) {
      const WorkloadRequest& it = source.requests[i];
      const std::string place = "program '" + source.id + "', request " + std::to_string(i);
      EncodedWorkload::Request request;
      request.max_tokens = it.max_tokens;
      auto text = tokenizer.encode(it.text);
      if (!text) return fail(std::move(text).error().within(place));
      request.text = std::move(*text);
      if (!it.after && tokenizer.add_bos() && tokenizer.bos() != kNoToken)
        request.text.insert(request.text.begin(), tokenizer.bos());
      if (!it.schema.is_null()) {
        grammar::GrammarRef& grammar = grammars[write_json(it.schema)];
        if (grammar == nullptr) {
          auto made = grammar::compile_json_schema(tokenizer.vocabulary(), it.schema);
          if (!made) return fail(std::move(made).error().within(place + ", schema"));
          grammar = std::move(*made);
        }
        request.grammar = grammar;
      }
      lengths.push_back((it.after ? lengths[*it.after] : 0) + request.text.size() + it.max_tokens);
      if (lengths.back() > model.shape().context) {
        return fail(ErrorCode::kLimit, place + ": prompt and answer may take " +
                                           std::to_string(lengths.back()) +
                                           " tokens; the model has positions for " +
                                           std::to_string(model.shape().context));
      }
      out.longest = std::max(out.longest, static_cast<std::uint32_t>(lengths.back()));
      (it.after ? program.requests[*it.after].followers : program.first).push_back(i);
      program.requests.push_back(std::move(request));
    }
    out.programs.push_back(std::move(program));
  }
  return out;
}

Result<SharingRun> run_workload(const EncodedWorkload& workload,
                                const std::shared_ptr<const runtime::Model>& model,
                                const SharingOptions& options, Context& context) {
  runtime::BackendOptions on = options.on;
  const std::uint64_t part = (options.pool_tokens + options.engines - 1) / options.engines;
  const std::uint64_t pages = (part + runtime::kPageTokens - 1) / runtime::kPageTokens;
  on.kv_bytes = pages * runtime::cpu::KvPool::page_bytes(model->shape(), on.kv_type);
  ESP_ASSIGN(auto made, runtime::make_engine_backends(model, on, options.engines, std::nullopt,
                                                      context.system));
  runtime::EngineOptions engine_options;
  engine_options.cache = options.cache;
  engine_options.draft = options.draft;
  ESP_ASSIGN(const auto engine,
             runtime::Engine::create(std::move(made.backends), engine_options, context.system));
  WorkloadRun run(workload, *engine, options.cache, context.system);
  SharingRun out;
  const System::Clock::time_point began = context.system.now();
  {
    const Interrupt::Action stop(context.interrupt, [&] { run.stop(); });
    ESP_ASSIGN(out.answers,
               run.run(options.at_once == 0 ? workload.programs.size() : options.at_once));
  }
  out.seconds = std::chrono::duration<double>(context.system.now() - began).count();
  out.stats = engine->stats();
  return out;
}

SharingLimit sharing_limit(const SharingRun& run) {
  // A trie of paths: a node for each (parent, id), as a flat table.
  struct Node {
    bool prompt = false;   // stands in some request's prompt
    bool decoded = false;  // an answer's decoding computes it
  };
  std::vector<Node> nodes(1);
  std::unordered_map<std::uint64_t, std::uint32_t> children;
  const auto child = [&](std::uint32_t parent, TokenId id) {
    const std::uint64_t key = (std::uint64_t{parent} << 32) | static_cast<std::uint32_t>(id);
    const auto [it, fresh] = children.try_emplace(key, static_cast<std::uint32_t>(nodes.size()));
    if (fresh) nodes.emplace_back();
    return it->second;
  };
  SharingLimit limit;
  for (const auto& program : run.answers) {
    for (const SharingRun::Answer& answer : program) {
      std::uint32_t at = 0;
      for (const TokenId id : answer.prompt) {
        at = child(at, id);
        nodes[at].prompt = true;
      }
      for (const TokenId id : answer.ids) {
        at = child(at, id);
        nodes[at].decoded = true;
      }
      limit.prompt_tokens += answer.prompt.size();
    }
  }
  limit.distinct = nodes.size() - 1;
  for (const Node& node : nodes) limit.must_compute += node.prompt && !node.decoded ? 1 : 0;
  return limit;
}

}  // namespace espalier::cli
