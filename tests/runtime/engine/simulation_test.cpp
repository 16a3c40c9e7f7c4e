// Scheduler, tree and pool together, step by step and without threads or clocks: programs of
// several turns arrive, wait for tools, are forked, cancelled in every state, run out of time; the
// backend fails now and then. Safety: after every step the tree's invariants hold, and every text
// that comes out is the model's own. Liveness: once nothing new comes, everything ends within a
// bound of steps, and all pages are free or remembered by nobody's leave.
//
// A simulation is a list of programs, each a few numbers, so that any part of a failing list can be
// tried alone: shrink. ESPALIER_PROGRAMS=n simulates at least n programs; ESPALIER_SEED=n one seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/fault_system.h"
#include "runtime/engine/scheduler.h"
#include "tests/runtime/engine/lacking.h"
#include "tests/support/toy_backend.h"

namespace espalier::runtime {
namespace {

using testing::ToyBackend;
using testing::ToyOptions;
using Ids = std::vector<TokenId>;

struct Program {
  std::uint32_t arrives = 0;  // step
  std::uint32_t trunk = 0;    // which of a few common beginnings, and how much of it
  std::uint32_t trunk_tokens = 0;
  std::uint32_t own_tokens = 0;  // appended before each turn
  std::uint32_t turns = 1;
  std::uint32_t tokens = 1;                    // generated a turn
  std::uint32_t delay = 0;                     // steps a tool takes between turns
  std::uint32_t cancelled_after = UINT32_MAX;  // steps since it arrived
  std::uint32_t deadline = UINT32_MAX;         // likewise
  std::int32_t priority = 0;
  std::uint32_t retain = 0;         // level
  std::uint32_t retain_tokens = 0;  // of its path
  std::uint32_t kind = 0;           // 0..5 generate (5: with ends), 6 score, 7 probe: the last turn
  std::uint32_t seed = 0;
  bool dead = false;
};

struct Setting {
  std::uint32_t pages = 40;
  std::uint32_t rows = 32;
  std::uint64_t fail_at = 0;
  bool jump = true;
  bool draft = true;
  double retained_share = 0.25;
  std::uint32_t draft_pages = 0;  // of a draft model; 0: there is none
  // In host memory: asked for, and of them those that there is memory for; how often a copy fails.
  std::uint32_t host_pages = 0, host_slots = 0;
  std::uint32_t host_fails = 0;
  bool ahead = false;  // steps begin before the tokens of the one before are known
  std::uint32_t refuse_ahead = 0;
  std::uint32_t lacks = 0;  // every so many-th step of more rows than one finds no memory
};

Ids ids_of(std::uint32_t seed, std::size_t count) {
  std::minstd_rand random(seed + 1);
  Ids out(count);
  for (TokenId& id : out) id = static_cast<TokenId>(random() % 4);
  return out;
}

// Of programs whose texts may end before their budgets.
const Ids kEnds = {3, 9, 17, 21, 40, 55};

const std::uint64_t kPageBytes = ToyBackend(ToyOptions{}).info().page_bytes;

/// Runs one list of programs to its end.
class Simulation {
 public:
  Simulation(const Setting& setting, const std::vector<Program>& programs)
      : setting_(setting),
        clock_(real_system()),
        backend_(toy(setting)),
        scheduler_(
            backend_,
            {.max_rows = setting.rows,
             .jump = setting.jump,
             .draft = setting.draft,
             .retained_share = setting.retained_share,
             .host_kv_bytes = setting.host_pages * kPageBytes,
             .poison = true},
            clock_, [this](std::shared_ptr<BranchState> state) { ended(*state); }, nullptr,
            draft_of(setting)) {
    for (const Program& program : programs) runs_.emplace_back().program = program;
  }

