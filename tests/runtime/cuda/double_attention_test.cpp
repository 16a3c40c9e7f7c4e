// Heads, pages and attention against their definitions in doubles, within the table of tolerances
// of double_reference.h: biases, norms, rotation, temperature; K and V in their pages, by type;
// attention over one page and many, one segment and several that are merged, branches of a tree,
// windows, prompts, on tensor cores too.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "runtime/cuda/attention.h"
#include "runtime/cuda/kernels.h"
#include "tests/runtime/cuda/double_reference.h"
#include "tests/runtime/cuda/rig.h"

namespace espalier::runtime::cuda {
namespace {

using doubles::Farthest;
using doubles::Random;
using doubles::Sum;

constexpr std::uint32_t kLayers = 2;
constexpr std::uint32_t kLayer = 1;

std::uint32_t count_of(std::size_t n) { return static_cast<std::uint32_t>(n); }

// ---- heads and their pages

struct HeadShape {
  std::uint32_t heads, kv_heads, width, turned;
  bool biases, norms, adjacent, temperatures;
};

// Rows of Q, K and V of a layer, and what it does to them.
class HeadRows {
 public:
  HeadRows(const HeadShape& shape, std::uint32_t rows)
      : shape_(shape),
        rows_(rows),
        query_stride_(std::size_t{shape.heads} * shape.width + 3),
        key_stride_(std::size_t{shape.kv_heads} * shape.width + 1),
        queries_(doubles::normal(random_, rows * query_stride_)),
        keys_(doubles::normal(random_, rows * key_stride_, 3)),
        values_(doubles::normal(random_, rows * key_stride_, 0.2F)),
        query_bias_(doubles::normal(random_, query_stride_)),
        key_bias_(doubles::normal(random_, key_stride_)),
        value_bias_(doubles::normal(random_, key_stride_, 0.1F)),
        query_norm_(doubles::normal(random_, shape.width)),
        key_norm_(doubles::normal(random_, shape.width)) {
    const std::uint32_t pairs = shape.turned / 2;
    for (std::uint32_t p = 0; p < kPositions; ++p) {
      for (std::uint32_t i = 0; i < pairs; ++i) {
        cosines_.push_back(static_cast<float>(std::cos(angle(p, i))));
        sines_.push_back(static_cast<float>(std::sin(angle(p, i))));
      }
      temperatures_.push_back(static_cast<float>(temperature(p)));
    }
  }

