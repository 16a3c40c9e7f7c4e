// The shim's engine: a kernel's threads, its blocks, and who waits for what (execution.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "execution.h"
#include "fiber.h"
#include "static_shared.h"

namespace host_cuda {

inline constexpr unsigned kWarp = 32;
inline constexpr unsigned kMostThreads = 1024;
inline constexpr std::size_t kCanary = 64;
inline constexpr unsigned char kCanaryByte = 0xA7;

enum class State : std::uint8_t { kReady, kAtWarp, kAtBlock, kAtGrid, kGone };

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes;
  std::size_t group;
};

// A CUDA thread and what it waits for.
struct Thread {
  Fiber fiber;
  uint3 index{};
  State state = State::kReady;
  const char* name = nullptr;  // of the collective
  Where where;
  unsigned mask = 0;
  Complete complete = nullptr;
  void* payload = nullptr;
  bool vote = false;
  std::deque<Copy> copies;  // under way
  std::size_t group = 0;    // that is open
};

// A thread block and its shared memory.
struct Block {
  uint3 index{};
  std::unique_ptr<Thread[]> threads;
  unsigned room = 0;                            // of threads
  unsigned ready[kMostThreads / kWarp] = {};    // lanes of each warp
  unsigned at_warp[kMostThreads / kWarp] = {};  // wait for each other
  unsigned gone[kMostThreads / kWarp] = {};
  Votes votes;
  std::unique_ptr<void, decltype(&std::free)> memory{nullptr, &std::free};  // dynamic, and a canary
  std::vector<unsigned char> kept;  // static, while another block runs
};

// Why a block runs no further.
enum class Stop : std::uint8_t { kGone, kAtGrid, kTurn, kFailed };

// SplitMix64: shuffled orders take a draw for each lane and step.
class Random {
 public:
  using result_type = std::uint64_t;
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return ~std::uint64_t{0}; }
  void seed(std::uint64_t seed) { state_ = seed * 0xD1342543DE82EF95U; }
  result_type operator()() {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t x = state_;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9U;
    x = (x ^ x >> 27) * 0x94D049BB133111EBU;
    return x ^ x >> 31;
  }

 private:
  std::uint64_t state_ = 0;
};

struct Settings {
  std::uint64_t seed = 0;
  std::uint64_t launches = 0;  // since the seed was set
  std::mt19937_64 early;
  FailureHandler handler;
};
Settings& settings();
/// Of a failure, to whoever handles them.
void report(const std::string& message);
/// A collective and its line.
std::string place(const char* name, const Where& where);

// The kernel that runs. One object for the process: stacks are used again.
class Engine {
 public:
  static Engine& get() {
    static Engine it;
    return it;
  }

  void run(dim3 grid, dim3 block, std::size_t shared_bytes, bool together,
           const std::function<void()>& body);
  void note_failure(const std::string& message);
  [[noreturn]] void stop();
  void warp_collective(const char* name, unsigned mask, Complete complete, void* payload,
                       const Where& where);
  Votes block_barrier(const char* name, bool vote, const Where& where);
  void grid_barrier(const char* name, const Where& where);
  void copy_async(const Copy& copy);
  void copy_async_commit() { ++current_->group; }
  void copy_async_wait(std::size_t pending) { finish_copies(*current_, pending); }

  // The calling thread: another one may run a kernel meanwhile.
  bool in_kernel() const {
    return runner_.load() == std::this_thread::get_id() && current_ != nullptr;
  }
  unsigned lane() const { return number(*current_) % kWarp; }
  unsigned char* dynamic_shared() { return static_cast<unsigned char*>(block_->memory.get()); }

 private:
  Engine() : shared_(shared_variables()) {}
  static void entry();
  void run_alone(std::size_t blocks);
  void run_together(std::size_t blocks);
  void open(Block& block, std::size_t number);
  void keep_statics();
  void bring_statics();
  [[nodiscard]] Stop run_block(unsigned most_rounds);
  void check_canary();
  bool release_grid(std::size_t blocks);
  [[nodiscard]] const Thread* at_grid(const Block& block) const;
  void resume(Thread& thread);
  void wait(State state);
  void complete_warps(unsigned warp);
  bool release_barrier();
  static void finish_copies(Thread& thread, std::size_t pending);
  std::string position() const;
  std::string waiting() const;
  unsigned number(const Thread& thread) const {
    return static_cast<unsigned>(&thread - block_->threads.get());
  }

  std::vector<Shared> shared_;  // static
  unsigned char* storage_ = nullptr;
  std::vector<std::unique_ptr<Block>> blocks_;  // of a launch all at once, or one
  Block* block_ = nullptr;                      // that runs
  Fiber* scheduler_ = nullptr;
  Thread* current_ = nullptr;
  std::atomic<std::thread::id> runner_;
  const std::function<void()>* body_ = nullptr;
  unsigned count_ = 0;            // threads of a block
  std::size_t shared_bytes_ = 0;  // of it
  bool together_ = false;
  bool failed_ = false;
  bool shuffled_ = false;
  Random random_;
};

}  // namespace host_cuda
