// schedule_replay: a workload's programs on the real scheduler and tree, without a model and in
// virtual time, so that two policies can be compared to the token.
//
// Usage: schedule_replay WORKLOAD.jsonl... [--pool 10,25,50] [--gap MICROSECONDS,...] [--at-once N]
//        [--step MICROSECONDS] [--row MICROSECONDS]
//
// The workload's format is that of `espalier bench sharing` (docs/cli.md). A text's tokens are its
// pieces of four bytes; what is said is a hash of the path, as long as the answer may be. Time is
// what steps would take (`--step`, `--row`), and kMoment where the engine waits for a program.
// `--gap` is how long a program takes from an answer to its next request. Printed is, for each
// pool, the share of the prompts' tokens that nothing was computed for, and the time, beside the
// best that any order and any room can give (each distinct token of the prompts computed once), and
// beside the programs one after the other in an order by their texts ("in turn"), which is an order
// that needs little room.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <unordered_map>
#include <vector>

#include "base/fault_system.h"
#include "cli/number_list.h"
#include "cli/workload.h"
#include "runtime/engine/scheduler.h"

namespace espalier {
namespace {

using namespace std::chrono_literals;
using runtime::BranchState;

constexpr std::chrono::microseconds kMoment = 400us;  // Engine's

/// What a step takes, and each of its rows.
struct Cost {
  std::chrono::microseconds step, row;
};
constexpr std::uint32_t kVocabulary = 1024;

std::vector<TokenId> tokens_of(const std::string& text) {
  std::vector<TokenId> out;
  for (std::size_t at = 0; at < text.size(); at += 4) {
    std::uint64_t hash = 1469598103934665603ULL;
    for (const char c : text.substr(at, 4))
      hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    out.push_back(static_cast<TokenId>((hash ^ (hash >> 32)) % kVocabulary));
  }
  return out;
}

/// A Backend that says a hash of the path and keeps nothing: KV is the cache's affair here.
class Hasher final : public runtime::Backend {
 public:
  explicit Hasher(std::uint32_t pages) {
    info_.vocabulary = kVocabulary;
    info_.context = 1u << 20;
    info_.pages = pages;
    info_.page_bytes = 1;
    info_.kv_format = "none";
    slots_.resize(std::size_t{pages} * runtime::kPageTokens);
  }
  const runtime::BackendInfo& info() const override { return info_; }
  Status begin(const runtime::Batch& batch, std::span<const std::uint32_t> /*wanted*/) override {
    batch_ = &batch;
    return {};
  }
  Result<std::vector<runtime::RowResult>> finish(std::span<const runtime::RowPlan> plans) override {
    const runtime::Batch& batch = *batch_;
    const auto at = [&](runtime::PageId page, std::uint32_t slot) -> std::uint64_t& {
      return slots_[std::size_t{page} * runtime::kPageTokens + slot];
    };
    for (const auto& copy : batch.copies) {
      for (std::uint32_t s = 0; s < copy.slots; ++s) at(copy.to, s) = at(copy.from, s);
    }
    for (const auto& row : batch.rows) {
      const auto& pages = batch.sequences[row.sequence];
      std::uint64_t hash = 77;
      if (row.position > 0) {
        const std::uint32_t before = row.position - 1;
        hash = at(pages[before / runtime::kPageTokens], before % runtime::kPageTokens);
      }
      hash = (hash ^ static_cast<std::uint64_t>(row.token)) * 0x9E3779B97F4A7C15ULL;
      hash ^= hash >> 29;
      for (std::uint32_t w = 0; w < row.writes; ++w) {
        const auto& slot = batch.writes[row.first_write + w];
        at(slot.page, slot.slot) = hash;
      }
    }
    std::vector<runtime::RowResult> out;
    for (const auto& plan : plans) {
      const auto& row = batch.rows[plan.row];
      const auto& pages = batch.sequences[row.sequence];
      runtime::RowResult result;
      result.sampled.token = static_cast<TokenId>(
          (at(pages[row.position / runtime::kPageTokens], row.position % runtime::kPageTokens) >>
           20) %
          kVocabulary);
      out.push_back(std::move(result));
    }
    return out;
  }
  void poison(runtime::PageId) override {}
  void export_page(runtime::PageId, std::span<std::byte>) const override {}
  void import_page(runtime::PageId, std::span<const std::byte>) override {}

 private:
  runtime::BackendInfo info_;
  const runtime::Batch* batch_ = nullptr;
  std::vector<std::uint64_t> slots_;
};

struct Outcome {
  runtime::Stats stats;
  std::uint64_t prompt = 0, must_compute = 0, distinct = 0;
  double seconds = 0;
  [[nodiscard]] double best() const {
    return 1 - static_cast<double>(must_compute) / static_cast<double>(prompt);
  }
  [[nodiscard]] double hit() const {
    return 1 - static_cast<double>(stats.computed_tokens + stats.recomputed_tokens) /
                   static_cast<double>(prompt);
  }
};

class Replay {
 public:
  Replay(const cli::Workload& workload, std::vector<std::size_t> order, std::uint32_t pages,
         std::chrono::microseconds gap, std::size_t at_once, Cost cost)
      : workload_(workload),
        order_(std::move(order)),
        gap_(gap),
        at_once_(at_once),
        cost_(cost),
        clock_(real_system()),
        began_(clock_.now()),
        backend_(pages),
        scheduler_(backend_, options(), clock_,
                   [this](std::shared_ptr<BranchState> state) { ended(state); }) {}

