// A Backend without a model: its logits are a hash of the tokens it finds in the KV pages.
//
// A slot holds the token that was written there and its position; a row's logits depend on every
// slot from 0 to its position, read through its page table, and on nothing else. So a page that is
// missing, stale, freed or another sequence's changes the text or fails the step, and a test that
// compares texts sees every mistake of the tree, the scheduler and the page copies. Sampling is the
// plain definition: mask, temperature, inverse of the distribution.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/backend.h"

namespace espalier::testing {

struct ToyOptions {
  std::uint32_t vocabulary = 64;
  std::uint32_t context = 4096;
  std::uint32_t pages = 64;
  float sharpness = 4.0F;          // spread of the logits
  std::uint64_t fail_at_step = 0;  // 1-based; 0: never
  bool fail_late = false;          // in its second half
  // Whether a step of so many rows finds no memory, and in which half that is said.
  std::function<bool(std::size_t)> lacks = {};
  bool lacks_late = false;
  // Tokens that are chosen with nothing but a mask and a temperature are there for the next step
  // before anybody knows them; and of such next steps which is not begun (every so many-th; 0:
  // none).
  bool ahead = false;
  std::uint64_t refuse_ahead = 0;
  std::function<void(const runtime::Batch&)> on_step = {};
  std::function<void()> on_begun = {};  // a first half succeeds
  std::function<void(std::span<const runtime::RowPlan>)> on_finish = {};
  std::function<Status()> lost = {};  // a step ends with what it says, where that is an error
  bool for_good = false;              // and so will all that follow
  // Host memory beside the pool: slots that there is memory for, and which saves and loads cannot
  // be begun (1-based, every so many-th; 0: none).
  std::uint32_t host_slots = 0;
  std::uint64_t fail_saves = 0;
  std::uint64_t fail_loads = 0;
  double load_seconds = 1e-9;  // that a page is said to take
  // Added to a token's logit, after the tokens of its sequence so far.
  std::function<float(std::span<const TokenId>, std::size_t)> wants = {};
};

class ToyBackend final : public runtime::Backend, public runtime::HostPages {
 public:
  explicit ToyBackend(ToyOptions options)
      : options_(std::move(options)), slots_(std::size_t{options_.pages} * runtime::kPageTokens) {
    info_.vocabulary = options_.vocabulary;
    info_.context = options_.context;
    info_.pages = options_.pages;
    info_.page_bytes = sizeof(Slot) * runtime::kPageTokens;
    info_.kv_format = "toy";
  }

  const runtime::BackendInfo& info() const override { return info_; }

  // All rows run in the first half, as on a device.
  Status begin(const runtime::Batch& batch, std::span<const std::uint32_t> wanted) override {
    ++steps_;
    rows_ += batch.rows.size();
    if (options_.on_step) options_.on_step(batch);
    if (options_.lost) ESP_TRY(options_.lost());
    lacks_now_ = options_.lacks && options_.lacks(batch.rows.size());
    if (lacks_now_ && !options_.lacks_late) return no_memory();
    if (steps_ == options_.fail_at_step && !options_.fail_late)
      return fail(ErrorCode::kIo, "toy backend: injected failure");
    for (const auto& copy : batch.copies) {
      for (std::uint32_t s = 0; s < copy.slots; ++s) at(copy.to, s) = at(copy.from, s);
    }
    for (const auto& row : batch.rows) {
      for (std::uint32_t w = 0; w < row.writes; ++w) {
        const auto& slot = batch.writes[row.first_write + w];
        if (slot.slot != row.position % runtime::kPageTokens)
          return broken("a write to the wrong slot", row.position);
        at(slot.page, slot.slot) = {row.token, row.position};
      }
    }
    logits_.clear();
    for (const std::uint32_t index : wanted) {
      const auto& row = batch.rows[index];
      ESP_TRY(read(batch.sequences[row.sequence], row));
      logits_.emplace_back(index, logits_after(path_));
    }
    if (options_.on_begun) options_.on_begun();
    return {};
  }
  Result<std::vector<runtime::RowResult>> finish(std::span<const runtime::RowPlan> plans) override {
    if (options_.on_finish) options_.on_finish(plans);
    if (lacks_now_) return no_memory();
    if (steps_ == options_.fail_at_step)
      return fail(ErrorCode::kIo, "toy backend: injected failure");
    std::vector<runtime::RowResult> out;
    for (const auto& plan : plans) {
      const auto row = std::find_if(logits_.begin(), logits_.end(),
                                    [&](const auto& it) { return it.first == plan.row; });
      if (row == logits_.end()) return broken("a plan for a row that was not wanted", plan.row);
      out.push_back(answer(row->second, plan));
    }
    return out;
  }

