// Tensor types against the Python registry's `gguf` package, bit for bit: fixtures/ holds random
// blocks and what it makes of them.
#include "runtime/model/tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "runtime/model/half.h"
#include "runtime/model/quantised_block.h"
#include "runtime/model/random_weights.h"
#include "tests/support/source_folder.h"

namespace espalier::runtime {
namespace {

TEST(Tensor, EveryTypeDequantisesToTheBitsOfTheGgufPackage) {
  std::ifstream file(
      espalier::testing::source_folder() + "/tests/runtime/model/fixtures/dequantised.bin",
      std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  ASSERT_FALSE(bytes.empty());
  std::set<TensorType> seen{TensorType::kF32};
  for (std::size_t at = 0; at < bytes.size();) {
    std::uint32_t head[3];
    ASSERT_LE(at + sizeof head, bytes.size());
    std::memcpy(head, bytes.data() + at, sizeof head);
    at += sizeof head;
    const auto type = static_cast<TensorType>(head[0]);
    const std::size_t weights = head[1];
    const std::size_t size = head[2];
    ASSERT_NE(tensor_traits(type), nullptr) << head[0];
    SCOPED_TRACE(std::string(tensor_traits(type)->name));
    ASSERT_LE(at + size + 4 * weights, bytes.size());
    const Tensor tensor{"t", type, weights, 1, std::as_bytes(std::span(bytes.data() + at, size))};
    ASSERT_EQ(tensor.row_bytes(), size);
    at += size;
    std::vector<float> expected(weights);
    std::memcpy(expected.data(), bytes.data() + at, 4 * weights);
    at += 4 * weights;
    std::vector<float> actual(weights);
    dequantise_row(tensor, 0, actual);
    for (std::size_t i = 0; i < weights; ++i) {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(expected[i]), std::bit_cast<std::uint32_t>(actual[i]))
          << "weight " << i << ": " << expected[i] << " != " << actual[i];
    }
    seen.insert(type);
  }
  EXPECT_TRUE(std::ranges::equal(seen, tensor_types()));
}

TEST(Tensor, ARowIsFoundAmongOthers) {
  for (const TensorType type : tensor_types()) {
    const TensorTraits& traits = *tensor_traits(type);
    const std::uint64_t columns = 2 * traits.block_weights;
    std::string bytes;
    for (std::uint32_t i = 0; i < 3 * 2 * traits.block_bytes; ++i) {
      bytes += static_cast<char>(i * 29 % 61);  // small: no infinities
    }
    const Tensor all{"t", type, columns, 3, std::as_bytes(std::span(bytes))};
    const Tensor last{"t", type, columns, 1, all.data.subspan(2 * all.row_bytes())};
    std::vector<float> a(columns);
    std::vector<float> b(columns);
    dequantise_row(all, 2, a);
    dequantise_row(last, 0, b);
    EXPECT_EQ(a, b) << traits.name;
  }
}

// Also where a thread has few rows, or there are more threads than rows are worth.
TEST(RandomRows, AreTheSameBytesHoweverManyMakeThem) {
  for (const TensorType type : {TensorType::kBF16, TensorType::kQ4_K}) {
    const RandomKey key = RandomKey(3).with("rows");
    const std::string one = random_rows(type, 4096, 101, key, 7);
    for (const unsigned threads : {2U, 3U, 16U, 1000U}) {
      EXPECT_TRUE(random_rows(type, 4096, 101, key, 7, threads) == one) << threads;
    }
    EXPECT_TRUE(one.ends_with(random_rows(type, 4096, 1, key, 107, 4)));
    EXPECT_TRUE(random_rows(type, 4096, 0, key, 7, 4).empty());
  }
}

TEST(Tensor, MicroscalingExponentsArePowersOfTwo) {
  for (int e = 0; e < 256; ++e) {
    EXPECT_EQ(e8m0_half_to_float(static_cast<std::uint8_t>(e)), std::ldexp(1.0F, e - 128)) << e;
  }
}

}  // namespace
}  // namespace espalier::runtime
