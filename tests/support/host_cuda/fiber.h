// Stacks that one thread runs in turn. Known to the sanitizers.
#pragma once

#include <cstddef>

namespace host_cuda {

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
  static void change(Fiber& from, Fiber& to, bool ends = false);
  /// To be called first by an entry; `from` is who changed to it.
  static void entered(Fiber& from);

 private:
  void* stack_pointer_ = nullptr;
  unsigned char* stack_ = nullptr;  // lowest address
  std::size_t size_ = 0;
  bool owned_ = false;
  [[maybe_unused]] void* fake_stack_ = nullptr;  // AddressSanitizer's
  [[maybe_unused]] void* tsan_fiber_ = nullptr;  // ThreadSanitizer's
  [[maybe_unused]] unsigned starts_ = 0;
};

}  // namespace host_cuda
