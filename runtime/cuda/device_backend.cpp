#include "runtime/cuda/device_backend.h"

#include <algorithm>
#include <new>
#include <set>
#include <utility>

#include "runtime/cpu/kv_pool.h"
#include "runtime/cuda/embed.h"

namespace espalier::runtime::cuda {
namespace {

std::string step_of(std::size_t rows) { return "step of " + std::to_string(rows) + " rows"; }

// f(), where memory of the host may lack.
template <class F>
Status without_lack(std::size_t rows, F&& f) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kExhausted, step_of(rows) + ": out of memory");
  }
}

}  // namespace

Result<std::unique_ptr<Backend>> DeviceBackend::create(const Model& model,
                                                       const CudaOptions& options, Places places) {
  std::unique_ptr<DeviceBackend> out(new DeviceBackend(model, options, std::move(places)));
  if (out->alone()) return std::unique_ptr<Backend>(std::move(out));
  for (const auto& rank : out->places_.ranks) {
    ESP_TRY(rank->enter());
    ESP_ASSIGN(out->ended_.emplace_back(), Event::create(false));
  }
  if (out->head_ > 0) out->arrived_.resize(out->places_.tensor);
  return std::unique_ptr<Backend>(std::move(out));
}

DeviceBackend::DeviceBackend(const Model& model, const CudaOptions& options, Places places)
    : places_(std::move(places)),
      head_(places_.ranks.size() - places_.tensor),
      watch_(options.watch) {
  const ModelShape& shape = model.shape();
  info_.vocabulary = shape.vocabulary;
  info_.context = shape.context;
  info_.pages = places_.pages;
  info_.page_bytes = cpu::KvPool::page_bytes(shape, options.kv_type);
  info_.kv_format =
      cpu::KvPool::format(options.kv_type, options.numerics, name_of(options.fp8_calibration));
  std::set<std::string> tunings;
  for (const auto& rank : places_.ranks) tunings.insert(rank->tuning().text());
  for (const std::string& text : tunings) info_.tuning += (info_.tuning.empty() ? "" : "; ") + text;
}

DeviceBackend::~DeviceBackend() {
  if (under_way_) (void)drain();
  // What lies on a device goes while it is the current one.
  for (; !ended_.empty(); ended_.pop_back()) (void)places_.ranks[ended_.size() - 1]->enter();
  for (; !arrived_.empty(); arrived_.pop_back()) (void)places_.ranks[arrived_.size() - 1]->enter();
  for (auto& choices = places_.choices; !choices.empty(); choices.pop_back()) {
    (void)places_.ranks[head_ + choices.size() - 1]->enter();
  }
}

Status DeviceBackend::begin(const Batch& batch, std::span<const std::uint32_t> wanted) {
  check_batch(info_, batch, wanted);
  if (std::exchange(under_way_, false)) (void)drain();
  Status begun = without_lack(batch.rows.size(), [&]() -> Status {
    ESP_TRY(prepare(batch, wanted, {}, [this] { places_.network->give_up(); }));
    return launch(0);
  });
  if (!begun) return settled(std::move(begun).error());
  under_way_ = true;
  return {};
}

// Ids are read where they were chosen, or sent there.
bool DeviceBackend::chooses_ahead(const RowPlan& plan) const {
  if (places_.host != nullptr || !chosen_on_device(plan)) return false;
  return std::all_of(places_.ranks.begin(), places_.ranks.begin() + places_.tensor,
                     [](const auto& rank) { return rank->forward().looks_up(); });
}

Result<std::vector<RowResult>> DeviceBackend::finish_and_begin(std::span<const RowPlan> plans,
                                                               NextStep& next) {
  next.begun = false;
  // What grows may be what this one's answers still need.
  const bool room = std::all_of(places_.ranks.begin(), places_.ranks.end(), [&](const auto& rank) {
    return rank->forward().has_room(next.batch->rows.size(), next.wanted.size());
  });
  return second_half(plans, room ? &next : nullptr);
}

const SampleResult* DeviceBackend::chosen_on(std::uint32_t rank) const {
  if (!begins(rank)) return nullptr;
  return head_ == 0 ? places_.choices[rank].choices() : arrived_[rank].as<SampleResult>();
}

// What was enqueued may still read what the next step overwrites.
Status DeviceBackend::wait(const std::string& what) {
  return each([&](Rank& rank, std::uint32_t) { return rank.stream().wait(what); });
}

// After a failure. What a launch left is told once; that a device is lost, by every call.
tl::unexpected<Error> DeviceBackend::settled(Error error) {
  (void)drain();
  lost_ = !drain();
  if (!alone()) places_.network->give_up();
  return fail(std::move(error));
}

