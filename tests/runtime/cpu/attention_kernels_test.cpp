// Attention's kernels over K and V of every type: every instruction set against the scalar one, and
// that against the numerics contract, bit for bit.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cpu/kv_pool.h"
#include "runtime/cpu/matrix.h"
#include "runtime/model/half.h"
#include "tests/runtime/cpu/each_isa.h"

namespace espalier::runtime::cpu {
namespace {

// A page of K and V for each 16 of `count` tokens, one head of one layer, what is beyond them NaN.
class KeptTokens {
 public:
  KeptTokens(Random& random, KvType type, std::size_t head_width, std::size_t count)
      : width(head_width), tokens(count) {
    shape_.layers = 1;
    shape_.kv_heads = 1;
    shape_.head_width = static_cast<std::uint32_t>(width);
    for (std::size_t t = 0; t < count; ++t) {
      keys.push_back(normal(random, width));
      values.push_back(normal(random, width));
    }
    pool.emplace(kept_by(kScalarKernels, type));
    for (PageId page = 0; page < pool->pages(); ++page) {
      k_tiles.push_back(pool->keys(page, 0, 0));
      v_tiles.push_back(pool->values(page, 0, 0));
    }
  }
  [[nodiscard]] KvPool kept_by(const Kernels& kernels, KvType type) const {
    const std::size_t pages = (tokens + kTileTokens - 1) / kTileTokens;
    auto out = KvPool::create(shape_, type, pages * KvPool::page_bytes(shape_, type));
    EXPECT_TRUE(out);
    for (PageId page = 0; page < pages; ++page) out->poison(page);
    KvRow row;
    out->reserve(row);
    for (std::uint32_t t = 0; t < tokens; ++t) {
      out->encode(kernels, keys[t].data(), values[t].data(), row);
      out->write({t / kPageTokens, t % kPageTokens}, 0, row);
    }
    return std::move(*out);
  }
  std::size_t width, tokens;
  std::vector<std::vector<float>> keys, values;
  std::optional<KvPool> pool;
  std::vector<const void*> k_tiles, v_tiles;