  Outcome run() {
    for (std::size_t i = 0; i < at_once_; ++i) begin_next();
    while (!events_.empty() || !scheduler_.idle()) {
      if (scheduler_.idle())
        clock_.advance(std::max(System::Clock::duration(0), events_.top().at - clock_.now()));
      while (!events_.empty() && events_.top().at <= clock_.now()) {
        const auto work = events_.top().work;
        events_.pop();
        work();
      }
      if (scheduler_.idle()) continue;
      const std::uint64_t before = done_rows();
      scheduler_.step();
      const std::uint64_t rows = done_rows() - before;
      clock_.advance(rows > 0 ? cost_.step + cost_.row * static_cast<int>(rows) : kMoment);
    }
    Outcome out;
    out.stats = scheduler_.stats();
    out.seconds = std::chrono::duration<double>(clock_.now() - began_).count();
    out.prompt = prompt_;
    out.distinct = nodes_.size() - 1;
    for (const Node& node : nodes_) out.must_compute += node.prompt && !node.said ? 1 : 0;
    return out;
  }

 private:
  struct Node {
    bool prompt = false, said = false;
  };
  struct Event {
    System::Clock::time_point at;
    std::uint64_t number = 0;
    std::function<void()> work;
    friend bool operator<(const Event& a, const Event& b) {
      return a.at != b.at ? a.at > b.at : a.number > b.number;
    }
  };
  struct Request {
    std::size_t program = 0, index = 0, prompt = 0;
  };

  static runtime::EngineOptions options() {
    runtime::EngineOptions out;
    out.draft = false;
    return out;
  }
  [[nodiscard]] std::uint64_t done_rows() const {
    const runtime::Stats stats = scheduler_.stats();
    return stats.prefill_rows + stats.decode_rows + stats.logits_rows;
  }
  void later(std::chrono::microseconds after, std::function<void()> work) {
    events_.push({clock_.now() + after, ++numbers_, std::move(work)});
  }

  void begin_next() {
    if (next_ == order_.size()) return;
    const std::size_t program = order_[next_++];
    const auto& requests = workload_.programs[program].requests;
    left_[program] = requests.size();
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (!requests[i].after) send(program, i, std::make_shared<BranchState>());
    }
  }

  void send(std::size_t program, std::size_t index, std::shared_ptr<BranchState> state) {
    const cli::WorkloadRequest& what = workload_.programs[program].requests[index];
    const std::vector<TokenId> text = tokens_of(what.text);
    const std::size_t begin = state->ids.size();
    state->ids.insert(state->ids.end(), text.begin(), text.end());
    state->segments.push_back(
        {begin, state->ids.size(), std::make_shared<std::atomic<bool>>(false)});
    prompt_ += state->ids.size();
    requests_[state.get()] = {program, index, state->ids.size()};
    runtime::GenerateRequest request;
    request.max_tokens = what.max_tokens;
    state->request = std::move(request);
    state->outstanding = true;
    scheduler_.add(std::move(state));
  }

  void ended(const std::shared_ptr<BranchState>& state) {
    state->outstanding = false;
    const auto* answer = std::get_if<Result<runtime::Generated>>(&state->answer);
    ESP_CHECK(answer != nullptr && answer->has_value());
    const Request request = requests_[state.get()];
    requests_.erase(state.get());
    count(*state, request.prompt);
    later(gap_, [this, state, request] { go_on(state, request); });
  }

  // As the programs of `bench sharing` do: forks behind the answer, and the branch goes.
  void go_on(const std::shared_ptr<BranchState>& state, const Request& request) {
    const auto& requests = workload_.programs[request.program].requests;
    std::vector<std::pair<std::size_t, std::shared_ptr<BranchState>>> forks;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (requests[i].after != request.index) continue;
      auto child = std::make_shared<BranchState>();
      child->ids = state->ids;
      child->lineage = state->lineage;
      child->computed = state->computed;
      child->forked_at = child->ids.size();
      forks.emplace_back(i, std::move(child));
    }
    if (state->computed > 0 && state->parked > 0) scheduler_.forget(*state);
    for (auto& [index, child] : forks) send(request.program, index, std::move(child));
    if (--left_[request.program] == 0) begin_next();
  }

  void count(const BranchState& state, std::size_t prompt) {
    std::uint32_t at = 0;
    for (std::size_t i = 0; i < state.ids.size(); ++i) {
      const std::uint64_t key =
          (std::uint64_t{at} << 32) | static_cast<std::uint32_t>(state.ids[i]);
      const auto [it, fresh] =
          children_.try_emplace(key, static_cast<std::uint32_t>(nodes_.size()));
      if (fresh) nodes_.emplace_back();
      at = it->second;
      (i < prompt ? nodes_[at].prompt : nodes_[at].said) = true;
    }
  }

