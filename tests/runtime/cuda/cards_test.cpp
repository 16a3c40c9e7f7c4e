// Cards as machines have them: chips that differ, one that is too old, one that another process
// holds a part of or has to itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "runtime/cuda/device.h"
#include "runtime/device.h"
#include "runtime/engine_backends.h"
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

// Whatever the allocation that finds no memory: the next device has the model, or the CPU, and a
// line says why. What was asked for by name is refused.
TEST(OneCardOfTwoProcesses, ThatIsFilledWhileAModelIsLoadedIsPassedOver) {
  host_cuda::reset_device();
  const auto model = four_layers();
  BackendOptions options;
  options.kv_bytes = pool_bytes(*model);
  unsigned lacked = 0;
  for (unsigned n = 1;; ++n) {
    SCOPED_TRACE(n);
    host_cuda::reset_device();
    const std::size_t before = host_cuda::allocated_bytes();
    host_cuda::fail_next_malloc(n);
    const auto alone = create_backend(model, options, real_system());
    ASSERT_TRUE(alone.has_value()) << alone.error().message;
    if (alone->device != "cpu") break;  // all were given
    ++lacked;
    EXPECT_EQ(alone->on.kind, Device::Kind::kCpu);
    EXPECT_THAT(alone->note,
                HasSubstr("cuda:0 (host shim 0) has no longer the memory that it had: CUDA: "));
    EXPECT_THAT(alone->note, HasSubstr("; the model is on cpu"));
    EXPECT_EQ(host_cuda::allocated_bytes(), before);

    host_cuda::set_devices(2);
    host_cuda::fail_next_malloc(n);
    const auto other = create_backend(model, options, real_system());
    ASSERT_TRUE(other.has_value()) << other.error().message;
    EXPECT_EQ(other->device, "cuda:1 (host shim 1)");
    EXPECT_THAT(other->note, HasSubstr("; the model is on cuda:1 (host shim 1)"));

    host_cuda::fail_next_malloc(n);
    const auto two = make_engine_backends(model, options, 2, std::nullopt, real_system());
    ASSERT_TRUE(two.has_value()) << two.error().message;
    EXPECT_EQ(two->device, "cpu; cpu");
    ASSERT_EQ(two->notes.size(), 1U);
    EXPECT_THAT(two->notes[0], HasSubstr("the model is on the CPU"));

    BackendOptions named = options;
    named.device = Device::parse("cuda").value();
    host_cuda::fail_next_malloc(n);
    const auto refused = create_backend(model, named, real_system());
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
  }
  EXPECT_GT(lacked, 5U);
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
