// Cards as machines have them: chips that differ, one that is too old, one that another process
// holds a part of or has to itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "runtime/cuda/device.h"
#include "runtime/device.h"
#include "tests/runtime/cuda/twins.h"

#ifdef ESPALIER_HOST_CUDA

namespace espalier::runtime::cuda {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kMiB = std::size_t{1} << 20;

// Which device a model got, or why none: "cuda:1 (…)", "unsupported: …".
std::string where(const std::string& device, std::uint32_t tensor = 0) {
  BackendOptions options;
  options.device = Device::parse(device).value();
  options.tensor_parallel = tensor;
  const auto model = four_layers();
  options.kv_bytes = pool_bytes(*model);
  const auto made = create_backend(model, options, real_system());
  return made ? made->device : std::string(name(made.error().code)) + ": " + made.error().message;
}

TEST(MixedChips, ThatAreTooOldAreLeftOutAndNamed) {
  host_cuda::reset_device();
  host_cuda::set_devices(3);
  host_cuda::set_chip(0, {.name = "Tesla T4", .major = 7, .minor = 5});
  EXPECT_EQ(where("auto"), "cuda:1 (host shim 1)");
  EXPECT_EQ(where("cuda:2"), "cuda:2 (host shim 2)");
  const std::string why = "device 0 (Tesla T4) has compute capability 7.5, the least is 8.0";
  EXPECT_THAT(where("cuda:0"),
              HasSubstr("unsupported: CUDA: there is no usable device 0; there are 2; " + why));
  EXPECT_THAT(where("cuda:1,0", 2), HasSubstr(why));
  EXPECT_THAT(where("cuda:7"), HasSubstr("no usable device 7; there are 2; " + why));
  host_cuda::set_devices(1);
  EXPECT_EQ(where("cuda"), "unsupported: CUDA: no device that can be used; " + why);
  EXPECT_EQ(where("auto"), "cpu");
  host_cuda::reset_device();
}

// One of half the multiprocessors and less shared memory, beside one that is large.
TEST(MixedChips, HaveTheSameBitsAsTheCpu) {
  const auto model = four_layers(TensorType::kQ4_0, 4);
  for (const std::uint32_t tensor : {1U, 2U}) {
    host_cuda::reset_device();
    host_cuda::set_devices(2);
    host_cuda::set_chip(1, {.name = "NVIDIA L4",
                            .major = 8,
                            .minor = 9,
                            .multiprocessors = 4,
                            .shared_bytes = std::size_t{100} << 10});
    CudaOptions options = ranks(2 / tensor, tensor);
    options.devices = {1, 0};
    run_branches(model, 50 + tensor, 45, options);
    ASSERT_EQ(setenv("ESPALIER_NCCL", "none", 1), 0);
    EXPECT_THAT(where("cuda:0,1", tensor), HasSubstr("cuda:0,1 (host shim 0, NVIDIA L4), 2 "));
    unsetenv("ESPALIER_NCCL");
  }
  host_cuda::reset_device();
}

// What others hold is not there: neither for layers nor for the pool that nobody asked for.
TEST(OneCardOfTwoProcesses, IsSharedByWhatIsFree) {
  host_cuda::reset_device();
  const auto model = four_layers();
  const auto pages = [&] {
    const auto made = CudaBackend::create(model, {.threads = 1}, real_system());
    EXPECT_TRUE(made.has_value()) << made.error().message;
    return made ? (*made)->info().pages : 0;
  };
  host_cuda::set_memory_limit(3000 * kMiB);
  const std::uint32_t alone = pages();
  host_cuda::set_memory_of_others(1500 * kMiB);
  const std::uint32_t beside = pages();
  EXPECT_GT(beside, 0U);
  EXPECT_LT(beside, alone / 2 + alone / 10);
  host_cuda::set_memory_of_others(2990 * kMiB);
  EXPECT_EQ(where("auto"), "cpu");
  EXPECT_THAT(where("cuda"), HasSubstr("10 MiB are free"));
  host_cuda::reset_device();
}

// Another process takes the rest while this one runs: steps that need more fail by name, and run
// when it is gone.
TEST(OneCardOfTwoProcesses, ThatIsFilledByTheOtherFailsStepsByNameAndGoesOn) {
  host_cuda::reset_device();
  const auto model = four_layers();
  Twins twins(model);
  ASSERT_TRUE(twins);
  Random random(9);
  Sequence sequence = twins.cpu.sequence(120);
  const auto ids = random_ids(random, *model, 100);
  host_cuda::set_memory_of_others(std::size_t{16} << 30);
  Sequence lost = sequence;
  BatchBuilder more;
  more.append(lost, ids);
  const auto failed = run_step(*twins.device.backend, more.batch, {});
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, ErrorCode::kExhausted);
  EXPECT_THAT(failed.error().message, HasSubstr("0 MiB free of 16384 MiB"));
  EXPECT_FALSE(twins.device.backend->lost());
  host_cuda::set_memory_of_others(0);
  BatchBuilder builder;
  const auto first = builder.append(sequence, ids);
  twins.step(builder.batch, {first + 99});
  host_cuda::reset_device();
}

TEST(OneCardOfTwoProcesses, ThatTheOtherHasToItselfIsRefusedByName) {
  for (const unsigned calls : {0U, 1U, 2U, 3U}) {
    SCOPED_TRACE(calls);
    host_cuda::reset_device();
    host_cuda::lose_device_after(calls, cudaErrorDevicesUnavailable);
    const std::string named = where("cuda");
    EXPECT_THAT(named, HasSubstr("unsupported: CUDA: "));
    EXPECT_THAT(named, HasSubstr("another process may have it to itself"));
    host_cuda::reset_device();
    host_cuda::lose_device_after(calls, cudaErrorDevicesUnavailable);
    EXPECT_EQ(where("auto"), "cpu");
  }
  host_cuda::reset_device();
}

}  // namespace
}  // namespace espalier::runtime::cuda

#endif
