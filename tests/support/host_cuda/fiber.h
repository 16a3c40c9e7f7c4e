// Stacks that one thread runs in turn. Known to the sanitizers.
//
// On x86-64 a switch is inlined, and a jump: with a call and a return processors guess wrong where
// it goes, and then at each return on the other stack, which took longer than all the rest.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HOST_CUDA_ASAN
#endif
#if __has_feature(thread_sanitizer)
#define HOST_CUDA_TSAN
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define HOST_CUDA_ASAN
#endif
#ifdef __SANITIZE_THREAD__
#define HOST_CUDA_TSAN
#endif

namespace host_cuda {

/// Leaves what it needs to come back on the stack, whose pointer goes to *from; then the same
/// backwards from `to`.
#if defined(__x86_64__)
__attribute__((always_inline)) inline void switch_stacks(void** from, void* to) {
  asm volatile(
      "leaq -128(%%rsp), %%rsp\n"  // what the ABI lets functions use below the stack
      "pushq %%rbp\n"
      "leaq 1f(%%rip), %%rax\n"
      "pushq %%rax\n"
      "movq %%rsp, (%0)\n"
      "movq %1, %%rsp\n"
      "popq %%rax\n"
      "jmp *%%rax\n"
      "1:\n"
      "popq %%rbp\n"
      "leaq 128(%%rsp), %%rsp\n"
      : "+D"(from), "+S"(to)
      :
      : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",
        "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
        "xmm12", "xmm13", "xmm14", "xmm15", "cc", "memory");
}
#else
extern "C" void host_cuda_switch(void** from, void* to);
inline void switch_stacks(void** from, void* to) { host_cuda_switch(from, to); }
#endif

/// A context: the running thread's own, or one with a stack of its own.
class Fiber {
 public:
  /// The thread's own; start() must not be called.
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// The next switch to it calls `entry`, which must not return. What ran there is forgotten.
  /// The first call allocates the stack, with a page below that faults.
  void start(void (*entry)());
  /// Leaves `from`, which is running, for `to`. `ends`: nobody comes back to `from`.
  static void change(Fiber& from, Fiber& to, bool ends = false) {
    leave(from, to, ends);
    switch_stacks(&from.stack_pointer_, to.stack_pointer_);
    come_back(from);
  }
  /// To be called first by an entry; `from` is who changed to it.
  static void entered(Fiber& from);

 private:
#if defined(HOST_CUDA_ASAN) || defined(HOST_CUDA_TSAN)
  static void leave(Fiber& from, Fiber& to, bool ends);
  static void come_back(Fiber& to);
#else
  static void leave(Fiber& /*from*/, Fiber& /*to*/, bool /*ends*/) {}
  static void come_back(Fiber& /*to*/) {}
#endif

  void* stack_pointer_ = nullptr;
  unsigned char* stack_ = nullptr;  // lowest address
  std::size_t size_ = 0;
  bool owned_ = false;
  [[maybe_unused]] void* fake_stack_ = nullptr;  // AddressSanitizer's
  [[maybe_unused]] void* tsan_fiber_ = nullptr;  // ThreadSanitizer's
  [[maybe_unused]] unsigned starts_ = 0;
};

}  // namespace host_cuda
