// Attention on the device against the CPU's: the same bits, however rows share loads. What no row
// may read is NaN.
#include "runtime/cuda/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "runtime/cpu/attention.h"
#include "tests/runtime/cuda/rig.h"

namespace espalier::runtime::cuda {
namespace {

using Random = std::mt19937_64;

constexpr std::uint32_t kLayers = 2;
constexpr std::uint32_t kLayer = 1;
constexpr std::uint32_t kPages = 400;

ModelShape shape_of(std::uint32_t heads, std::uint32_t kv_heads, std::uint32_t width) {
  ModelShape shape;
  shape.layers = kLayers;
  shape.heads = heads;
  shape.kv_heads = kv_heads;
  shape.head_width = width;
  shape.query_scale = 1.0F / std::sqrt(static_cast<float>(width));
  return shape;
}

// Sequences of random keys and values on random pages, rows that attend to them, and queries.
class World {
 public:
  World(const ModelShape& shape, std::uint64_t seed, KvType type = KvType::kF16)
      : shape_(shape),
        random_(seed),
        workers_(std::move(*cpu::WorkerPool::create(1))),
        pool_(std::move(
            *cpu::KvPool::create(shape, type, kPages * cpu::KvPool::page_bytes(shape, type)))) {
    pool_.reserve(kept_);
    free_.resize(kPages);
    std::iota(free_.begin(), free_.end(), 0U);
    std::shuffle(free_.begin(), free_.end(), random_);
    for (PageId page = 0; page < kPages; ++page) pool_.poison(page);
  }

  [[nodiscard]] std::uint32_t below(std::uint32_t n) {
    return static_cast<std::uint32_t>(random_() % n);
  }

  /// A sequence of `tokens`; the whole pages of the first `shared` of another's are its own too.
  std::uint32_t sequence(std::uint32_t tokens, std::uint32_t of = 0, std::uint32_t shared = 0) {
    std::vector<PageId> table;
    for (std::uint32_t p = 0; p < tokens; p += kPageTokens) {
      if (p + kPageTokens <= shared) {
        table.push_back(batch.sequences[of][p / kPageTokens]);
        continue;
      }
      table.push_back(free_.back());
      free_.pop_back();
      for (std::uint32_t i = p; i < std::min(tokens, p + kPageTokens); ++i) {
        write({table.back(), i - p}, false);
      }
    }
    batch.sequences.push_back(table);
    return static_cast<std::uint32_t>(batch.sequences.size() - 1);
  }
  /// Rows at positions [begin, end) of a sequence.
  void rows(std::uint32_t sequence, std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t p = begin; p < end; ++p) {
      batch.rows.push_back({.token = 0, .position = p, .sequence = sequence});
    }
  }
  /// The last row of a sequence of `tokens`.
  void decode(std::uint32_t sequence, std::uint32_t tokens) { rows(sequence, tokens - 1, tokens); }

  [[nodiscard]] std::vector<std::uint32_t> all_rows() const {
    std::vector<std::uint32_t> all(batch.rows.size());
    std::iota(all.begin(), all.end(), 0U);
    return all;
  }

  /// Fills what rows with this window do not see with NaN.
  void poison_unseen(std::uint32_t window, const std::vector<std::uint32_t>& wanted) {
    std::vector<bool> seen(std::size_t{kPages} * kPageTokens);
    for (const std::uint32_t r : wanted) {
      const Row& row = batch.rows[r];
      for (std::uint32_t p = 0; p <= row.position; ++p) {
        if (window != 0 && p + window <= row.position) continue;
        seen[std::size_t{batch.sequences[row.sequence][p / kPageTokens]} * kPageTokens +
             p % kPageTokens] = true;
      }
    }
    for (std::size_t i = 0; i < seen.size(); ++i) {
      if (!seen[i]) {
        write({static_cast<PageId>(i / kPageTokens), static_cast<std::uint32_t>(i % kPageTokens)},
              true);
      }
    }
  }