  void expect(KvType type) {
    // A row writes one slot, two, or none; all different, page by page in a shuffled order.
    std::vector<std::uint32_t> order(std::size_t{rows_} * 2);
    std::iota(order.begin(), order.end(), 0U);
    std::shuffle(order.begin(), order.end(), random_);
    std::vector<DeviceRow> rows(rows_);
    std::vector<DeviceSlot> slots;
    for (DeviceRow& row : rows) {
      row.position = count_of(random_() % kPositions);
      row.first_write = count_of(slots.size());
      row.writes = slots.empty() ? 1 : count_of(random_() % 3);
      for (std::uint32_t w = 0; w < row.writes; ++w) {
        slots.push_back({order[slots.size()] / 16, order[slots.size()] % 16});
      }
    }
    slots.emplace_back();  // an array of none cannot be
    doubles::Pages pages((rows_ + 7) / 8, kLayers, shape_.kv_heads, shape_.width, type);
    const std::vector<std::uint16_t> before = pages.halves;
    const std::vector<float> queries = turn(rows, slots, pages);

    const doubles::KvTolerance& tolerance = doubles::tolerance_of(type);
    Farthest of_queries, of_keys, of_values;
    for (std::size_t m = 0; m < rows_; ++m) {
      for (std::uint32_t h = 0; h < shape_.heads; ++h) {
        const std::vector<Sum> want =
            turned(queries_, query_stride_, query_bias_, query_norm_, m, h, rows[m].position, true);
        for (std::size_t d = 0; d < want.size(); ++d) {
          of_queries.take(queries[m * query_stride_ + h * shape_.width + d], want[d].value,
                          doubles::kTurned * want[d].size, m, h * shape_.width + d);
        }
      }
      for (std::uint32_t w = 0; w < rows[m].writes; ++w) {
        const DeviceSlot slot = slots[rows[m].first_write + w];
        for (std::uint32_t h = 0; h < shape_.kv_heads; ++h) {
          const std::vector<Sum> key =
              turned(keys_, key_stride_, key_bias_, key_norm_, m, h, rows[m].position, false);
          std::vector<Sum> value;
          for (std::size_t d = 0; d < shape_.width; ++d) {
            value.push_back(biased(values_, key_stride_, value_bias_, m, h, d));
          }
          take(of_keys, pages.kept(slot.page, kLayer, 0, h, slot.slot), key, tolerance, true, m);
          take(of_values, pages.kept(slot.page, kLayer, 1, h, slot.slot), value, tolerance, false,
               m);
        }
      }
    }
    EXPECT_TRUE(of_queries.within());
    EXPECT_TRUE(of_keys.within());
    EXPECT_TRUE(of_values.within());
    // Other layers and slots are as they were.
    std::vector<bool> written(pages.halves.size() / pages.page_halves() * 16);
    for (std::size_t i = 0; i + 1 < slots.size(); ++i) {
      written[slots[i].page * 16 + slots[i].slot] = true;
    }
    for (std::size_t slot = 0; slot < written.size(); ++slot) {
      for (std::size_t layer = 0; layer < kLayers; ++layer) {
        if (layer == kLayer && written[slot]) continue;
        for (std::uint32_t h = 0; h < shape_.kv_heads; ++h) {
          for (std::size_t plane = 0; plane < 2; ++plane) {
            for (const double x : pages.kept(slot / 16, layer, plane, h, slot % 16)) {
              ASSERT_TRUE(std::isnan(x)) << "slot " << slot << " of layer " << layer;
            }
          }
        }
      }
    }
  }

 private:
  static constexpr std::uint32_t kPositions = 4000;

  // Runs the kernel: pages as it leaves them, and its queries.
  std::vector<float> turn(const std::vector<DeviceRow>& rows, const std::vector<DeviceSlot>& slots,
                          doubles::Pages& pages) const {
    const DeviceArray<std::uint16_t> pages_there(pages.halves);
    const DeviceArray<float> queries(queries_), keys(keys_), values(values_), cosines(cosines_),
        sines(sines_), temperatures(temperatures_), query_bias(query_bias_), key_bias(key_bias_),
        value_bias(value_bias_), query_norm(query_norm_), key_norm(key_norm_);
    const DeviceArray<DeviceRow> rows_there(rows);
    const DeviceArray<DeviceSlot> slots_there(slots);
    Heads heads;
    heads.queries = queries.get();
    heads.keys = keys.get();
    heads.values = values.get();
    heads.query_stride = query_stride_;
    heads.key_stride = key_stride_;
    if (shape_.biases) {
      heads.query_bias = query_bias.get();
      heads.key_bias = key_bias.get();
      heads.value_bias = value_bias.get();
    }
    if (shape_.norms) {
      heads.query_norm = query_norm.get();
      heads.key_norm = key_norm.get();
    }
    heads.epsilon = kEpsilon;
    heads.heads = shape_.heads;
    heads.pairs = shape_.turned / 2;
    heads.adjacent = shape_.adjacent;
    heads.cosines = cosines.get();
    heads.sines = sines.get();
    if (shape_.temperatures) heads.temperatures = temperatures.get();
    turn_heads(nullptr, rows_, heads, rows_there.get(), slots_there.get(), kLayer,
               pages.view(pages_there.get()));
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    pages.halves = pages_there.read();
    return queries.read();
  }