  bool lost() const override { return options_.for_good && options_.lost && !options_.lost(); }

  bool chooses_ahead(const runtime::RowPlan& plan) const override {
    return options_.ahead && plan.want == runtime::Want::kToken && plan.count == 0 &&
           plan.sampling->top_k == 0 && plan.counts == nullptr;
  }
  Result<std::vector<runtime::RowResult>> finish_and_begin(std::span<const runtime::RowPlan> plans,
                                                           runtime::NextStep& next) override {
    next.begun = false;
    auto out = finish(plans);
    if (!out) return out;
    if (options_.refuse_ahead > 0 && ++next_steps_ % options_.refuse_ahead == 0) return out;
    runtime::Batch batch = *next.batch;
    for (runtime::Row& row : batch.rows) {
      if (row.chosen == runtime::Row::kKnown) continue;
      if (!chooses_ahead(plans[row.chosen]))
        return broken("a row of a token that is not there", row.position);
      row.token = (*out)[row.chosen].sampled.token;
    }
    const Status begun = begin(batch, next.wanted);
    // What is not the step's own failure is the test's to see.
    if (!begun && begun.error().code == ErrorCode::kInternal) return fail(begun.error());
    next.begun = begun.has_value();
    return out;
  }

  void poison(runtime::PageId page) override {
    for (std::uint32_t s = 0; s < runtime::kPageTokens; ++s) at(page, s) = {};
  }

  void export_page(runtime::PageId page, std::span<std::byte> out) const override {
    std::memcpy(out.data(), &slots_[std::size_t{page} * runtime::kPageTokens], out.size());
  }
  void import_page(runtime::PageId page, std::span<const std::byte> bytes) override {
    std::memcpy(&at(page, 0), bytes.data(), bytes.size());
  }

  runtime::HostPages* host_pages() override { return options_.host_slots > 0 ? this : nullptr; }
  Status reserve(std::uint32_t slots) override {
    if (slots > options_.host_slots) {
      return fail(ErrorCode::kExhausted, "toy backend: no host memory");
    }
    host_.resize(std::max<std::size_t>(host_.size(), std::size_t{slots} * runtime::kPageTokens));
    return {};
  }
  Status save(runtime::HostCopy copy) override {
    const bool fails = options_.fail_saves > 0 && ++saves_ % options_.fail_saves == 0;
    for (std::uint32_t s = 0; s < runtime::kPageTokens; ++s) {
      host(copy.slot, s) = fails ? Slot{} : at(copy.page, s);
    }
    return fails ? Status(fail(ErrorCode::kInternal, "toy backend: a save that fails")) : Status();
  }
  Status load(std::span<const runtime::HostCopy> copies) override {
    const bool fails = options_.fail_loads > 0 && ++loads_ % options_.fail_loads == 0;
    for (const auto& copy : copies) {
      for (std::uint32_t s = 0; s < runtime::kPageTokens; ++s) {
        if (!fails || s < runtime::kPageTokens / 2) at(copy.page, s) = host(copy.slot, s);
      }
    }
    if (fails) return fail(ErrorCode::kInternal, "toy backend: a load that fails");
    took_ = {copies.size(), options_.load_seconds * static_cast<double>(copies.size())};
    return {};
  }
  Took loads_took() override { return std::exchange(took_, {}); }

  [[nodiscard]] std::uint64_t rows() const { return rows_; }

  /// The logits after a sequence of tokens: what step() must reproduce whatever the pages.
  [[nodiscard]] std::vector<float> logits_after(std::span<const TokenId> tokens) const {
    std::uint64_t hash = kStart;
    for (const TokenId token : tokens) hash = absorb(hash, token);
    std::vector<float> out(options_.vocabulary);
    const RandomKey key(hash);
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<float>(key.uniform(i)) * options_.sharpness +
               (options_.wants ? options_.wants(tokens, i) : 0.0F);
    return out;
  }