 private:
  ModelShape shape_;
};

constexpr KvType kKvTypes[] = {KvType::kF16, KvType::kBF16, KvType::kQ8};

// Scores of `rows` queries and the values that they weigh, `together` at a time.
struct Attended {
  std::vector<float> scores, out;
};
Attended attend(const Kernels& with, const KeptTokens& kept, const std::vector<float>& q,
                std::size_t rows, std::size_t together) {
  const KvType type = kept.pool->type();
  const std::size_t tiles = kept.k_tiles.size();
  const std::size_t stride = round_up(kept.width, kBlock);
  Attended to;
  to.scores.resize(rows * kSegmentTokens);
  to.out.resize(rows * kept.width);
  Activations codes;
  codes.reshape_codes(rows, stride);
  for (std::size_t r = 0; r < rows; ++r) codes.set(with, r, q.data() + r * stride);
  for (std::size_t r = 0; r < rows; r += together) {
    const std::size_t n = std::min(together, rows - r);
    float* scores = to.scores.data() + r * kSegmentTokens;
    if (type == KvType::kQ8) {
      for (std::size_t t = 0; t < tiles; ++t) {
        with.panel_product(PanelType::kQ8_0, kept.k_tiles[t], codes.quantised(), r, n,
                           scores + t * kTileTokens, kSegmentTokens, false);
      }
    } else {
      with.scores(type, kept.k_tiles.data(), tiles, kept.v_tiles.data(), tiles, kept.width,
                  q.data() + r * stride, stride, n, scores, kSegmentTokens);
    }
    for (std::size_t i = 0; i < n; ++i) {
      float* of_row = scores + i * kSegmentTokens;
      std::fill(of_row + kept.tokens, of_row + kSegmentTokens, 0.0F);  // rubbish
    }
    with.values(type, kept.v_tiles.data(), kept.tokens, kept.width, scores, kSegmentTokens, n,
                to.out.data() + r * kept.width, kept.width);
  }
  return to;
}

// A head filled to whole blocks, and transformed where it is one of K.
std::vector<float> whole_blocks(const float* x, std::size_t width, bool is_key) {
  std::vector<float> out(round_up(width, kBlock));
  std::copy(x, x + width, out.begin());
  if (!is_key) return out;
  // Row i of a Hadamard matrix has the signs (-1)^(bits that i and column have in common); the
  // order of additions is that of the contract.
  for (std::size_t h = 1; h < kBlock; h *= 2) {
    const std::vector<float> before = out;
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = (i & h) == 0 ? before[i] + before[i + h] : before[i - h] - before[i];
    }
  }
  return out;
}

// The numerics contract's item 9, word by word, for scores as weights.
Attended attend_by_the_contract(KvType type, const KeptTokens& kept, const std::vector<float>& q,
                                std::size_t rows) {
  const std::size_t stride = round_up(kept.width, kBlock);
  const std::size_t blocks = stride / kBlock;
  const auto coded = [&](const std::vector<float>& x) {
    Activations out;
    out.reshape_codes(1, stride);
    out.set(kScalarKernels, 0, x.data());
    return out;
  };
  const auto rounded = [&](const std::vector<float>& x) {
    std::vector<float> out = x;
    if (type == KvType::kQ8) {
      const Activations codes = coded(whole_blocks(x.data(), kept.width, false));
      for (std::size_t d = 0; d < kept.width; ++d) {
        const std::size_t place = code_place(0, d / kBlock, blocks);
        const float scale = half_to_float(float_to_half(codes.quantised().blocks[place].scale));
        const std::int8_t code = codes.quantised().codes[place * kBlock + d % kBlock];
        out[d] = static_cast<float>(code) * scale;
      }
      return out;
    }
    for (float& it : out) {
      it = type == KvType::kF16 ? half_to_float(float_to_half(it))
                                : bfloat16_to_float(float_to_bfloat16(it));
    }
    return out;
  };
  Attended to;
  to.scores.resize(rows * kSegmentTokens);
  to.out.resize(rows * kept.width);
  for (std::size_t r = 0; r < rows; ++r) {
    const float* query = q.data() + r * stride;
    float* scores = to.scores.data() + r * kSegmentTokens;
    const Activations of_query = coded(std::vector(query, query + stride));
    for (std::size_t t = 0; t < kept.tokens; ++t) {
      float score = 0.0F;
      if (type == KvType::kQ8) {
        const Activations of_key = coded(whole_blocks(kept.keys[t].data(), kept.width, true));
        for (std::size_t b = 0; b < blocks; ++b) {
          std::int32_t sum = 0;
          const std::size_t place = code_place(0, b, blocks);
          for (std::size_t d = place * kBlock; d < (place + 1) * kBlock; ++d) {
            sum += of_key.quantised().codes[d] * of_query.quantised().codes[d];
          }
          const float scale = half_to_float(float_to_half(of_key.quantised().blocks[place].scale));
          score = std::fma(static_cast<float>(sum),
                           scale * of_query.quantised().blocks[place].scale, score);
        }
      } else {
        const auto key = rounded(kept.keys[t]);
        for (std::size_t d = 0; d < kept.width; ++d) score = std::fma(key[d], query[d], score);
      }
      scores[t] = score;
    }
    for (std::size_t t = 0; t < kept.tokens; ++t) {
      const auto value = rounded(kept.values[t]);
      for (std::size_t d = 0; d < kept.width; ++d) {
        float& out = to.out[r * kept.width + d];
        out = std::fma(scores[t], value[d], out);
      }
    }
  }
  return to;
}

std::vector<float> queries(Random& random, std::size_t rows, std::size_t width) {
  const std::size_t stride = round_up(width, kBlock);
  std::vector<float> out(rows * stride);
  for (std::size_t r = 0; r < rows; ++r) {
    std::ranges::copy(normal(random, width), out.begin() + static_cast<std::ptrdiff_t>(r * stride));
  }
  return out;
}

class AttentionOnEachIsa : public EachIsa {};

TEST_P(AttentionOnEachIsa, HasTheScalarBitsAndNeverReadsPastTheCount) {
  for (int trial = 0; trial < 120; ++trial) {
    const KvType type = kKvTypes[trial % 3];
    const std::size_t width = trial % 4 == 0 ? 64 : 2 * up_to(random, 50);
    const std::size_t rows = up_to(random, 30);
    const std::size_t count = up_to(random, kSegmentTokens);
    SCOPED_TRACE(std::string(kv_type_name(type)) + " width " + std::to_string(width) + " rows " +
                 std::to_string(rows) + " count " + std::to_string(count));
    const KeptTokens kept(random, type, width, count);
    const KvPool again = kept.kept_by(kernels, type);
    for (PageId page = 0; page < again.pages(); ++page) {
      ASSERT_TRUE(std::ranges::equal(again.bytes(page), kept.pool->bytes(page)));
    }
    const auto q = queries(random, rows, width);
    const Attended expected = attend(scalar, kept, q, rows, rows);
    for (const float x : expected.out) ASSERT_TRUE(std::isfinite(x));
    for (const std::size_t together : {rows, std::size_t{1}}) {
      const Attended actual = attend(kernels, kept, q, rows, together);
      ASSERT_TRUE(same_bits(expected.scores, actual.scores));
      ASSERT_TRUE(same_bits(expected.out, actual.out));
    }
  }
}

TEST_P(AttentionOnEachIsa, IsTheContractsOperationsInItsOrder) {
  for (const KvType type : kKvTypes) {
    for (const std::size_t width : {2U, 34U, 64U, 80U, 96U}) {
      SCOPED_TRACE(std::string(kv_type_name(type)) + " width " + std::to_string(width));
      const KeptTokens kept(random, type, width, 37);
      const auto q = queries(random, 5, width);
      const Attended expected = attend_by_the_contract(type, kept, q, 5);
      const Attended actual = attend(kernels, kept, q, 5, 5);
      ASSERT_TRUE(same_bits(expected.scores, actual.scores));
      ASSERT_TRUE(same_bits(expected.out, actual.out));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, AttentionOnEachIsa, ::testing::ValuesIn(tested_kernels()),
                         [](const auto& it) { return std::string(it.param->name); });

}  // namespace
}  // namespace espalier::runtime::cpu