  [[nodiscard]] double angle(std::uint32_t position, std::uint32_t pair) const {
    return position * std::pow(10'000.0, -2.0 * pair / shape_.turned);
  }
  static double temperature(std::uint32_t position) { return 1 + 0.1 * std::log(1 + position); }

  [[nodiscard]] Sum biased(const std::vector<float>& from, std::size_t stride,
                           const std::vector<float>& bias, std::size_t m, std::size_t head,
                           std::size_t d) const {
    const std::size_t column = head * shape_.width + d;
    const double x = from[m * stride + column];
    const double b = shape_.biases ? double{bias[column]} : 0.0;
    return {x + b, std::abs(x) + std::abs(b)};
  }
  // A head of Q or K as it should be, with the sizes of what it is made of.
  [[nodiscard]] std::vector<Sum> turned(const std::vector<float>& from, std::size_t stride,
                                        const std::vector<float>& bias,
                                        const std::vector<float>& norm, std::size_t m,
                                        std::size_t head, std::uint32_t position,
                                        bool query) const {
    std::vector<Sum> x;
    std::vector<double> plain;
    for (std::size_t d = 0; d < shape_.width; ++d) {
      x.push_back(biased(from, stride, bias, m, head, d));
      plain.push_back(x.back().value);
    }
    const double factor = shape_.norms ? doubles::norm_factor(plain, kEpsilon) : 1;
    for (std::size_t d = 0; d < x.size(); ++d) {
      x[d] = x[d] * (factor * (shape_.norms ? double{norm[d]} : 1.0));
    }
    const std::uint32_t pairs = shape_.turned / 2;
    for (std::uint32_t i = 0; i < pairs; ++i) {
      Sum& a = x[shape_.adjacent ? 2 * i : i];
      Sum& b = x[shape_.adjacent ? 2 * i + 1 : i + pairs];
      const double c = std::cos(angle(position, i));
      const double s = std::sin(angle(position, i));
      // The table's sine and cosine are rounded themselves, so a small one counts as a whole.
      const double size = a.size + b.size;
      const Sum first{a.value * c - b.value * s, size};
      const Sum second{a.value * s + b.value * c, size};
      a = first;
      b = second;
    }
    if (query && shape_.temperatures) {
      for (Sum& it : x) it = it * temperature(position);
    }
    return x;
  }

  // A token's numbers as they are kept; K in codes is transformed, and so is what it should be.
  static void take(Farthest& farthest, const std::vector<double>& kept,
                   const std::vector<Sum>& wanted, const doubles::KvTolerance& tolerance, bool key,
                   std::size_t row) {
    std::vector<double> want, sizes;
    for (const Sum& it : wanted) {
      want.push_back(it.value);
      sizes.push_back(it.size);
    }
    const bool codes = tolerance.type == KvType::kQ8;
    if (codes && key) {
      want = doubles::hadamard(want);
      std::vector<double> spread(want.size());
      for (std::size_t d = 0; d < spread.size(); ++d) {
        for (std::size_t i = d / 32 * 32; i < std::min(sizes.size(), d / 32 * 32 + 32); ++i) {
          spread[d] += sizes[i];
        }
      }
      sizes = spread;
    }
    ASSERT_EQ(kept.size(), want.size());
    for (std::size_t d = 0; d < want.size(); ++d) {
      const double kept_as = codes ? doubles::block_size(want, d / 32) : std::abs(want[d]);
      farthest.take(kept[d], want[d],
                    std::max(tolerance.kept * kept_as, kLeastHalf) + doubles::kTurned * sizes[d],
                    row, d);
    }
  }
  // Half a step of the least numbers of binary16.
  static constexpr double kLeastHalf = 0x1p-25;
  static constexpr float kEpsilon = 1e-5F;

  HeadShape shape_;
  std::uint32_t rows_;
  std::size_t query_stride_, key_stride_;
  Random random_{80};
  std::vector<float> queries_, keys_, values_, query_bias_, key_bias_, value_bias_, query_norm_,
      key_norm_, cosines_, sines_, temperatures_;
};

constexpr KvType kKvTypes[] = {KvType::kF16, KvType::kBF16, KvType::kQ8};

TEST(DoubleReferenceOfHeads, HasThemBiasedNormedTurnedAndInTheirPages) {
  for (const KvType type : kKvTypes) {
    for (const HeadShape& shape : {HeadShape{4, 2, 64, 64, true, false, false, false},
                                   HeadShape{3, 1, 66, 20, false, true, true, true},
                                   HeadShape{2, 2, 128, 96, true, true, false, true},
                                   HeadShape{3, 3, 10, 10, false, false, true, false}}) {
      for (const std::uint32_t rows : {3U, 19U}) {
        SCOPED_TRACE(std::string(kv_type_name(type)) + ", width " + std::to_string(shape.width) +
                     ", rows " + std::to_string(rows));
        set_order(rows);
        HeadRows(shape, rows).expect(type);
      }
    }
  }
  set_order(0);
}

// ---- attention

struct Sizes {
  std::uint32_t heads, kv_heads, width;
  KvType type;
};
void PrintTo(const Sizes& sizes, std::ostream* out) {
  *out << sizes.heads << " heads, " << sizes.kv_heads << " of K and V, width " << sizes.width
       << ", " << kv_type_name(sizes.type);
}

// Pages of random K and V, NaN where nothing was written, and rows that attend to them.
class AttendedPages {
 public:
  AttendedPages(const Sizes& sizes, std::uint64_t seed)
      : sizes_(sizes),
        random_(seed),
        pages_(kPages, kLayers, sizes.kv_heads, sizes.width, sizes.type) {
    shape_.layers = kLayers;
    shape_.heads = sizes.heads;
    shape_.kv_heads = sizes.kv_heads;
    shape_.head_width = sizes.width;
    shape_.query_scale = 1.0F / std::sqrt(static_cast<float>(sizes.width));
    free_.resize(kPages);
    std::iota(free_.begin(), free_.end(), 0U);
    std::shuffle(free_.begin(), free_.end(), random_);
  }

