// The shim's twin of the CUDA runtime: memory of its own, errors, faults on demand.

#include <functional>
#include <thread>

#include "runtime/cuda/simt.cuh"
#include "tests/runtime/cuda/rig.h"

namespace espalier::runtime::cuda {
namespace {

using ::testing::HasSubstr;

class ShimApi : public ::testing::Test {
 protected:
  void SetUp() override {
    host_cuda::reset_device();
    host_cuda::set_order_seed(0);  // other tests leave their own
  }
  void TearDown() override {
    host_cuda::reset_device();
    EXPECT_EQ(host_cuda::allocated_bytes(), before_);
  }
  std::size_t before_ = host_cuda::allocated_bytes();
};

TEST_F(ShimApi, DeviceMemoryStartsAsPoisonAndIsAlignedTo256) {
  const DeviceArray<unsigned char> memory(1000);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % 256, 0U);
  EXPECT_EQ(memory.read(), std::vector<unsigned char>(1000, host_cuda::kDevicePoison));
}

TEST_F(ShimApi, FreedMemoryFaultsAndIsPoisonAgainWhenItIsGivenOut) {
  int* old = nullptr;
  ASSERT_EQ(cudaMalloc(&old, 4000), cudaSuccess);
  host_cuda::launch(dim3(1), dim3(1), 0, nullptr, [&] { old[0] = 1; });
  ASSERT_EQ(cudaFree(old), cudaSuccess);
  EXPECT_DEATH(host_cuda::launch(dim3(1), dim3(1), 0, nullptr,
                                 [&] { static_cast<void>(*static_cast<volatile int*>(old)); }),
               "");
  const DeviceArray<unsigned char> memory(4000);
  EXPECT_EQ(memory.read(), std::vector<unsigned char>(4000, host_cuda::kDevicePoison));
}

TEST_F(ShimApi, TheHostCannotTouchDeviceMemory) {
  const DeviceArray<int> memory(std::vector<int>{1, 2});
  EXPECT_DEATH(static_cast<void>(*static_cast<volatile int*>(memory.get())), "");
}

TEST_F(ShimApi, KernelsCannotReadPastAnAllocation) {
  const DeviceArray<int> memory(64);
  EXPECT_DEATH(
      host_cuda::launch(dim3(1), dim3(1), 0, nullptr,
                        [&] { static_cast<void>(*static_cast<volatile int*>(memory.get() + 64)); }),
      "");
}

TEST_F(ShimApi, WritesOutsideAnAllocationAreFoundWhenItIsFreed) {
  char* memory = nullptr;
  ASSERT_EQ(cudaMalloc(&memory, 100), cudaSuccess);
  host_cuda::launch(dim3(1), dim3(1), 0, nullptr, [&] { memory[100] = 1; });
  const CollectedFailures failures;
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
  ASSERT_EQ(failures.messages().size(), 1U);
  EXPECT_THAT(failures.messages()[0], HasSubstr("outside an allocation of 100 bytes"));
}

TEST_F(ShimApi, CopiesCheckTheirEnds) {
  const DeviceArray<int> memory(4);
  std::vector<int> host(8);
  EXPECT_EQ(cudaMemcpy(memory.get(), host.data(), 20, cudaMemcpyHostToDevice),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(memory.get(), host.data(), 16, cudaMemcpyDeviceToHost),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host.data(), memory.get() + 1, 12, cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(cudaMemset(memory.get() + 3, 0, 8), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(ShimApi, RowsAreCopiedByTheirPitches) {
  const std::vector<int> rows = {1, 2, 0, 3, 4, 0};
  const DeviceArray<int> memory(4);
  EXPECT_EQ(cudaMemcpy2DAsync(memory.get(), 8, rows.data(), 12, 8, 2, cudaMemcpyHostToDevice),
            cudaSuccess);
  EXPECT_EQ(memory.read(), (std::vector<int>{1, 2, 3, 4}));
}

TEST_F(ShimApi, MemoryEndsWhereTheLimitSays) {
  host_cuda::set_memory_limit(host_cuda::allocated_bytes() + 1000);
  void* memory = nullptr;
  ASSERT_EQ(cudaMalloc(&memory, 600), cudaSuccess);
  std::size_t free = 0;
  std::size_t total = 0;
  EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  EXPECT_EQ(free, 400U);
  void* more = nullptr;
  EXPECT_EQ(cudaMalloc(&more, 500), cudaErrorMemoryAllocation);
  EXPECT_EQ(more, nullptr);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&more, 500), cudaSuccess);
  EXPECT_EQ(cudaFree(more), cudaSuccess);
}

TEST_F(ShimApi, TheNthAllocationFailsOnDemand) {
  host_cuda::fail_next_malloc(2);
  void* first = nullptr;
  void* second = nullptr;
  EXPECT_EQ(cudaMalloc(&first, 8), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&second, 8), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&second, 8), cudaSuccess);
  EXPECT_EQ(cudaFree(first), cudaSuccess);
  EXPECT_EQ(cudaFree(second), cudaSuccess);
  host_cuda::fail_next_malloc_host(1);
  EXPECT_EQ(cudaMallocHost(&first, 8), cudaErrorMemoryAllocation);
}