 private:
  struct Slot {
    TokenId token = kNoToken;
    std::uint32_t position = 0;
  };
  static constexpr std::uint64_t kStart = 1469598103934665603ULL;

  static std::uint64_t absorb(std::uint64_t hash, TokenId token) {
    hash = (hash ^ static_cast<std::uint64_t>(token)) * 1099511628211ULL;
    return hash ^ (hash >> 29);
  }
  static tl::unexpected<Error> no_memory() {
    return fail(ErrorCode::kExhausted, "toy backend: no memory");
  }
  static tl::unexpected<Error> broken(const std::string& what, std::uint32_t position) {
    return fail(ErrorCode::kInternal,
                "toy backend: " + what + " at position " + std::to_string(position));
  }
  Slot& at(runtime::PageId page, std::uint32_t slot) {
    return slots_[std::size_t{page} * runtime::kPageTokens + slot];
  }

  Slot& host(std::uint32_t slot, std::uint32_t place) {
    return host_.at(std::size_t{slot} * runtime::kPageTokens + place);
  }

  // The tokens of a row's sequence, into path_.
  Status read(const std::vector<runtime::PageId>& pages, const runtime::Row& row) {
    path_.clear();
    for (std::uint32_t p = 0; p <= row.position; ++p) {
      if (p / runtime::kPageTokens >= pages.size())
        return broken("a page table that is too short", p);
      const Slot& slot = at(pages[p / runtime::kPageTokens], p % runtime::kPageTokens);
      if (slot.token == kNoToken) return broken("a slot that was freed or never written", p);
      if (slot.position != p) return broken("a slot of another position", p);
      if (p == row.position && slot.token != row.token)
        return broken("a row whose slot holds another token", p);
      path_.push_back(slot.token);
    }
    return {};
  }

  static runtime::RowResult answer(const std::vector<float>& logits, const runtime::RowPlan& plan) {
    runtime::RowResult out;
    double total = 0;
    for (const float l : logits) total += std::exp(static_cast<double>(l));
    const auto logprob = [&](std::size_t id) {
      return static_cast<float>(logits[id] - std::log(total));
    };
    for (const TokenId id : plan.ids) out.logprobs.push_back(logprob(static_cast<std::size_t>(id)));
    std::vector<TokenId> order(logits.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<TokenId>(i);
    std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) {
      return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
    });
    for (std::uint32_t i = 0; i < plan.count && i < order.size(); ++i) {
      out.best.emplace_back(order[i], logprob(static_cast<std::size_t>(order[i])));
    }
    if (plan.want != runtime::Want::kToken) return out;
    std::vector<TokenId> allowed;
    for (const TokenId id : order) {
      if (plan.mask == nullptr || plan.mask->allows(id)) allowed.push_back(id);
    }
    double mass = 0;
    for (const TokenId id : allowed)
      mass += std::exp(static_cast<double>(logits[static_cast<std::size_t>(id)]));
    TokenId chosen = allowed.front();
    const float t = plan.sampling->temperature;
    if (t > 0) {
      const auto weight = [&](TokenId id) {
        return std::exp(static_cast<double>(logits[static_cast<std::size_t>(id)]) / t);
      };
      double sum = 0;
      for (const TokenId id : allowed) sum += weight(id);
      double u = plan.key.uniform(plan.counter) * sum;
      for (const TokenId id : allowed) {
        chosen = id;
        u -= weight(id);
        if (u < 0) break;
      }
    }
    out.sampled = {
        chosen,
        static_cast<float>(std::exp(static_cast<double>(logits[static_cast<std::size_t>(chosen)])) /
                           mass)};
    return out;
  }

  ToyOptions options_;
  runtime::BackendInfo info_;
  std::vector<Slot> slots_, host_;
  std::uint64_t saves_ = 0, loads_ = 0, next_steps_ = 0;
  Took took_;
  std::vector<TokenId> path_;                                         // see read()
  std::vector<std::pair<std::uint32_t, std::vector<float>>> logits_;  // of wanted rows
  std::uint64_t steps_ = 0;
  bool lacks_now_ = false;  // the step that has begun
  std::atomic<std::uint64_t> rows_ = 0;
};

}  // namespace espalier::testing