  /// A sequence of `tokens`; the whole pages of the first `shared` of another's are its own too.
  std::uint32_t sequence(std::uint32_t tokens, std::uint32_t of = 0, std::uint32_t shared = 0) {
    std::vector<PageId> table;
    for (std::uint32_t p = 0; p < tokens; p += 16) {
      if (p + 16 <= shared) {
        table.push_back(batch_.sequences[of][p / 16]);
        continue;
      }
      table.push_back(free_.back());
      free_.pop_back();
      for (std::uint32_t i = p; i < std::min(tokens, p + 16); ++i) write(table.back(), i - p);
    }
    batch_.sequences.push_back(table);
    return count_of(batch_.sequences.size() - 1);
  }
  /// Rows at positions [begin, end) of a sequence.
  void rows(std::uint32_t sequence, std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t p = begin; p < end; ++p) {
      batch_.rows.push_back({.token = 0, .position = p, .sequence = sequence});
    }
  }

  void expect(std::uint32_t window, const AttentionLimits& limits) {
    const doubles::KvTolerance& tolerance = doubles::tolerance_of(sizes_.type);
    std::vector<std::uint32_t> wanted(batch_.rows.size());
    std::iota(wanted.begin(), wanted.end(), 0U);
    AttentionPlan plan(shape_, window, limits);
    plan.plan(batch_, wanted);
    ASSERT_EQ(plan.grid().items[kTensorItems] > 0, limits.tensor_cores);
    const std::size_t stride = std::size_t{sizes_.heads} * sizes_.width;
    const std::vector<float> queries = doubles::normal(random_, batch_.rows.size() * stride, 2);
    const std::vector<float> out = run(plan, queries, stride);
    Farthest farthest, in_all;
    for (std::size_t r = 0; r < batch_.rows.size(); ++r) {
      for (std::uint32_t h = 0; h < sizes_.heads; ++h) {
        const auto first =
            queries.begin() + static_cast<std::ptrdiff_t>(r * stride + h * sizes_.width);
        const std::vector<double> query(first, first + sizes_.width);
        const auto compare = [&](Farthest& with, bool coded, double share) {
          const std::vector<Sum> want = attended(batch_.rows[r], h, query, coded, window);
          for (std::size_t d = 0; d < sizes_.width; ++d) {
            const std::size_t at = h * sizes_.width + d;
            with.take(out[r * stride + at], want[d].value, share * want[d].size, r, at);
          }
        };
        const bool codes = sizes_.type == KvType::kQ8;
        compare(farthest, codes, limits.tensor_cores ? tolerance.tensor : tolerance.attention);
        if (codes) compare(in_all, false, tolerance.coded_queries);
      }
    }
    EXPECT_TRUE(farthest.within());
    if (sizes_.type == KvType::kQ8) {
      EXPECT_TRUE(in_all.within());
    }
  }

