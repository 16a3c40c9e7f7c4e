// Rows that the device looks up against dequantise_row: the same bits for all types.
#include "runtime/cuda/embed.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "runtime/cuda/panels.h"
#include "tests/runtime/cuda/twins.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/random_tensor.h"

namespace espalier::runtime::cuda {
namespace {

using testing::RandomTensor;

class EachEmbedding : public ::testing::TestWithParam<TensorType> {};

TEST_P(EachEmbedding, HasTheNumbersOfDequantisedRows) {
  Random random(4);
  const TensorTraits& traits = *tensor_traits(GetParam());
  const bool dense = is_dense(weight_format(GetParam()));
  for (int trial = 0; trial < 12; ++trial) {
    const std::size_t rows = 1 + random() % 70;
    const std::size_t columns =
        dense ? 1 + random() % 700 : traits.block_weights * (1 + random() % 5);
    const float factor = trial % 2 == 0 ? 1.0F : 23.5F;
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(columns));
    const RandomTensor it(random, GetParam(), rows, columns);
    const std::uint32_t groups = groups_of(it.tensor);
    std::vector<std::byte> laid(group_bytes(it.tensor) * groups);
    lay_out(it.tensor, 0, groups, laid);
    const DeviceArray<std::byte> there(laid);
    DeviceMatrix matrix;
    matrix.data = reinterpret_cast<const unsigned char*>(there.get());
    matrix.rows = static_cast<std::uint32_t>(rows);
    matrix.columns = static_cast<std::uint32_t>(columns);
    matrix.format = weight_format(GetParam());

    std::vector<std::uint32_t> ids = {0, static_cast<std::uint32_t>(rows - 1)};
    for (std::size_t i = random() % 20; i > 0; --i) {
      ids.push_back(static_cast<std::uint32_t>(random() % rows));
    }
    // Some of them as the device has chosen them, or would have.
    std::vector<SampleResult> chosen(7);
    std::vector<std::uint32_t> named = ids;
    for (std::uint32_t i = 0; i < chosen.size(); ++i) {
      const std::size_t m = random() % ids.size();
      chosen[i].token = i == 3 ? -1 : static_cast<std::int32_t>(ids[m]);
      if (i != 3) named[m] = kChosenId | i;
    }
    const DeviceArray<SampleResult> choices(chosen);
    const DeviceArray<std::uint32_t> ids_there(named);
    const std::size_t stride = columns + random() % 5;
    std::vector<float> actual(ids.size() * stride, 7.0F);
    const DeviceArray<float> out(actual);
    embed_rows(nullptr, static_cast<std::uint32_t>(ids.size()), matrix, ids_there.get(),
               choices.get(), factor, out.get(), stride);
    ASSERT_EQ(cudaGetLastError(), cudaSuccess);
    actual = out.read();
    std::vector<float> expected(columns);
    for (std::size_t m = 0; m < ids.size(); ++m) {
      dequantise_row(it.tensor, ids[m], expected);
      for (std::size_t k = 0; k < columns; ++k) {
        ASSERT_EQ(std::bit_cast<std::uint32_t>(actual[m * stride + k]),
                  std::bit_cast<std::uint32_t>(expected[k] * factor))
            << "row " << ids[m] << ", column " << k;
      }
      for (std::size_t k = columns; k < stride; ++k) ASSERT_EQ(actual[m * stride + k], 7.0F);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, EachEmbedding,
                         ::testing::ValuesIn(tensor_types().begin(), tensor_types().end()),
                         [](const auto& it) { return std::string(tensor_traits(it.param)->name); });

#ifdef ESPALIER_HOST_CUDA
// Of a head of its own the embedding is not: it is held beside, or looked up on the host.
TEST(Embeddings, AreHeldWhereThereIsRoomAndChangeNoBit) {
  espalier::testing::TinyLlama description;
  description.tied = false;
  const auto model = load_bytes(description.writer().finish().bytes);
  ASSERT_NE(model, nullptr);
  std::vector<std::size_t> held;
  for (const bool room : {false, true}) {
    if (!room) host_cuda::set_memory_limit(std::size_t{400} << 20);
    {
      const std::size_t before = host_cuda::allocated_bytes();
      const auto made = Twins::made(model, {});
      ASSERT_TRUE(made.has_value());
      held.push_back(host_cuda::allocated_bytes() - before);
    }
    run_branches(model, 5, 45);
    host_cuda::reset_device();
  }
  EXPECT_GE(held[1], held[0] + device_bytes(model->weights().embedding));
}
#endif

}  // namespace
}  // namespace espalier::runtime::cuda
