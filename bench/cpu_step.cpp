// Tokens per second of the CPU backend on a model file: prefill of 512 tokens, and decoding at
// several batch sizes with a 512-token prefix, shared by all rows or held by each.
//
//   build/bin/bench_cpu_step [MODEL.gguf [THREADS [REPEATS]]]
//
// Without THREADS: with 1 and with 2. Medians over REPEATS; one line a case: "name threads
// tokens_per_second", and how many times faster eight branches of a prompt are than one.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/system.h"
#include "runtime/backend.h"
#include "runtime/cpu/cpu_backend.h"
#include "runtime/model/model.h"

namespace {

using namespace espalier;
using namespace espalier::runtime;

constexpr std::uint32_t kPrefix = 512;
constexpr std::uint32_t kDecoded = 32;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Branch {
  std::vector<PageId> pages;
  std::uint32_t length = 0;
  TokenId next = 0;
};

class Bench {
 public:
  Bench(Backend& backend, unsigned threads, int repeats)
      : backend_(backend), threads_(threads), repeats_(repeats) {}

  void prefill() {
    std::vector<double> speeds;
    for (int i = 0; i < repeats_; ++i) {
      next_page_ = 0;
      Branch branch = fresh(kPrefix);
      const double start = seconds();
      feed_prefix(branch);
      speeds.push_back(kPrefix / (seconds() - start));
    }
    report("prefill_512", speeds);
  }

  double decode(std::uint32_t batch, std::uint32_t prefix, bool shared) {
    std::vector<double> speeds;
    for (int i = 0; i < repeats_; ++i) {
      next_page_ = 0;
      std::vector<Branch> branches;
      Branch trunk = fresh(prefix + (shared ? 0 : kDecoded));
      if (prefix > 0) feed_prefix(trunk);
      for (std::uint32_t b = 0; b < batch; ++b) {
        Branch branch;
        if (b == 0 && !shared) {
          branch = trunk;
        } else if (shared) {
          branch = fresh(kDecoded);
          branch.pages.insert(branch.pages.begin(), trunk.pages.begin(), trunk.pages.end());
        } else {
          branch = fresh(prefix + kDecoded);
          if (prefix > 0) feed_prefix(branch);
        }
        branch.length = prefix;
        branch.next = static_cast<TokenId>(100 + b);
        branches.push_back(std::move(branch));
      }
      const double start = seconds();
      for (std::uint32_t step = 0; step < kDecoded; ++step) decode_step(branches);
      speeds.push_back(batch * kDecoded / (seconds() - start));
    }
    const std::string name = "decode_batch_" + std::to_string(batch) + "_prefix_" +
                             std::to_string(prefix) + (shared ? "_shared" : "_apart");
    return report(name.c_str(), speeds);
  }

 private:
  Branch fresh(std::uint32_t tokens) {
    Branch branch;
    for (std::uint32_t i = 0; i < (tokens + kPageTokens - 1) / kPageTokens; ++i) {
      branch.pages.push_back(next_page_++);
    }
    return branch;
  }

  void append(Batch& batch, Branch& branch, TokenId token, std::uint32_t sequence) const {
    const std::uint32_t position = branch.length++;
    batch.rows.push_back(
        {token, position, sequence, static_cast<std::uint32_t>(batch.writes.size()), 1});
    batch.writes.push_back({branch.pages[position / kPageTokens], position % kPageTokens});
  }

  void feed_prefix(Branch& branch) {
    Batch batch;
    batch.sequences.push_back(branch.pages);
    for (std::uint32_t i = 0; i < kPrefix; ++i) {
      append(batch, branch, static_cast<TokenId>(1000 + i * 37 % 20000), 0);
    }
    RowPlan plan;
    plan.row = kPrefix - 1;
    plan.sampling = &greedy_;
    run(batch, {plan});
  }

  void decode_step(std::vector<Branch>& branches) {
    Batch batch;
    std::vector<RowPlan> plans;
    for (std::uint32_t b = 0; b < branches.size(); ++b) {
      batch.sequences.push_back(branches[b].pages);
      append(batch, branches[b], branches[b].next, b);
      RowPlan plan;
      plan.row = b;
      plan.sampling = &greedy_;
      plans.push_back(std::move(plan));
    }
    const auto results = run(batch, plans);
    for (std::uint32_t b = 0; b < branches.size(); ++b) branches[b].next = results[b].sampled.token;
  }

  std::vector<RowResult> run(const Batch& batch, const std::vector<RowPlan>& plans) {
    auto results = backend_.step(batch, plans);
    if (!results) {
      std::fprintf(stderr, "%s\n", results.error().message.c_str());
      std::exit(1);
    }
    return std::move(*results);
  }

  double report(const char* name, std::vector<double>& speeds) const {
    std::sort(speeds.begin(), speeds.end());
    const double median = speeds[speeds.size() / 2];
    std::printf("%-34s %u %9.1f\n", name, threads_, median);
    std::fflush(stdout);
    return median;
  }

  Backend& backend_;
  unsigned threads_;
  int repeats_;
  PageId next_page_ = 0;
  Sampling greedy_;
};

}  // namespace

int main(int argc, char** argv) {
  const char* home = std::getenv("HOME");
  const std::string path = argc > 1 ? argv[1]
                                    : std::string(home != nullptr ? home : ".") +
                                          "/.cache/espalier/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  const int least_threads = argc > 2 ? std::atoi(argv[2]) : 1;
  const int most_threads = argc > 2 ? least_threads : 2;
  const int repeats = argc > 3 ? std::atoi(argv[3]) : 3;
  if (least_threads < 1 || repeats < 1) {
    std::fprintf(stderr, "threads and repeats must be at least 1\n");
    return 2;
  }
  const auto model = Model::load(path, real_system());
  if (!model) {
    std::fprintf(stderr, "%s\n", model.error().message.c_str());
    return 1;
  }
  for (int threads = least_threads; threads <= most_threads; ++threads) {
    const double start = seconds();
    CpuOptions options;
    options.threads = static_cast<unsigned>(threads);
    options.kv_bytes = std::uint64_t{1} << 30;
    auto backend = CpuBackend::create(*model, options, real_system());
    if (!backend) {
      std::fprintf(stderr, "%s\n", backend.error().message.c_str());
      return 1;
    }
    std::printf("%-34s %d %9.3f s\n", "panels", threads, seconds() - start);
    Bench bench(**backend, options.threads, repeats);
    bench.prefill();
    bench.decode(1, 0, false);
    const double alone = bench.decode(1, kPrefix, false);
    for (const std::uint32_t batch : {8U, 16U, 32U}) {
      const double together = bench.decode(batch, kPrefix, true);
      if (batch == 8) {
        std::printf("%-34s %d %9.2f x\n", "batch_8_shared_over_batch_1", threads, together / alone);
      }
      bench.decode(batch, kPrefix, false);
    }
  }
  std::printf("peak memory %.0f MB\n", static_cast<double>(real_system().peak_rss_bytes()) / 1e6);
  return 0;
}