 private:
  static constexpr std::uint32_t kPages = 110;

  void write(PageId page, std::uint32_t token) {
    std::normal_distribution<float> normal;
    for (std::uint32_t h = 0; h < sizes_.kv_heads; ++h) {
      for (std::size_t plane = 0; plane < 2; ++plane) {
        const std::size_t tile = pages_.tile(page, kLayer, plane, h);
        const bool keys = plane == 0;
        if (sizes_.type != KvType::kQ8) {
          for (std::size_t d = 0; d < sizes_.width; ++d) {
            const float x = normal(random_);
            pages_.halves[tile + (keys ? d * 16 + token : token * sizes_.width + d)] =
                sizes_.type == KvType::kF16 ? float_to_half(x) : float_to_bfloat16(x);
          }
          continue;
        }
        for (std::size_t b = 0; b < pages_.blocks(); ++b) {
          // K is transformed: some six times as large.
          pages_.halves[pages_.scale_at(tile, keys, token, b)] =
              float_to_half((keys ? 0.05F : 0.009F) * (1 + std::abs(normal(random_))));
          for (std::size_t k = 0; k < 32; ++k) {
            // Past the head's width V's codes are 0.
            const int code = keys || b * 32 + k < sizes_.width ? int(random_() % 255) - 127 : 0;
            pages_.set_byte(pages_.code_at(tile, keys, token, b * 32 + k),
                            static_cast<std::uint8_t>(keys ? code + 128 : code));
          }
        }
      }
    }
  }

  std::vector<float> run(const AttentionPlan& plan, const std::vector<float>& queries,
                         std::size_t stride) const {
    const DeviceArray<std::uint16_t> pages(pages_.halves);
    const DeviceArray<float> from(queries);
    const DeviceArray<float> to(queries.size());
    const DeviceArray<float> parts(std::max<std::size_t>(1, plan.parts()) * sizes_.heads *
                                   part_floats(sizes_.width));
    std::vector<std::byte> bytes(plan.bytes());
    plan.write_to(bytes);
    const DeviceArray<std::byte> plan_there(bytes);
    AttentionCall call;
    call.plan = reinterpret_cast<unsigned char*>(plan_there.get());
    call.pool = pages_.view(pages.get());
    call.layer = kLayer;
    call.heads = sizes_.heads;
    call.scale = shape_.query_scale;
    call.queries = from.get();
    call.query_stride = stride;
    call.out = to.get();
    call.out_stride = stride;
    call.parts = parts.get();
    attend(nullptr, plan.grid(), call);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    return to.read();
  }

  // Softmax over what the row sees, and the values so weighted. `coded`: the query is rounded to
  // codes, as K is, where both are transformed.
  [[nodiscard]] std::vector<Sum> attended(const Row& row, std::uint32_t head,
                                          const std::vector<double>& query, bool coded,
                                          std::uint32_t window) const {
    const std::uint32_t kv_head = head / (sizes_.heads / sizes_.kv_heads);
    const auto& table = batch_.sequences[row.sequence];
    const std::uint32_t first =
        window != 0 && row.position + 1 > window ? row.position + 1 - window : 0;
    std::vector<double> asked = query;
    if (coded) {
      asked = doubles::hadamard(asked);
      for (double& x : asked) x /= 32;
      asked = doubles::as_codes(asked);
    }
    std::vector<double> scores;
    for (std::uint32_t p = first; p <= row.position; ++p) {
      const std::vector<double> key = coded ? pages_.kept(table[p / 16], kLayer, 0, kv_head, p % 16)
                                            : pages_.key(table[p / 16], kLayer, kv_head, p % 16);
      scores.push_back(doubles::product(asked, key).value /
                       std::sqrt(static_cast<double>(sizes_.width)));
    }
    const double most = *std::max_element(scores.begin(), scores.end());
    double all = 0;
    for (double& score : scores) all += score = std::exp(score - most);
    std::vector<Sum> out(sizes_.width);
    for (std::uint32_t p = first; p <= row.position; ++p) {
      const std::vector<double> value = pages_.kept(table[p / 16], kLayer, 1, kv_head, p % 16);
      const double share = scores[p - first] / all;
      for (std::size_t d = 0; d < out.size(); ++d) {
        out[d] = out[d] + Sum{share * value[d], share * std::abs(value[d])};
      }
    }
    return out;
  }