  /// What broke, or nothing.
  std::optional<std::string> run() {
    std::uint64_t work = 1000;
    for (const Run& run : runs_) {
      const Program& p = run.program;
      work = std::max<std::uint64_t>(work, p.arrives);
    }
    for (const Run& run : runs_) {
      const Program& p = run.program;
      // Every step computes a row at least, and what is preempted is computed again at most as
      // often as a request can be preempted.
      work += std::uint64_t{p.turns} * (p.delay + 1) +
              25ULL * p.turns * (p.trunk_tokens + p.turns * (p.own_tokens + p.tokens));
    }
    for (now_ = 0; unfinished() && broken_.empty(); ++now_) {
      if (now_ > work) return "not everything ended after " + std::to_string(work) + " steps";
      clock_.advance(std::chrono::milliseconds(1));
      for (Run& run : runs_) act(run);
      if (!scheduler_.idle()) scheduler_.step();
      if (const Status ok = scheduler_.check(); !ok) breaks(ok.error().message);
      const std::uint32_t retained = scheduler_.stats().pages_retained;
      retained_ = std::max(retained_, retained);
      if (retained > setting_.retained_share * setting_.pages)
        breaks("more is retained than may be");
    }
    for (Run& run : runs_) run.state.reset();
    if (!scheduler_.idle()) breaks("requests are left");
    const Stats stats = scheduler_.stats();
    if (stats.reused_tokens + stats.computed_tokens != stats.prompt_tokens)
      breaks("reused + computed != prompt");
    if (stats.host_pages_held > std::min(setting_.host_pages, setting_.host_slots))
      breaks("more pages are in host memory than it has");
    if (broken_.empty()) return std::nullopt;
    return "step " + std::to_string(now_) + ": " + broken_;
  }
  [[nodiscard]] Stats stats() const { return scheduler_.stats(); }
  [[nodiscard]] std::uint64_t texts() const { return texts_; }
  [[nodiscard]] std::uint32_t retained() const { return retained_; }  // pages, at most at once
  [[nodiscard]] std::uint64_t failures(ErrorCode code) { return failures_[code]; }

 private:
  struct Run {
    Program program;
    std::shared_ptr<BranchState> state;
    std::uint32_t turn = 0;
    std::uint64_t wakes = 0;  // step at which the tool answers
    bool over = false;
    Ids expected;  // ids before the outstanding request
  };

  // Right now and then, and it fails later than the model or not at all.
  static std::unique_ptr<Backend> draft_of(const Setting& setting) {
    if (setting.draft_pages == 0) return nullptr;
    ToyOptions options;
    options.pages = setting.draft_pages;
    options.fail_at_step = 3 * setting.fail_at;
    return std::make_unique<ToyBackend>(std::move(options));
  }
  static ToyOptions toy(const Setting& setting) {
    ToyOptions options;
    options.pages = setting.pages;
    options.fail_at_step = setting.fail_at;
    options.fail_late = setting.fail_at % 2 == 0;
    options.lacks = every_lacks(setting.lacks);
    options.lacks_late = setting.lacks % 2 == 0;
    options.host_slots = setting.host_slots;
    options.fail_saves = 7 * setting.host_fails;
    options.fail_loads = setting.host_fails;
    options.ahead = setting.ahead;
    options.refuse_ahead = setting.refuse_ahead;
    return options;
  }
  void breaks(const std::string& what) {
    if (broken_.empty()) broken_ = what;
  }
  [[nodiscard]] bool unfinished() const {
    return std::any_of(runs_.begin(), runs_.end(), [](const Run& run) { return !run.over; });
  }

  void act(Run& run) {
    const Program& p = run.program;
    if (run.over || now_ < p.arrives) return;
    if (run.state == nullptr) {
      run.state = std::make_shared<BranchState>();
      Ids trunk = ids_of(p.trunk, p.trunk_tokens);
      append(*run.state, trunk);
      run.state->terms.priority = p.priority;
      run.state->terms.retention = {
          .level = p.retain, .tokens = p.retain_tokens, .steps = 1 + p.retain_tokens};
      if (p.deadline != UINT32_MAX)
        run.state->terms.deadline = clock_.now() + std::chrono::milliseconds(p.deadline);
      start_turn(run);
      return;
    }
    if (now_ - p.arrives >= p.cancelled_after) {
      run.state->cancelled = true;
      if (!run.state->outstanding) give_up(run);
      return;
    }
    if (!run.state->outstanding && now_ >= run.wakes) start_turn(run);
  }

  static void append(BranchState& state, const Ids& ids) {
    const std::size_t begin = state.ids.size();
    state.ids.insert(state.ids.end(), ids.begin(), ids.end());
    state.segments.push_back({begin, state.ids.size(), std::make_shared<std::atomic<bool>>(false)});
  }