  void make_queries(float spread) {
    query_stride_ = std::size_t{shape_.heads} * shape_.head_width + 5;
    std::normal_distribution<float> normal(0.0F, spread);
    queries.resize(batch.rows.size() * query_stride_);
    for (float& x : queries) x = normal(random_);
  }

  [[nodiscard]] std::size_t row_floats() const {
    return std::size_t{shape_.heads} * shape_.head_width;
  }

  /// Result i is that of wanted[i].
  [[nodiscard]] std::vector<float> on_cpu(std::uint32_t window,
                                          const std::vector<std::uint32_t>& wanted) {
    const cpu::Tuning tuning;
    cpu::Attention attention(shape_, window, cpu::kScalarKernels, *workers_, tuning);
    attention.plan(batch, wanted, pool_.type());
    std::vector<float> all(batch.rows.size() * row_floats());
    attention.run(pool_, kLayer, queries.data(), query_stride_, all.data(), row_floats());
    std::vector<float> out;
    for (const std::uint32_t row : wanted) {
      const auto from = all.begin() + static_cast<std::ptrdiff_t>(row * row_floats());
      out.insert(out.end(), from, from + static_cast<std::ptrdiff_t>(row_floats()));
    }
    return out;
  }

  [[nodiscard]] std::vector<float> on_device(const AttentionPlan& plan, std::size_t wanted,
                                             std::uint32_t more_blocks = 0) {
    std::vector<std::uint16_t> halves;
    for (PageId page = 0; page < kPages; ++page) {
      const auto bytes = pool_.bytes(page);
      const auto* from = reinterpret_cast<const std::uint16_t*>(bytes.data());
      halves.insert(halves.end(), from, from + bytes.size() / sizeof(std::uint16_t));
    }
    const DeviceArray<std::uint16_t> pages(halves);
    const DeviceArray<float> from(queries);
    const DeviceArray<float> to(wanted * row_floats());
    const DeviceArray<float> parts(std::max<std::size_t>(1, plan.parts()) * shape_.heads *
                                   part_floats(shape_.head_width));
    std::vector<std::byte> bytes(plan.bytes());
    plan.write_to(bytes);
    std::vector<unsigned char> raw(bytes.size());
    std::memcpy(raw.data(), bytes.data(), bytes.size());
    const DeviceArray<unsigned char> on_device(raw);
    AttentionCall call;
    call.plan = on_device.get();
    call.pool = {pages.get(), kLayers, shape_.kv_heads, shape_.head_width, pool_.type()};
    call.layer = kLayer;
    call.heads = shape_.heads;
    call.scale = shape_.query_scale;
    call.queries = from.get();
    call.query_stride = query_stride_;
    call.out = to.get();
    call.out_stride = row_floats();
    call.parts = parts.get();
    AttentionGrid grid = plan.grid();
    if (more_blocks > 0) {
      for (std::uint32_t& items : grid.items) items += more_blocks;
    }
    attend(nullptr, grid, call);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    return to.read();
  }

  Batch batch;
  std::vector<float> queries;

 private:
  void write(KvSlot slot, bool nan) {
    std::normal_distribution<float> normal;
    const std::size_t n = std::size_t{shape_.kv_heads} * shape_.head_width;
    std::vector<float> key(n, std::numeric_limits<float>::quiet_NaN());
    std::vector<float> value(key);
    for (std::size_t i = 0; i < n && !nan; ++i) {
      key[i] = normal(random_);
      value[i] = normal(random_);
    }
    pool_.encode(cpu::kScalarKernels, key.data(), value.data(), kept_);
    pool_.write(slot, kLayer, kept_);
  }