TEST_F(ShimApi, MachinesWithoutADeviceOrWithAnOldDriverSaySo) {
  int count = -1;
  host_cuda::set_devices(0);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  EXPECT_EQ(count, 0);
  host_cuda::set_devices(0, cudaErrorInsufficientDriver);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
  host_cuda::set_devices(2);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  EXPECT_EQ(count, 2);
  EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
  EXPECT_EQ(cudaSetDevice(1), cudaSuccess);
}

TEST_F(ShimApi, ALostDeviceStaysLost) {
  host_cuda::lose_device_after(1, cudaErrorIllegalAddress);
  EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaSuccess);
  bool ran = false;
  host_cuda::launch(dim3(1), dim3(1), 0, nullptr, [&] { ran = true; });
  EXPECT_FALSE(ran);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
    EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaErrorIllegalAddress);
  }
}

// For the thread sanitizer: one thread asks what was said last while another's call loses the
// device.
TEST_F(ShimApi, ADeviceMayBeLostBesideAThreadThatAsksForErrors) {
  host_cuda::lose_device_after(20, cudaErrorIllegalAddress);
  std::thread asking([] {
    while (cudaGetLastError() == cudaSuccess) std::this_thread::yield();
  });
  while (cudaStreamSynchronize(nullptr) == cudaSuccess) std::this_thread::yield();
  asking.join();
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
}

// A stream of the usual kind: not waited for by the null stream.
class OneStream {
 public:
  OneStream() {
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
  }
  ~OneStream() { EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess); }
  OneStream(const OneStream&) = delete;
  OneStream& operator=(const OneStream&) = delete;
  [[nodiscard]] cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

__global__ void add_one(int* x) { ++*x; }

TEST_F(ShimApi, WorkOnAStreamIsDoneWhenItIsWaitedFor) {
  const DeviceArray<int> memory(std::vector<int>{5});
  const OneStream stream;
  int* pinned = nullptr;
  ASSERT_EQ(cudaMallocHost(&pinned, sizeof(int)), cudaSuccess);
  *pinned = 0;
  launch(add_one, dim3(1), dim3(1), 0, stream.get(), memory.get());
  EXPECT_EQ(
      cudaMemcpyAsync(pinned, memory.get(), sizeof(int), cudaMemcpyDeviceToHost, stream.get()),
      cudaSuccess);
  EXPECT_EQ(memory.read(), std::vector<int>{5});  // nobody waited
  EXPECT_EQ(*pinned, 0);
  EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
  EXPECT_EQ(*pinned, 6);
  EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
}

TEST_F(ShimApi, PinnedMemoryIsReadWhenTheCopyRunsAndOtherMemoryAtOnce) {
  const DeviceArray<int> memory(2);
  const OneStream stream;
  int* pinned = nullptr;
  ASSERT_EQ(cudaMallocHost(&pinned, sizeof(int)), cudaSuccess);
  *pinned = 1;
  int pageable = 1;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(cudaMemcpyAsync(memory.get() + i, i == 0 ? pinned : &pageable, sizeof(int),
                              cudaMemcpyHostToDevice, stream.get()),
              cudaSuccess);
  }
  *pinned = 2;
  pageable = 2;
  EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
  EXPECT_EQ(memory.read(), (std::vector<int>{2, 1}));
  EXPECT_EQ(cudaFreeHost(pinned), cudaSuccess);
}