  void start_turn(Run& run) {
    const Program& p = run.program;
    BranchState& state = *run.state;
    append(state, ids_of(p.seed + run.turn, p.own_tokens + 1));
    run.expected = state.ids;
    const bool last = run.turn + 1 == p.turns;
    if (last && p.kind == 6) {
      state.request = ScoreRequest{{{1, 2, 3}, {1, 2}, {3}}};
    } else if (last && p.kind == 7) {
      state.request = ProbeRequest{ids_of(p.seed + 99, p.tokens), 1};
    } else {
      GenerateRequest request;
      request.max_tokens = p.tokens;
      // An end that never comes: admission cannot know how long the text will be.
      if (p.seed % 4 != 0) request.end_tokens = {1'000'000};
      if (p.kind == 5) request.end_tokens = kEnds;
      state.request = std::move(request);
    }
    state.outstanding = true;
    scheduler_.add(run.state);
  }

  void give_up(Run& run) {
    run.over = true;
    run.state->dead = run.program.dead;
    if (run.state->computed > 0) scheduler_.forget(*run.state);
  }

  void ended(const BranchState& state) {
    const auto at = std::find_if(runs_.begin(), runs_.end(),
                                 [&](const Run& run) { return run.state.get() == &state; });
    Run& run = *at;
    run.state->outstanding = false;
    const Program& p = run.program;
    std::optional<ErrorCode> failed;
    if (auto* generated = std::get_if<Result<Generated>>(&run.state->answer)) {
      if (*generated) {
        if (!is_greedy(run.expected, (*generated)->ids, p.tokens, p.kind == 5))
          breaks("a text is not the model's");
        ++texts_;
      } else {
        failed = generated->error().code;
      }
    } else if (auto* scored = std::get_if<Result<Scored>>(&run.state->answer)) {
      if (*scored) {
        const float expected = logprob(run.expected, 1);
        if (std::abs((*scored)->logprobs[1][0] - expected) > 1e-4F)
          breaks("a score is not the model's");
      } else {
        failed = scored->error().code;
      }
    } else {
      auto& probed = std::get<Result<Probed>>(run.state->answer);
      if (!probed) failed = probed.error().code;
    }
    run.state->answer = std::monostate();
    if (failed) {
      ++failures_[*failed];
      const bool known = *failed == ErrorCode::kCancelled ? run.state->cancelled.load()
                         : *failed == ErrorCode::kTimeout ? p.deadline != UINT32_MAX
                         : *failed == ErrorCode::kIo      ? setting_.fail_at != 0
                                                          : *failed == ErrorCode::kExhausted;
      if (!known) breaks("a request failed with code " + std::string(name(*failed)));
    }
    ++run.turn;
    if (failed || run.turn == p.turns) {
      give_up(run);
    } else {
      run.wakes = now_ + p.delay;
    }
  }

  // With nothing behind an end.
  bool is_greedy(Ids path, const Ids& ids, std::size_t count, bool ends) const {
    const auto end =
        ends ? std::find_first_of(ids.begin(), ids.end(), kEnds.begin(), kEnds.end()) : ids.end();
    if (end == ids.end() ? ids.size() != count : end + 1 != ids.end()) return false;
    for (const TokenId id : ids) {
      const auto logits = backend_.logits_after(path);
      if (std::max_element(logits.begin(), logits.end()) - logits.begin() != id) return false;
      path.push_back(id);
    }
    return true;
  }
  [[nodiscard]] float logprob(const Ids& path, std::size_t id) const {
    const auto logits = backend_.logits_after(path);
    double total = 0;
    for (const float l : logits) total += std::exp(static_cast<double>(l));
    return static_cast<float>(logits[id] - std::log(total));
  }