  ModelShape shape_;
  Random random_;
  std::unique_ptr<cpu::WorkerPool> workers_;
  cpu::KvPool pool_;
  cpu::KvRow kept_;
  std::vector<PageId> free_;
  std::size_t query_stride_ = 0;
};

// One multiprocessor: items are as large as they can be.
constexpr AttentionLimits kSplit{.busy_blocks = 1'000'000, .multiprocessors = 1};
constexpr AttentionLimits kWhole{.busy_blocks = 1, .multiprocessors = 1};
constexpr AttentionLimits kNoParts{.busy_blocks = 1'000'000, .multiprocessors = 1, .part_bytes = 0};

void expect_the_bits_of_the_cpu(World& world, const ModelShape& shape, std::uint32_t window,
                                const std::vector<std::uint32_t>& wanted,
                                const AttentionLimits& limits = kSplit) {
  AttentionPlan plan(shape, window, limits);
  plan.plan(world.batch, wanted);
  const auto expected = world.on_cpu(window, wanted);
  for (const float x : expected) ASSERT_TRUE(std::isfinite(x));
  ASSERT_TRUE(same_bits(expected, world.on_device(plan, wanted.size())));
}

struct Sizes {
  std::uint32_t heads, kv_heads, width;
  KvType type = KvType::kF16;
};

void PrintTo(const Sizes& sizes, std::ostream* out) {
  *out << sizes.heads << " heads, " << sizes.kv_heads << " of K and V, width " << sizes.width
       << ", " << kv_type_name(sizes.type);
}

class EachShape : public ::testing::TestWithParam<Sizes> {
 protected:
  EachShape() : shape(shape_of(GetParam().heads, GetParam().kv_heads, GetParam().width)) {}
  void TearDown() override { set_order(0); }
  [[nodiscard]] World world(std::uint64_t seed) const { return {shape, seed, GetParam().type}; }
  ModelShape shape;
};

TEST_P(EachShape, PromptsHaveTheBitsOfTheCpu) {
  std::uint64_t seed = 1;
  for (const auto& limits : {kSplit, kWhole, kNoParts}) {
    World world = this->world(seed);
    set_order(seed++);
    const std::uint32_t start = 230 + world.below(20);  // some rows end before others' next segment
    const std::uint32_t rows = 30 + world.below(10);
    world.rows(world.sequence(start + rows), start, start + rows);
    world.rows(world.sequence(9), 0, 9);
    world.make_queries(2.0F);
    expect_the_bits_of_the_cpu(world, shape, 0, world.all_rows(), limits);
  }
}

TEST_P(EachShape, LongContextsHaveTheBitsOfTheCpu) {
  std::uint64_t seed = 11;
  for (const auto& limits : {kSplit, kNoParts}) {
    World world = this->world(seed);
    set_order(seed++);
    for (const std::uint32_t tokens : {1U, 16U, 255U, 256U, 257U, 800U}) {
      world.decode(world.sequence(tokens), tokens);
    }
    world.make_queries(2.0F);
    expect_the_bits_of_the_cpu(world, shape, 0, world.all_rows(), limits);
  }
}

TEST_P(EachShape, BranchesOfAPrefixHaveTheBitsOfTheCpu) {
  World world = this->world(21);
  set_order(21);
  const std::uint32_t trunk = world.sequence(300);
  for (int branch = 0; branch < 5; ++branch) {
    const std::uint32_t shared = branch < 3 ? 300 : 100;
    const std::uint32_t tokens = 290 + world.below(60);
    const std::uint32_t end = std::max(tokens, shared + 1);
    world.decode(world.sequence(end, trunk, shared), end);
  }
  world.make_queries(1.0F);
  expect_the_bits_of_the_cpu(world, shape, 0, world.all_rows());
}

TEST_P(EachShape, WindowsHaveTheBitsOfTheCpuAndSeeNothingElse) {
  for (const std::uint32_t window : {1U, 40U, 256U}) {
    World world = this->world(window);
    set_order(window);
    const std::uint32_t trunk = world.sequence(310);
    world.rows(trunk, 280, 300);
    world.decode(world.sequence(530), 530);
    for (int branch = 0; branch < 3; ++branch) {
      const std::uint32_t tokens = 305 + world.below(40);
      world.decode(world.sequence(tokens, trunk, 300), tokens);
    }
    world.make_queries(2.0F);
    world.poison_unseen(window, world.all_rows());
    expect_the_bits_of_the_cpu(world, shape, window, world.all_rows());
    expect_the_bits_of_the_cpu(world, shape, window, world.all_rows(), kWhole);
  }
}

INSTANTIATE_TEST_SUITE_P(Attention, EachShape,
                         ::testing::Values(Sizes{3, 3, 64}, Sizes{8, 2, 64}, Sizes{4, 1, 80},
                                           Sizes{5, 1, 96}, Sizes{6, 1, 128}, Sizes{7, 1, 66},
                                           Sizes{3, 1, 256}, Sizes{66, 1, 4}, Sizes{2, 1, 2},
                                           Sizes{3, 1, 190}));
// bfloat16 differs from binary16 in its conversions alone; of codes, blocks are whole or not, and
// every kernel has work: by width and by how many queries there are.
INSTANTIATE_TEST_SUITE_P(AttentionOverBfloat16, EachShape,
                         ::testing::Values(Sizes{4, 2, 64, KvType::kBF16},
                                           Sizes{3, 1, 190, KvType::kBF16}));
INSTANTIATE_TEST_SUITE_P(
    AttentionOverCodes, EachShape,
    ::testing::Values(Sizes{8, 2, 64, KvType::kQ8}, Sizes{6, 1, 128, KvType::kQ8},
                      Sizes{7, 1, 66, KvType::kQ8}, Sizes{3, 1, 256, KvType::kQ8},
                      Sizes{66, 1, 4, KvType::kQ8}, Sizes{3, 1, 190, KvType::kQ8}));

TEST(CudaAttention, AnyBatchHasTheBitsOfTheCpu) {
  for (std::uint64_t seed = 100; seed < 130; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const std::uint32_t kv_heads = 1 + random() % 2;
    const std::uint32_t heads = kv_heads * (1 + random() % 8);
    const auto shape =
        shape_of(heads, kv_heads, 2 * (1 + static_cast<std::uint32_t>(random() % 40)));
    constexpr KvType kTypes[] = {KvType::kF16, KvType::kQ8, KvType::kBF16};
    World world(shape, seed, kTypes[seed % 3]);
    set_order(seed);
    std::vector<std::uint32_t> lengths;
    for (int s = 0; s < 6; ++s) {
      const std::uint32_t of = s == 0 ? 0 : world.below(static_cast<std::uint32_t>(s));
      const std::uint32_t shared = s == 0 ? 0 : world.below(lengths[of] + 1);
      lengths.push_back(shared + 1 + world.below(s == 0 ? 400 : 100));
      const std::uint32_t it = world.sequence(lengths.back(), of, shared);
      const std::uint32_t rows =
          std::min(lengths.back(), 1 + world.below(random() % 3 == 0 ? 30 : 3));
      // Not always at the end: a row's own position bounds what it sees.
      const std::uint32_t begin =
          lengths.back() - rows - world.below(lengths.back() - rows + 1) / 4;
      world.rows(it, begin, begin + rows);
    }
    world.make_queries(static_cast<float>(1 + random() % 30));
    std::vector<std::uint32_t> wanted;
    for (const std::uint32_t row : world.all_rows()) {
      if (random() % 4 != 0) wanted.push_back(row);
    }
    const std::uint32_t window = random() % 2 == 0 ? 0 : 1 + world.below(300);
    world.poison_unseen(window, wanted);
    const AttentionLimits limits{
        .busy_blocks = random() % 2 == 0 ? 1U : 1000U,
        .multiprocessors = 1U << random() % 10,
        .part_bytes = random() % 2 == 0 ? std::size_t{1} << 30 : random() % 20000};
    expect_the_bits_of_the_cpu(world, shape, window, wanted, limits);
  }
  set_order(0);
}

TEST(CudaAttention, BlocksBeyondThePlanDoNothing) {
  const auto shape = shape_of(4, 2, 32);
  World world(shape, 3);
  world.decode(world.sequence(600), 600);
  world.rows(world.sequence(40), 0, 40);
  world.make_queries(1.0F);
  AttentionPlan plan(shape, 0);
  plan.plan(world.batch, world.all_rows());
  EXPECT_TRUE(same_bits(world.on_cpu(0, world.all_rows()),
                        world.on_device(plan, world.batch.rows.size(), 3)));
}

TEST(CudaAttention, ANanInAQueryShowsInItsHeadAlone) {
  const auto shape = shape_of(4, 2, 32);
  World world(shape, 4);
  world.decode(world.sequence(300), 300);
  world.make_queries(1.0F);
  AttentionPlan plan(shape, 0);
  plan.plan(world.batch, world.all_rows());
  const auto expected = world.on_device(plan, 1);
  world.queries[32] = std::numeric_limits<float>::quiet_NaN();  // head 1
  const auto out = world.on_device(plan, 1);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (i / 32 == 1) {
      EXPECT_TRUE(std::isnan(out[i]));
    } else {
      EXPECT_EQ(out[i], expected[i]);
    }
  }
}