// All that can lack memory, before any rank waits for another.
template <class Failed>
Status DeviceBackend::prepare(const Batch& batch, std::span<const std::uint32_t> wanted,
                              std::span<const std::uint32_t> ids, Failed&& failed) {
  wanted_.assign(wanted.begin(), wanted.end());
  rows_ = batch.rows.size();
  ESP_TRY(places_.network->join());
  const Residual earlier = places_.host == nullptr ? Residual() : places_.host->run(batch);
  return each(
      [&](Rank& rank, std::uint32_t r) -> Status {
        // As many as there can be at first, since what moves is recorded anew.
        const std::size_t sent = ids.empty() ? 0 : std::max<std::size_t>(ids.size(), kHeadRows);
        if (begins(r) && head_ > 0) {
          ESP_TRY(arrived_[r].fit(sent * sizeof(SampleResult), "choices of another device"));
        }
        ESP_TRY(rank.transfers().before_writing(batch));
        return rank.forward().prepare(batch, wanted_, earlier, places_.network->of(r),
                                      {chosen_on(r), ids});
      },
      failed);
}

// The layers, behind `ids_sent` choices of the last stage that the first one is sent.
Status DeviceBackend::launch(std::uint64_t ids_sent) {
  if (watch_ != nullptr) watch_->begin_step(static_cast<std::uint32_t>(rows_));
  return each([&](Rank& rank, std::uint32_t r) -> Status {
    Communicator* const along = places_.network->of(r).along;
    const std::uint64_t floats = ids_sent * sizeof(SampleResult) / sizeof(float);
    if (floats > 0 && along != nullptr && has_head(r)) {
      const auto* from = reinterpret_cast<const float*>(places_.choices[r - head_].choices());
      ESP_TRY(along->send(from, floats, 0, rank.stream()));
    } else if (floats > 0 && along != nullptr && begins(r)) {
      ESP_TRY(along->receive(arrived_[r].as<float>(), floats, along->ranks() - 1, rank.stream()));
    }
    return DeviceWatch::launch(watch_of(r), rank.stream(),
                               [&] { return rank.forward().run(rank.pool(), rank.transfers()); });
  });
}

// `next`, where there is one, is begun as soon as nothing of this one is left to enqueue.
Result<std::vector<RowResult>> DeviceBackend::second_half(std::span<const RowPlan> plans,
                                                          NextStep* next) {
  ESP_CHECK(under_way_);
  under_way_ = false;
  check_plans(info_, wanted_, plans);
  std::vector<RowResult> results;
  Status answered = without_lack(rows_, [&] { return answer(plans, next, results); });
  if (answered) return results;
  under_way_ = false;
  if (next != nullptr) next->begun = false;
  return settled(std::move(answered).error());
}

// Where it cannot be begun, what is left of it is waited for. Of several devices one that fails
// when it begins takes this step with it: what the others have enqueued of it ends with the group.
Status DeviceBackend::begin_beside(const DeviceChoices::Question& question,
                                   std::span<const RowResult> results, NextStep& next) {
  const Batch& batch = *next.batch;
  check_batch(info_, batch, next.wanted, question.plans);
  const DeviceChoices& choices = places_.choices[0];
  Status ready = without_lack(batch.rows.size(), [&]() -> Status {
    ids_.clear();
    for (const Row& row : batch.rows) {
      // Of a mask that allows one token, and of rows before those in question, the answer is
      // there.
      const TokenId known =
          row.chosen == Row::kKnown ? row.token : results[row.chosen].sampled.token;
      ids_.push_back(known != kNoToken ? static_cast<std::uint32_t>(known)
                                       : kChosenId | choices.number_of(question, row.chosen));
    }
    // Nobody waits for another here: the step under way goes on.
    return prepare(batch, next.wanted, ids_, [] {});
  });
  if (!ready) return wait(question.what);
  Status begun =
      without_lack(batch.rows.size(), [&] { return launch(choices.asked_count(question)); });
  if (!begun) return alone() ? wait(question.what) : begun;
  under_way_ = next.begun = true;
  return {};
}

