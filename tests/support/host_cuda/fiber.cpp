#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#ifdef HOST_CUDA_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef HOST_CUDA_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#if defined(__aarch64__)
// Saves the registers that the ABI has calls keep.
asm(R"(
.text
.globl host_cuda_switch
.hidden host_cuda_switch
.type host_cuda_switch, %function
host_cuda_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size host_cuda_switch, . - host_cuda_switch
)");
#elif !defined(__x86_64__)
#error "host_cuda: no switch of fibers for this machine"
#endif

namespace host_cuda {
namespace {

constexpr std::size_t kPage = 4096;
#if defined(HOST_CUDA_ASAN) || defined(HOST_CUDA_TSAN)
constexpr std::size_t kStack = std::size_t{256} << 10;
#else
constexpr std::size_t kStack = std::size_t{64} << 10;
#endif

}  // namespace

Fiber::Fiber() = default;

Fiber::~Fiber() {
  if (!owned_) return;
#ifdef HOST_CUDA_TSAN
  __tsan_destroy_fiber(tsan_fiber_);
#endif
  munmap(stack_ - kPage, size_ + kPage);
}

void Fiber::start(void (*entry)()) {
  if (!owned_) {
    void* const block = mmap(nullptr, kStack + kPage, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block == MAP_FAILED || mprotect(block, kPage, PROT_NONE) != 0) {
      std::fputs("host_cuda: no memory for the stacks of fibers\n", stderr);
      std::abort();
    }
    stack_ = static_cast<unsigned char*>(block) + kPage;
    size_ = kStack;
    owned_ = true;
#ifdef HOST_CUDA_TSAN
    tsan_fiber_ = __tsan_create_fiber(0);
#endif
  }
#ifdef HOST_CUDA_TSAN
  // What ran there never returned, and the sanitizer keeps its frames: a fiber of its own has room
  // for some 65,000 of them.
  constexpr unsigned kStarts = 1024;
  if (++starts_ % kStarts == 0) {
    __tsan_destroy_fiber(tsan_fiber_);
    tsan_fiber_ = __tsan_create_fiber(0);
  }
#endif
#ifdef HOST_CUDA_ASAN
  __asan_unpoison_memory_region(stack_, size_);  // frames that were left behind
#endif
  fake_stack_ = nullptr;
  // As the switch leaves a stack; the entry finds it aligned as after a call.
  void** top = reinterpret_cast<void**>(stack_ + size_) - 2;
  std::memset(top, 0, 2 * sizeof *top);
#if defined(__x86_64__)
  *--top = nullptr;  // where the entry would return
  *--top = reinterpret_cast<void*>(entry);
#else
  top -= 20;
  std::memset(top, 0, 20 * sizeof *top);
  top[11] = reinterpret_cast<void*>(entry);  // x30
#endif
  stack_pointer_ = top;
}

#if defined(HOST_CUDA_ASAN) || defined(HOST_CUDA_TSAN)
void Fiber::leave([[maybe_unused]] Fiber& from, [[maybe_unused]] Fiber& to,
                  [[maybe_unused]] bool ends) {
#ifdef HOST_CUDA_ASAN
  __sanitizer_start_switch_fiber(ends ? nullptr : &from.fake_stack_, to.stack_, to.size_);
#endif
#ifdef HOST_CUDA_TSAN
  if (from.tsan_fiber_ == nullptr) from.tsan_fiber_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(to.tsan_fiber_, 0);
#endif
}

void Fiber::come_back([[maybe_unused]] Fiber& to) {
#ifdef HOST_CUDA_ASAN
  __sanitizer_finish_switch_fiber(to.fake_stack_, nullptr, nullptr);
#endif
}
#endif

void Fiber::entered([[maybe_unused]] Fiber& from) {
#ifdef HOST_CUDA_ASAN
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  if (from.stack_ == nullptr) {  // the thread's own stack, which only the sanitizer knows
    from.stack_ = static_cast<unsigned char*>(const_cast<void*>(bottom));
    from.size_ = size;
  }
#endif
}

}  // namespace host_cuda