// ---- numerics `tensor`

class OnTensorCores : public ::testing::TestWithParam<Sizes> {
 protected:
  OnTensorCores() : shape(shape_of(GetParam().heads, GetParam().kv_heads, GetParam().width)) {}
  void TearDown() override { set_order(0); }
  // As far from the exact results as roundings of queries and weights to 16 bits take them; values
  // are of size 1.
  [[nodiscard]] static float tolerance() {
    return GetParam().type == KvType::kF16 ? 0.006F : 0.05F;
  }
  void expect_near_the_cpu(World& world, std::uint32_t window,
                           const std::vector<std::uint32_t>& wanted, AttentionLimits limits) {
    limits.tensor_cores = true;
    AttentionPlan plan(shape, window, limits);
    plan.plan(world.batch, wanted);
    ASSERT_GT(plan.grid().items[kTensorItems], 0U);
    const auto expected = world.on_cpu(window, wanted);
    const auto actual = world.on_device(plan, wanted.size(), 2);
    ASSERT_EQ(expected.size(), actual.size());
    float most = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(expected[i], actual[i], tolerance()) << i;
      most = std::max(most, std::abs(expected[i] - actual[i]));
    }
    // One position alone has the weight 1.
    if (window != 1) {
      EXPECT_GT(most, 0.0F);
    }
  }
  ModelShape shape;
};

