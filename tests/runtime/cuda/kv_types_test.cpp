// Pools of every type of K and V: a step's answers and pages are the same bits on a device, on
// several, and on the CPU.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "runtime/cuda/cuda_backend.h"
#include "runtime/device.h"
#include "tests/runtime/cuda/twins.h"
#include "tests/support/gguf_writer.h"

namespace espalier::runtime::cuda {
namespace {

using espalier::testing::TinyLlama;

class EveryKvType : public ::testing::TestWithParam<KvType> {
 protected:
  [[nodiscard]] static std::shared_ptr<const Model> tiny(std::uint32_t layers = 4,
                                                         std::uint32_t context = 128) {
    TinyLlama description;
    description.layers = layers;
    description.kv_heads = 4;
    description.matrix_type = static_cast<std::uint32_t>(TensorType::kQ4_0);
    description.context = context;
    return load_bytes(description.writer().finish().bytes);
  }
  // So many ranks of one device, `tensor` of which share each of the last `layers`.
  [[nodiscard]] static CudaOptions on(std::size_t ranks, std::uint32_t tensor,
                                      std::uint32_t layers = 0) {
    CudaOptions out;
    out.devices.assign(ranks, 0);
    out.tensor_parallel = tensor;
    out.links = CudaOptions::Links::kThreads;
    out.layers = layers;
    out.kv_type = GetParam();
    return out;
  }
};

TEST_P(EveryKvType, HasTheSameBitsOnADeviceAsOnTheCpu) {
  const auto model = tiny(1, 700);
  ASSERT_NE(model, nullptr);
  run_branches(model, 1, 300, on(1, 1));
}

TEST_P(EveryKvType, HasTheSameBitsOnSeveralDevicesBehindLayersOnTheCpu) {
  const auto model = tiny();
  ASSERT_NE(model, nullptr);
  run_branches(model, 3, 45, on(4, 2, 3));
}

TEST_P(EveryKvType, IsTakenByTheDeviceThatAutoFindsAndSaysSoOfItsPages) {
  const auto model = tiny();
  ASSERT_NE(model, nullptr);
  BackendOptions options;
  options.threads = 1;
  options.kv_type = GetParam();
  options.kv_bytes = pool_bytes(*model, GetParam());
  const auto made = create_backend(model, options, real_system());
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_EQ(made->on.kind, Device::Kind::kCuda);
  Backend& device = *made->backend;
  EXPECT_EQ(device.info().pages, kPages);
  options.device.kind = Device::Kind::kCpu;
  const auto cpu = create_backend(model, options, real_system());
  ASSERT_TRUE(cpu.has_value());
  EXPECT_EQ(device.info().kv_format, cpu->backend->info().kv_format);
  ASSERT_EQ(device.info().page_bytes, cpu->backend->info().page_bytes);
  std::vector<std::byte> a(device.info().page_bytes);
  std::vector<std::byte> b(a.size());
  device.poison(3);
  cpu->backend->poison(3);
  device.export_page(3, a);
  cpu->backend->export_page(3, b);
  EXPECT_EQ(a, b);
}

INSTANTIATE_TEST_SUITE_P(KvTypes, EveryKvType,
                         ::testing::Values(KvType::kF16, KvType::kBF16, KvType::kQ8),
                         [](const auto& named) { return std::string(kv_type_name(named.param)); });

}  // namespace
}  // namespace espalier::runtime::cuda