  Setting setting_;
  FaultSystem clock_;
  ToyBackend backend_;
  Scheduler scheduler_;
  std::vector<Run> runs_;
  std::uint64_t now_ = 0;
  std::uint64_t texts_ = 0;
  std::uint32_t retained_ = 0;
  std::map<ErrorCode, std::uint64_t> failures_;
  std::string broken_;
};

Setting random_setting(std::uint64_t seed) {
  std::mt19937_64 random(seed * 2 + 1);
  Setting setting;
  constexpr std::uint32_t kPages[] = {8, 12, 24, 40, 400};
  constexpr std::uint32_t kRows[] = {1, 7, 32, 200};
  setting.pages = kPages[random() % 5];
  setting.rows = kRows[random() % 4];
  setting.fail_at = random() % 4 == 0 ? 1 + random() % 60 : 0;
  setting.jump = random() % 2 == 0;
  setting.draft = random() % 4 != 0;
  constexpr std::uint32_t kDraftPages[] = {0, 0, 3, 40};
  setting.draft_pages = kDraftPages[random() % 4];
  constexpr double kShares[] = {0, 0.25, 1};
  setting.retained_share = kShares[random() % 3];
  constexpr std::uint32_t kHostPages[] = {0, 1, 30, 400};
  setting.host_slots = kHostPages[random() % 4];
  // Where there is no such memory it cannot be asked for.
  if (setting.host_slots > 0) setting.host_pages = kHostPages[random() % 4];
  constexpr std::uint32_t kHostFails[] = {0, 2, 5};
  setting.host_fails = kHostFails[random() % 3];
  setting.ahead = random() % 2 == 0;
  constexpr std::uint32_t kRefusals[] = {0, 0, 1, 3};
  setting.refuse_ahead = kRefusals[random() % 4];
  if (random() % 3 == 0) setting.lacks = 2 + static_cast<std::uint32_t>(random() % 20);
  return setting;
}

std::vector<Program> random_programs(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t n) { return static_cast<std::uint32_t>(random() % n); };
  std::vector<Program> out(count);
  const bool long_texts = below(3) == 0;  // all at once, and longer than admission reckons with
  const std::uint32_t spread = long_texts ? 1 : 1 + below(300);
  for (Program& p : out) {
    p.arrives = below(spread);
    p.trunk = below(3);
    p.trunk_tokens = below(4) == 0 ? 0 : below(90);
    p.own_tokens = below(20);
    p.turns = 1 + below(3);
    p.tokens = 1 + below(long_texts ? 120 : 12);
    p.delay = below(30);
    if (below(5) == 0) p.cancelled_after = below(40);
    if (below(6) == 0) p.deadline = below(60);
    p.priority = below(3) == 0 ? static_cast<std::int32_t>(below(21)) - 10 : 0;
    if (below(3) == 0) {
      p.retain = 1 + below(10);
      p.retain_tokens = 1 + below(100);
    }
    p.kind = below(8);
    p.seed = below(1000);
    p.dead = below(3) == 0;
  }
  return out;
}

std::vector<Program> shrink(const Setting& setting, std::vector<Program> programs) {
  for (std::size_t piece = programs.size() / 2; piece > 0; piece /= 2) {
    for (std::size_t at = 0; at + piece <= programs.size();) {
      std::vector<Program> fewer = programs;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(at),
                  fewer.begin() + static_cast<std::ptrdiff_t>(at + piece));
      if (Simulation(setting, fewer).run()) {
        programs = std::move(fewer);
      } else {
        at += piece;
      }
    }
  }
  return programs;
}

std::string print(const std::vector<Program>& programs) {
  std::string out;
  for (const Program& p : programs) {
    out += "arrives " + std::to_string(p.arrives) + ", trunk " + std::to_string(p.trunk) + " x " +
           std::to_string(p.trunk_tokens) + ", own " + std::to_string(p.own_tokens) + ", turns " +
           std::to_string(p.turns) + ", tokens " + std::to_string(p.tokens) + ", delay " +
           std::to_string(p.delay) + ", cancelled after " + std::to_string(p.cancelled_after) +
           ", deadline " + std::to_string(p.deadline) + ", priority " + std::to_string(p.priority) +
           ", retain " + std::to_string(p.retain) + " x " + std::to_string(p.retain_tokens) +
           ", kind " + std::to_string(p.kind) + ", seed " + std::to_string(p.seed) + "\n";
  }
  return out;
}