Status DeviceBackend::answer(std::span<const RowPlan> plans, NextStep* next,
                             std::vector<RowResult>& results) {
  const std::string what = step_of(rows_);
  results.resize(plans.size());
  PlannedRows planned(plans, info_.vocabulary, results);
  planned.spread_over(wanted_);
  struct Chunk {
    std::uint32_t begin, end;
  };
  std::vector<Chunk> chunks;
  std::vector<std::vector<std::uint64_t>> tokens;
  const auto all = static_cast<std::uint32_t>(wanted_.size());
  for (std::uint32_t begin = 0; begin < all; begin += kHeadRows) {
    chunks.push_back({begin, std::min(begin + kHeadRows, all)});
    tokens.push_back(wanted_tokens(plans, planned, begin, chunks.back().end));
  }
  bool narrowed = false;
  for (const auto& [begin, end] : chunks) {
    if (!planned.any(begin, end)) continue;
    const DeviceChoices::Question asked{plans, planned, begin, end, nullptr, 0, what, nullptr};
    // The same one of each rank's logits.
    std::vector<DeviceChoices::Question> questions(places_.choices.size(), asked);
    const auto ask = [&](Rank& rank, std::uint32_t r) -> Status {
      if (has_head(r)) {
        if (!narrowed) ESP_TRY(rank.forward().narrow_head(tokens));
        DeviceChoices::Question& question = questions[r - head_];
        question.watch = watch_of(r);
        ESP_TRY(DeviceWatch::launch(question.watch, rank.stream(), [&]() -> Status {
          ESP_ASSIGN(question.logits, rank.forward().logits(question.begin, question.end));
          return {};
        }));
        question.stride = rank.forward().logits_stride();
        ESP_TRY(places_.choices[r - head_].ask(question, rank.stream()));
      }
      return alone() ? Status() : ended_[r].record(rank.stream());
    };
    // Each rank on its own thread: one whose device failed must be heard while others wait.
    const auto collect = [&](Rank& rank, std::uint32_t r) -> Status {
      if (r != head_) return ended_[r].wait(what);
      return places_.choices[0].collect(questions[0], rank.stream(), results);
    };
    ESP_TRY(each(ask));
    narrowed = true;
    // Of rows before these the answers are there.
    const bool last = !planned.any(end, all);
    const bool chosen = std::all_of(places_.choices.begin(), places_.choices.end(),
                                    [](const DeviceChoices& it) { return it.chooses(); });
    if (next != nullptr && last && chosen) ESP_TRY(begin_beside(questions[0], results, *next));
    ESP_TRY(each(collect));
  }
  if (narrowed) return {};
  // Also where nothing is wanted: what the step was given may go when it returns.
  return wait(what);
}

void DeviceBackend::poison(PageId page) {
  ESP_CHECK(page < info_.pages);
  if (places_.host != nullptr) places_.host->poison(page);
  for (const auto& rank : places_.ranks) {
    (void)rank->enter();
    rank->poison(page);
  }
}

void DeviceBackend::export_page(PageId page, std::span<std::byte> out) const {
  ESP_CHECK(page < info_.pages && out.size() == info_.page_bytes);
  const std::span<std::byte> early = earlier_part(page);
  std::copy(early.begin(), early.end(), out.begin());
  for (const auto& rank : places_.ranks) {
    (void)rank->enter();
    rank->export_page(page, out);
  }
}

void DeviceBackend::import_page(PageId page, std::span<const std::byte> bytes) {
  ESP_CHECK(page < info_.pages && bytes.size() == info_.page_bytes);
  const std::span<std::byte> early = earlier_part(page);
  std::copy_n(bytes.begin(), early.size(), early.begin());
  for (const auto& rank : places_.ranks) {
    (void)rank->enter();
    rank->import_page(page, bytes);
  }
}

Status DeviceBackend::reserve(std::uint32_t slots) {
  return on_each_rank([&](Rank& rank) -> Status {
    ESP_TRY(rank.transfers().reserve(slots));
    if (places_.host == nullptr) return {};
    try {
      earlier_.resize(std::max<std::size_t>(earlier_.size(), slots));
    } catch (const std::bad_alloc&) {
      return fail(ErrorCode::kExhausted, "pages beside the KV pool: out of memory");
    }
    return {};
  });
}

Status DeviceBackend::save(HostCopy copy) {
  ESP_TRY(on_each_rank([&](Rank& rank) { return rank.transfers().save(copy); }));
  const std::span<const std::byte> early = earlier_part(copy.page);
  if (early.empty()) return {};
  try {
    earlier_[copy.slot].assign(early.begin(), early.end());
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kExhausted, "pages beside the KV pool: out of memory");
  }
  return {};
}

Status DeviceBackend::load(std::span<const HostCopy> copies) {
  ESP_TRY(on_each_rank([&](Rank& rank) { return rank.transfers().load(copies); }));
  if (places_.host == nullptr) return {};
  for (const HostCopy& copy : copies) {
    std::copy(earlier_[copy.slot].begin(), earlier_[copy.slot].end(),
              earlier_part(copy.page).begin());
  }
  return {};
}

HostPages::Took DeviceBackend::loads_took() {
  Took out;
  (void)on_each_rank([&](Rank& rank) -> Status {
    const Took took = rank.transfers().loads_took();
    out.pages = std::max(out.pages, took.pages);
    out.seconds = std::max(out.seconds, took.seconds);
    return {};
  });
  return out;
}

}  // namespace espalier::runtime::cuda
