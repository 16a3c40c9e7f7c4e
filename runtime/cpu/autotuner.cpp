#include "runtime/cpu/autotuner.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "runtime/fastest.h"

namespace espalier::runtime::cpu {
namespace {

constexpr std::size_t kRunRows = 128;      // of products
constexpr std::uint32_t kPromptRows = 64;  // of attention: the last of a prompt
constexpr std::uint32_t kBranches = 16;
constexpr std::uint32_t kSharedPages = 31;  // before the branches' own, and in the prompt
constexpr std::uint32_t kPages = kSharedPages + 1 + kBranches;
constexpr std::size_t kRunProducts = 40'000'000;  // of a run, and more where threads need it
constexpr std::size_t kItemsEach = 4;
constexpr std::size_t kLeastWeights = std::size_t{1} << 18;

// A value in [-1, 1), the same in every run.
float made_up(std::uint32_t& state) {
  state = state * 1664525U + 1013904223U;
  return static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-31F;
}

}  // namespace

struct Autotuner::Size {
  Stage stage;
  std::uint32_t Tuning::*field;
  std::array<std::uint32_t, 4> values;
};

bool Autotuner::worth_it(const ModelShape& shape) {
  return std::size_t{shape.width} * shape.feed_forward >= kLeastWeights;
}

Autotuner::Autotuner(Forward& forward, KvPool pool, System& system)
    : forward_(forward), pool_(std::move(pool)), system_(system), part_(forward.layers_.at(0)) {
  const std::size_t threads = forward_.workers_.threads();
  for (Matrix* matrix : {&part_.query, &part_.gate, &part_.up, &part_.down}) {
    // Whole items of the feed-forward stage, several for each thread.
    const std::size_t enough = kRunProducts / (kRunRows * kPanelRows * matrix->columns()) + 1;
    const std::size_t panels = round_up(std::max(enough, 2 * kItemsEach * threads), 2);
    *matrix = matrix->first_rows(panels * kPanelRows);
  }
  make_rows();
  make_keys();
}

void Autotuner::make_rows() {
  const ModelShape& shape = forward_.shape_;
  std::uint32_t state = 1;
  const auto fill = [&](Activations& rows, std::size_t columns,
                        std::initializer_list<const Matrix*> readers) {
    rows.reshape(kRunRows, columns, readers);
    std::vector<float> row(round_up(columns, kLanes));
    for (std::size_t m = 0; m < kRunRows; ++m) {
      for (std::size_t i = 0; i < columns; ++i) row[i] = made_up(state);
      rows.set(forward_.kernels_, m, row.data());
    }
  };
  fill(forward_.normal_, shape.width, {&part_.query, &part_.gate, &part_.up});
  fill(forward_.hidden_, shape.feed_forward, {&part_.down});
  forward_.block_.resize(std::max(forward_.block_.size(), kRunRows * forward_.width_stride_));
  forward_.queries_.resize(std::max(forward_.queries_.size(), kRunRows * forward_.query_stride_));
  forward_.attended_.resize(std::max(forward_.attended_.size(), kRunRows * forward_.query_stride_));
  for (float& value : forward_.queries_) value = made_up(state);
  numbers_.resize(kRunRows);
  std::iota(numbers_.begin(), numbers_.end(), 0U);
}

void Autotuner::make_keys() {
  constexpr std::uint32_t kTokens = (kSharedPages + 1) * kPageTokens;
  std::uint32_t state = 2;
  std::vector<float> key(forward_.key_stride_);
  KvRow kept;
  pool_.reserve(kept);
  for (PageId page = 0; page < kPages; ++page) {
    for (std::uint32_t slot = 0; slot < kPageTokens; ++slot) {
      for (float& value : key) value = made_up(state);
      pool_.encode(forward_.kernels_, key.data(), key.data(), kept);
      pool_.write({page, slot}, 0, kept);
    }
  }
  std::vector<PageId> pages(kSharedPages + 1);
  std::iota(pages.begin(), pages.end(), 0U);
  prompt_.sequences.push_back(pages);
  for (std::uint32_t i = kTokens - kPromptRows; i < kTokens; ++i)
    prompt_.rows.push_back({0, i, 0, 0, 0});
  for (std::uint32_t i = 0; i < kBranches; ++i) {
    pages.back() = kSharedPages + 1 + i;
    branches_.sequences.push_back(pages);
    branches_.rows.push_back({0, kTokens - 1, i, 0, 0});
  }
}

void Autotuner::attend(const Batch& batch, std::span<const std::uint32_t> rows) {
  Attention& attention = forward_.view(part_).attention;
  attention.plan(batch, rows, pool_.type());
  attention.run(pool_, 0, forward_.queries_.data(), forward_.query_stride_,
                forward_.attended_.data(), forward_.query_stride_);
}

double Autotuner::run(Stage stage, const Tuning& tuning) {
  forward_.set_tuning(tuning);
  const auto begin = system_.now();
  switch (stage) {
    case Stage::kProducts:
      forward_.multiply(std::array{Forward::Product{&part_.query, forward_.queries_.data(),
                                                    forward_.query_stride_, false}},
                        forward_.normal_, kRunRows);
      forward_.multiply(std::array{Forward::Product{&part_.down, forward_.block_.data(),
                                                    forward_.width_stride_, false}},
                        forward_.hidden_, kRunRows);
      break;
    case Stage::kFeedForward:
      forward_.feed_forward(part_, kRunRows);
      break;
    case Stage::kAttention:
      attend(prompt_, std::span(numbers_).first(prompt_.rows.size()));
      attend(branches_, std::span(numbers_).first(branches_.rows.size()));
      break;
  }
  return std::chrono::duration<double>(system_.now() - begin).count();
}

void Autotuner::choose(const Size& size, System::Clock::time_point until) {
  const Tuning used = forward_.tuning();
  std::vector<Tuning> variants = {used};
  for (const std::uint32_t value : size.values) {
    Tuning variant = used;
    variant.*size.field = value;
    if (variant != used && variant.valid()) variants.push_back(variant);
  }
  const std::size_t chosen = fastest(
      variants.size(), [&](std::size_t i) { return run(size.stage, variants[i]); },
      [&] { return system_.now() < until; });
  forward_.set_tuning(variants[chosen]);
}

Result<Tuning> Autotuner::tune(Forward& forward, KvType type, System& system) {
  constexpr Size kSizes[] = {
      {Stage::kFeedForward, &Tuning::feed_forward_tile, {16, 32, 64, 128}},
      {Stage::kProducts, &Tuning::row_tile, {16, 32, 64, 128}},
      {Stage::kProducts, &Tuning::chunk_panels, {2, 4, 8, 16}},
      {Stage::kAttention, &Tuning::most_queries, {24, 48, 96, 192}},
      {Stage::kAttention, &Tuning::fewest_queries, {6, 12, 24, 48}},
  };
  const auto begin = system.now();
  ModelShape layer = forward.shape_;
  layer.layers = 1;
  ESP_ASSIGN(auto pool, KvPool::create(layer, type, kPages * KvPool::page_bytes(layer, type)));
  Autotuner tuner(forward, std::move(pool), system);
  int done = 0;
  for (const Size& size : kSizes) tuner.choose(size, begin + kBudget * ++done / std::size(kSizes));
  return forward.tuning();
}

}  // namespace espalier::runtime::cpu