TEST(Simulation, ProgramsComeWaitAreCancelledAndAllEnd) {
  const char* one = std::getenv("ESPALIER_SEED");
  const char* many = std::getenv("ESPALIER_PROGRAMS");
  constexpr std::size_t kPrograms = 24;
  const auto seeds =
      static_cast<std::uint64_t>(many != nullptr ? std::atoll(many) : 3000) / kPrograms + 1;
  std::uint64_t texts = 0, retained = 0, accepted = 0, loaded = 0, preemptions = 0, cancelled = 0,
                late = 0, broke = 0, ahead = 0, wasted = 0;
  for (std::uint64_t i = 1; i <= seeds; ++i) {
    const std::uint64_t seed = one != nullptr ? static_cast<std::uint64_t>(std::atoll(one)) : i;
    const Setting setting = random_setting(seed);
    const auto programs = random_programs(seed, kPrograms);
    Simulation simulation(setting, programs);
    if (const auto broken = simulation.run()) {
      const auto few = shrink(setting, programs);
      FAIL() << "ESPALIER_SEED=" << seed << " (" << setting.pages << " pages, " << setting.rows
             << " rows, fails at step " << setting.fail_at << "): " << *broken
             << "\nshrunk: " << *Simulation(setting, few).run() << "\n"
             << print(few);
    }
    texts += simulation.texts();
    retained += simulation.retained();
    const Stats stats = simulation.stats();
    accepted += stats.model_accepted_tokens;
    loaded += stats.host_loaded_pages;
    ahead += stats.steps_ahead;
    wasted += stats.wasted_rows;
    preemptions += stats.preemptions;
    cancelled += simulation.failures(ErrorCode::kCancelled);
    late += simulation.failures(ErrorCode::kTimeout);
    broke += simulation.failures(ErrorCode::kIo);
    if (one != nullptr) return;
  }
  // Everything that is meant to happen happened.
  EXPECT_GT(texts, seeds * kPrograms / 2);
  EXPECT_GT(preemptions, seeds / 30);
  EXPECT_GT(retained, seeds);
  EXPECT_GT(accepted, seeds);
  EXPECT_GT(loaded, seeds);
  EXPECT_GT(ahead, 5 * seeds);
  EXPECT_GT(wasted, seeds / 30);
  EXPECT_GT(cancelled, seeds / 8);
  EXPECT_GT(late, seeds / 8);
  EXPECT_GT(broke, seeds / 8);
}

/// A request whose prompt nobody shares, beside an endless stream of short ones that the cache
/// knows.
TEST(Simulation, NobodyIsPassedForEver) {
  for (const std::int32_t priority : {0, 10}) {
    FaultSystem clock(real_system());
    ToyOptions toy;
    toy.pages = 20;
    ToyBackend backend(toy);
    std::vector<std::shared_ptr<BranchState>> done;
    Scheduler scheduler(backend, {.max_rows = 64}, clock, [&](std::shared_ptr<BranchState> state) {
      done.push_back(std::move(state));
    });
    const auto send = [&](const Ids& prompt, std::int32_t standing, std::uint32_t tokens) {
      auto state = std::make_shared<BranchState>();
      state->ids = prompt;
      state->terms.priority = standing;
      GenerateRequest request;
      request.max_tokens = tokens;
      state->request = std::move(request);
      scheduler.add(state);
      return state;
    };
    const Ids hot = ids_of(1, 100);
    for (int i = 0; i < 40; ++i) send(hot, priority, 8);
    scheduler.step();
    const std::size_t before = scheduler.waiting();
    const auto cold = send(ids_of(2, 200), 0, 8);
    std::size_t passed = 0;
    for (int step = 0; step < 5000 && passed == 0; ++step) {
      while (scheduler.waiting() < 40) send(hot, priority, 8);
      scheduler.step();
      for (const auto& state : std::exchange(done, {})) {
        if (state == cold) passed = 1;
      }
      // Admitted within (n + 1) * kOldestEvery admissions, the bound that is promised.
      if (passed == 0) {
        ASSERT_LE(scheduler.stats().requests, 40 + (before + 1) * Scheduler::kOldestEvery + 8);
      }
    }
    EXPECT_EQ(passed, 1u);
    scheduler.cancel_all();
  }
}