  Sizes sizes_;
  Random random_;
  ModelShape shape_;
  doubles::Pages pages_;
  Batch batch_;
  std::vector<PageId> free_;
};

class DoubleReferenceOfAttention : public ::testing::TestWithParam<Sizes> {
 protected:
  void TearDown() override { set_order(0); }
};

// Segments side by side, whose parts are merged; all of a row's in one item.
constexpr AttentionLimits kSplit{.busy_blocks = 1'000'000, .multiprocessors = 1};
constexpr AttentionLimits kNoParts{.busy_blocks = 1'000'000, .multiprocessors = 1, .part_bytes = 0};

TEST_P(DoubleReferenceOfAttention, HasWhatRowsOfOnePageAndOfManySegmentsSee) {
  for (const AttentionLimits& limits : {kSplit, kNoParts}) {
    AttendedPages world(GetParam(), 81);
    set_order(81);
    for (const std::uint32_t tokens : {1U, 7U, 100U, 257U, 700U}) {
      world.rows(world.sequence(tokens), tokens - 1, tokens);
    }
    world.expect(0, limits);
  }
}

TEST_P(DoubleReferenceOfAttention, HasWhatBranchesOfATreeSee) {
  AttendedPages world(GetParam(), 82);
  set_order(82);
  const std::uint32_t trunk = world.sequence(290);
  world.rows(trunk, 289, 290);
  const std::uint32_t branch = world.sequence(340, trunk, 272);
  world.rows(branch, 339, 340);
  for (const auto& [of, shared, tokens] :
       {std::tuple(trunk, 272U, 281U), std::tuple(trunk, 100U, 130U),
        std::tuple(branch, 320U, 333U), std::tuple(branch, 320U, 350U)}) {
    const std::uint32_t it = world.sequence(tokens, of, shared);
    world.rows(it, tokens - 1, tokens);
  }
  world.expect(0, kSplit);
  world.expect(50, kSplit);
}

TEST_P(DoubleReferenceOfAttention, HasWhatAPromptSees) {
  AttendedPages world(GetParam(), 83);
  set_order(83);
  world.rows(world.sequence(280), 240, 280);
  world.rows(world.sequence(9), 0, 9);
  world.expect(0, kSplit);
  world.expect(33, kNoParts);
}

TEST_P(DoubleReferenceOfAttention, HasWhatAPromptSeesOnTensorCores) {
  if (!tensor_cores_attend(GetParam().type, GetParam().width)) return;
  AttentionLimits limits{.busy_blocks = 1, .multiprocessors = 1};
  limits.tensor_cores = true;
  AttendedPages world(GetParam(), 84);
  set_order(84);
  world.rows(world.sequence(330), 250, 330);
  world.expect(0, limits);
  world.expect(70, limits);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, DoubleReferenceOfAttention,
    ::testing::Values(Sizes{4, 2, 64, KvType::kF16}, Sizes{3, 1, 66, KvType::kF16},
                      Sizes{4, 1, 128, KvType::kBF16}, Sizes{8, 2, 64, KvType::kBF16},
                      Sizes{4, 2, 64, KvType::kQ8}, Sizes{3, 1, 80, KvType::kQ8}));

}  // namespace
}  // namespace espalier::runtime::cuda