TEST_P(OnTensorCores, PromptsAreNearTheCpu) {
  std::uint64_t seed = 1;
  for (const auto& limits : {kWhole, kNoParts}) {
    World world(shape, seed, GetParam().type);
    set_order(seed++);
    // Rows that end in other pages, over full stretches of pages and a last one that is not full;
    // and, with one segment or few rows, other items beside them.
    const std::uint32_t start = 230 + world.below(20);
    world.rows(world.sequence(start + 70), start, start + 70);
    world.rows(world.sequence(45), 0, 45);
    world.decode(world.sequence(33), 33);
    world.make_queries(2.0F);
    world.poison_unseen(0, world.all_rows());
    expect_near_the_cpu(world, 0, world.all_rows(), limits);
  }
}

TEST_P(OnTensorCores, WindowsAndGapsSeeNothingElse) {
  for (const std::uint32_t window : {1U, 20U, 130U}) {
    World world(shape, window, GetParam().type);
    set_order(window);
    const std::uint32_t trunk = world.sequence(310);
    world.rows(trunk, 40, 60);
    world.rows(trunk, 225, 295);
    world.make_queries(2.0F);
    world.poison_unseen(window, world.all_rows());
    expect_near_the_cpu(world, window, world.all_rows(), kWhole);
  }
}