TEST_F(ShimApi, WithAnOrderSeedWorkMayRunEarly) {
  const OneStream stream;
  int early = 0;
  for (std::uint64_t seed = 1; seed < 30; ++seed) {
    const DeviceArray<int> memory(std::vector<int>{0});
    host_cuda::set_order_seed(seed);
    launch(add_one, dim3(1), dim3(1), 0, stream.get(), memory.get());
    early += memory.read()[0];
    EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
    EXPECT_EQ(memory.read()[0], 1);
  }
  host_cuda::set_order_seed(0);
  EXPECT_GT(early, 0);
  EXPECT_LT(early, 29);
}

TEST_F(ShimApi, AStreamWaitsForAnothersEvent) {
  const DeviceArray<int> memory(std::vector<int>{0});
  const OneStream first;
  const OneStream second;
  cudaEvent_t event = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  launch(add_one, dim3(1), dim3(1), 0, first.get(), memory.get());
  EXPECT_EQ(cudaEventRecord(event, first.get()), cudaSuccess);
  launch(add_one, dim3(1), dim3(1), 0, first.get(), memory.get());
  EXPECT_EQ(cudaStreamWaitEvent(second.get(), event), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(second.get()), cudaSuccess);
  EXPECT_EQ(memory.read()[0], 1);
  EXPECT_EQ(cudaStreamSynchronize(first.get()), cudaSuccess);
  EXPECT_EQ(memory.read()[0], 2);
}

TEST_F(ShimApi, GraphsReplayWhatWasRecorded) {
  const std::uint64_t before = host_cuda::graph_launches();
  const DeviceArray<int> memory(std::vector<int>{0});
  const OneStream stream;
  ASSERT_EQ(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal), cudaSuccess);
  launch(add_one, dim3(1), dim3(1), 0, stream.get(), memory.get());
  launch(add_one, dim3(1), dim3(1), 0, stream.get(), memory.get());
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream.get(), &graph), cudaSuccess);
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
  EXPECT_EQ(memory.read()[0], 0);  // recorded, not run
  for (int i = 0; i < 3; ++i) EXPECT_EQ(cudaGraphLaunch(executable, stream.get()), cudaSuccess);
  EXPECT_EQ(cudaGraphExecDestroy(executable), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
  EXPECT_EQ(memory.read()[0], 6);
  EXPECT_EQ(host_cuda::graph_launches(), before + 3);
}

TEST_F(ShimApi, WhatMustNotBeDoneWhileRecordingSpoilsIt) {
  const DeviceArray<int> memory(std::vector<int>{0});
  const OneStream stream;
  void* more = nullptr;
  cudaGraph_t graph = nullptr;
  for (const auto& forbidden : std::vector<std::function<cudaError_t()>>{
           [&] { return cudaMalloc(&more, 8); }, [&] { return cudaMallocHost(&more, 8); },
           [&] { return cudaStreamSynchronize(stream.get()); },
           [&] { return cudaMemset(memory.get(), 0, 4); },
           [] { return cudaDeviceSynchronize(); }}) {
    ASSERT_EQ(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal), cudaSuccess);
    EXPECT_EQ(forbidden(), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaStreamEndCapture(stream.get(), &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    static_cast<void>(cudaGetLastError());
  }
}

TEST_F(ShimApi, EventsMeasureTimeBetweenThem) {
  cudaStream_t stream = nullptr;
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  ASSERT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&begin), cudaSuccess);
  ASSERT_EQ(cudaEventCreate(&end), cudaSuccess);
  float milliseconds = -1;
  EXPECT_EQ(cudaEventRecord(begin, stream), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventRecord(end, stream), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaErrorNotReady);
  EXPECT_EQ(cudaEventSynchronize(end), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaSuccess);
  EXPECT_GE(milliseconds, 0);
  EXPECT_EQ(cudaEventDestroy(begin), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(end), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
}

}  // namespace
}  // namespace espalier::runtime::cuda