  const cli::Workload& workload_;
  std::vector<std::size_t> order_;
  std::chrono::microseconds gap_;
  std::size_t at_once_;
  Cost cost_;
  FaultSystem clock_;
  System::Clock::time_point began_;
  Hasher backend_;
  runtime::Scheduler scheduler_;
  std::size_t next_ = 0;
  std::map<std::size_t, std::size_t> left_;
  std::unordered_map<const BranchState*, Request> requests_;
  std::priority_queue<Event> events_;
  std::uint64_t numbers_ = 0;
  std::uint64_t prompt_ = 0;
  std::vector<Node> nodes_{1};
  std::unordered_map<std::uint64_t, std::uint32_t> children_;
};

std::uint32_t longest(const cli::Workload& workload) {
  std::size_t out = 0;
  for (const auto& program : workload.programs) {
    std::vector<std::size_t> lengths;
    for (const auto& it : program.requests) {
      lengths.push_back((it.after ? lengths[*it.after] : 0) + tokens_of(it.text).size() +
                        it.max_tokens);
      out = std::max(out, lengths.back());
    }
  }
  return static_cast<std::uint32_t>(out);
}

int run(int argc, char** argv) {
  CLI::App app("A workload's programs on the scheduler and the tree, in virtual time");
  std::vector<std::string> files;
  std::string pool_text = "10,25,50", gap_text = "300,3000,30000";
  std::size_t at_once = 0;
  int step = 8000, row = 700;  // of SmolLM2 on two processors
  app.add_option("WORKLOAD", files)->required();
  app.add_option("--pool", pool_text, "Percents of the distinct tokens");
  app.add_option("--gap", gap_text, "Microseconds from an answer to the next request");
  app.add_option("--at-once", at_once, "Programs that run together; 0: all");
  app.add_option("--step", step, "Microseconds of a step [8000]")->check(CLI::Range(0, 1'000'000));
  app.add_option("--row", row, "Microseconds of each of its rows [700]")
      ->check(CLI::Range(0, 1'000'000));
  CLI11_PARSE(app, argc, argv);
  const auto pools = cli::parse_numbers(pool_text, 1, 1000);
  const auto gaps = cli::parse_numbers(gap_text, 0, 1'000'000'000);
  if (!pools || !gaps) {
    std::fprintf(stderr, "schedule_replay: --pool and --gap take lists of whole numbers\n");
    return 2;
  }
  const Cost cost{std::chrono::microseconds(step), std::chrono::microseconds(row)};
  for (const std::string& file : files) {
    const auto workload = cli::read_workload(file, real_system());
    if (!workload) {
      std::fprintf(stderr, "schedule_replay: %s\n", workload.error().message.c_str());
      return 1;
    }
    std::vector<std::size_t> as_given(workload->programs.size());
    for (std::size_t i = 0; i < as_given.size(); ++i) as_given[i] = i;
    std::vector<std::size_t> by_text = as_given;
    std::stable_sort(by_text.begin(), by_text.end(), [&](std::size_t a, std::size_t b) {
      return workload->programs[a].requests[0].text < workload->programs[b].requests[0].text;
    });
    const std::size_t together = at_once == 0 ? as_given.size() : at_once;
    const Outcome roomy = Replay(*workload, as_given, 1u << 16, 300us, together, cost).run();
    std::printf(
        "%s: %zu programs, %llu prompt tokens, %llu distinct, best %.2f %%, roomy %.2f %%\n",
        file.c_str(), as_given.size(), static_cast<unsigned long long>(roomy.prompt),
        static_cast<unsigned long long>(roomy.distinct), 100 * roomy.best(), 100 * roomy.hit());
    std::printf("  %6s %9s %8s %8s %10s %10s %11s %8s %8s\n", "pool", "gap", "of best", "in turn",
                "computed", "recomputed", "preemptions", "s", "s turn");
    for (const std::uint32_t percent : *pools) {
      const std::uint64_t tokens =
          std::max<std::uint64_t>(roomy.distinct * percent / 100, longest(*workload) + 16);
      const auto pages = static_cast<std::uint32_t>((tokens + 15) / 16);
      for (const std::uint32_t gap : *gaps) {
        const std::chrono::microseconds wait(gap);
        const Outcome small = Replay(*workload, as_given, pages, wait, together, cost).run();
        const Outcome turn = Replay(*workload, by_text, pages, wait, 1, cost).run();
        std::printf("  %5u%% %6u us %7.2f%% %7.2f%% %10llu %10llu %11llu %8.1f %8.1f\n", percent,
                    gap, 100 * small.hit() / roomy.best(), 100 * turn.hit() / roomy.best(),
                    static_cast<unsigned long long>(small.stats.computed_tokens),
                    static_cast<unsigned long long>(small.stats.recomputed_tokens),
                    static_cast<unsigned long long>(small.stats.preemptions), small.seconds,
                    turn.seconds);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace espalier

int main(int argc, char** argv) { return espalier::run(argc, argv); }