/// A program whose requests never stop coming, each as soon as the one before has ended, two at a
/// time, and a later one that fits the pool only alone.
TEST(Simulation, AProgramThatNeverEndsKeepsNobodyOut) {
  FaultSystem clock(real_system());
  ToyOptions toy;
  toy.pages = 20;
  ToyBackend backend(toy);
  std::vector<std::shared_ptr<BranchState>> done;
  Scheduler scheduler(backend, {.max_rows = 64}, clock, [&](std::shared_ptr<BranchState> state) {
    done.push_back(std::move(state));
  });
  const auto lineage = std::make_shared<Lineage>();
  const auto send = [&](const Ids& prompt, const std::shared_ptr<Lineage>& of) {
    auto state = std::make_shared<BranchState>();
    state->ids = prompt;
    if (of != nullptr) state->lineage = of;
    GenerateRequest request;
    request.max_tokens = 8;
    state->request = std::move(request);
    scheduler.add(state);
    return state;
  };
  std::uint32_t sent = 0;
  const auto endless = [&] { send(ids_of(sent++ % 7, 60), lineage); };
  for (int i = 0; i < 4; ++i) endless();
  scheduler.step();
  const auto other = send(ids_of(50, 290), nullptr);
  bool ended = false;
  for (int step = 0; step < 5000 && !ended; ++step) {
    scheduler.step();
    for (const auto& state : std::exchange(done, {})) {
      if (state == other) {
        ended = true;
        EXPECT_TRUE(std::get<Result<Generated>>(state->answer).has_value());
      } else {
        endless();
      }
    }
  }
  EXPECT_TRUE(ended);
  EXPECT_LE(sent, 4 + Lineage::kRequests * Scheduler::kOldestEvery);
  scheduler.cancel_all();
}

/// Two programs of several turns in a pool that holds one of them: the first is ended before the
/// second begins, so that nothing is computed twice.
TEST(Simulation, WhatWasBegunIsEndedFirst) {
  FaultSystem clock(real_system());
  ToyOptions toy;
  toy.pages = 14;
  ToyBackend backend(toy);
  std::vector<std::shared_ptr<BranchState>> done;
  Scheduler scheduler(backend, {.max_rows = 64}, clock, [&](std::shared_ptr<BranchState> state) {
    done.push_back(std::move(state));
  });
  const auto send = [&](const std::shared_ptr<BranchState>& state, std::uint32_t seed) {
    const std::size_t begin = state->ids.size();
    for (const TokenId id : ids_of(seed, begin == 0 ? 100 : 10)) state->ids.push_back(id);
    state->segments.push_back(
        {begin, state->ids.size(), std::make_shared<std::atomic<bool>>(false)});
    GenerateRequest request;
    request.max_tokens = 10;
    state->request = std::move(request);
    scheduler.add(state);
  };
  std::map<BranchState*, int> turns;
  std::vector<std::shared_ptr<BranchState>> programs;
  for (std::uint32_t i = 0; i < 4; ++i) {
    programs.push_back(std::make_shared<BranchState>());
    send(programs.back(), 20 + i);
  }
  std::size_t over = 0;
  for (int step = 0; step < 5000 && over < 4; ++step) {
    if (!scheduler.idle()) scheduler.step();
    for (const auto& state : std::exchange(done, {})) {
      ASSERT_TRUE(std::get<Result<Generated>>(state->answer).has_value());
      if (++turns[state.get()] < 4) {
        send(state, 40 + static_cast<std::uint32_t>(turns[state.get()]));
        continue;
      }
      ++over;
      const auto it = std::find(programs.begin(), programs.end(), state);
      scheduler.forget(*state);
      programs.erase(it);
    }
  }
  EXPECT_EQ(over, 4u);
  EXPECT_EQ(scheduler.stats().recomputed_tokens, 0u);
  EXPECT_EQ(scheduler.stats().preemptions, 0u);
}

TEST(Simulation, TenThousandRequestsAtOnceEndInOrderOfNeed) {
  FaultSystem clock(real_system());
  ToyOptions toy;
  toy.pages = 64;
  ToyBackend backend(toy);
  std::size_t done = 0;
  Scheduler scheduler(backend, {.max_rows = 512}, clock,
                      [&](std::shared_ptr<BranchState>) { ++done; });
  const Ids trunk = ids_of(5, 30);
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    auto state = std::make_shared<BranchState>();
    state->ids = trunk;
    state->ids.push_back(static_cast<TokenId>(i % 60));
    GenerateRequest request;
    request.max_tokens = 1;
    state->request = std::move(request);
    scheduler.add(state);
  }
  for (int step = 0; step < 20'000 && !scheduler.idle(); ++step) scheduler.step();
  EXPECT_EQ(done, 10'000u);
  const Status ok = scheduler.check();
  EXPECT_TRUE(ok.has_value()) << ok.error().message;
}

}  // namespace
}  // namespace espalier::runtime