TEST_P(OnTensorCores, ANanInAQueryShowsInItsHeadAlone) {
  World world(shape, 4, GetParam().type);
  world.rows(world.sequence(200), 100, 200);
  world.make_queries(1.0F);
  AttentionLimits limits = kWhole;
  limits.tensor_cores = true;
  AttentionPlan plan(shape, 0, limits);
  plan.plan(world.batch, world.all_rows());
  const auto expected = world.on_device(plan, 100);
  world.queries[3] = std::numeric_limits<float>::quiet_NaN();
  const auto out = world.on_device(plan, 100);
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (i < shape.head_width) {
      ASSERT_TRUE(std::isnan(out[i])) << i;
    } else {
      ASSERT_EQ(out[i], expected[i]) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AttentionOnTensorCores, OnTensorCores,
                         ::testing::Values(Sizes{8, 2, 64}, Sizes{3, 1, 128},
                                           Sizes{6, 2, 64, KvType::kBF16},
                                           Sizes{8, 1, 128, KvType::kBF16}));

std::vector<std::uint32_t> items_of(const AttentionPlan& plan) {
  return {plan.grid().items, plan.grid().items + kAttentionTiles};
}

TEST(CudaAttention, BranchesShareTheSegmentsOfTheirPrefix) {
  const auto shape = shape_of(8, 2, 64);
  World world(shape, 5);
  const std::uint32_t trunk = world.sequence(512);
  for (int branch = 0; branch < 16; ++branch) world.decode(world.sequence(520, trunk, 512), 520);
  // 64 queries of 16 branches in each of two segments; then each branch's own 8 tokens.
  AttentionPlan plan(shape, 0, {.multiprocessors = 1});
  plan.plan(world.batch, world.all_rows());
  EXPECT_EQ(items_of(plan), (std::vector<std::uint32_t>{16, 0, 0, 0, 2}));
  EXPECT_EQ(plan.parts(), 16U * 3);
  // A large device would be idle but for four blocks: it shares less.
  AttentionPlan wide(shape, 0, {.multiprocessors = 100});
  wide.plan(world.batch, world.all_rows());
  EXPECT_EQ(wide.grid().items[4], 0U);
  world.make_queries(1.0F);
  EXPECT_TRUE(same_bits(world.on_device(plan, 16), world.on_device(wide, 16)));
}

TEST(CudaAttention, RowsOfOneSegmentNeedNoParts) {
  const auto shape = shape_of(8, 2, 64);
  World world(shape, 6);
  world.rows(world.sequence(256), 0, 256);
  AttentionPlan plan(shape, 0, {.multiprocessors = 1});
  plan.plan(world.batch, world.all_rows());
  EXPECT_EQ(plan.grid().items[kTensorItems], 0U);  // nobody asked for them
  EXPECT_EQ(items_of(plan), (std::vector<std::uint32_t>{0, 0, 0, 0, 16}));
  EXPECT_EQ(plan.parts(), 0U);
}

TEST(CudaAttention, PartsStayWithinTheirLimit) {
  const auto shape = shape_of(8, 2, 64);
  const std::size_t part = part_floats(64) * 8 * sizeof(float);
  World world(shape, 7);
  for (int i = 0; i < 5; ++i) world.decode(world.sequence(700), 700);
  AttentionPlan plan(shape, 0, {.part_bytes = part * 7});
  plan.plan(world.batch, world.all_rows());
  EXPECT_EQ(plan.parts(), 6U);  // of two rows; the others go through their segments
  EXPECT_EQ(plan.grid().items[0], 2U * 3 + 3);
}

TEST(CudaAttention, ARowOfManySegmentsMergesThemInOrder) {
  const auto shape = shape_of(2, 1, 6);
  World world(shape, 8);
  // More segments than a warp has lanes take more pages than the pool has: the sequence's repeat,
  // which attention does not mind.
  const std::uint32_t once = world.sequence(3008);
  std::vector<PageId> table;
  for (int i = 0; i < 4; ++i) {
    const auto& pages = world.batch.sequences[once];
    table.insert(table.end(), pages.begin(), pages.end());
  }
  world.batch.sequences.push_back(table);
  world.decode(1, 11'700);
  world.decode(1, 12'000);
  world.make_queries(3.0F);
  expect_the_bits_of_the_cpu(world, shape, 0, world.all_rows());
  expect_the_bits_of_the_cpu(world, shape, 9000, world.all_rows());
}

}  // namespace
}  // namespace espalier::runtime::cuda
