#include "execution.h"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <memory>
#include <numeric>
#include <random>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

#include "fiber.h"
#include "runtime_api.h"
#include "streams.h"

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

namespace host_cuda {
namespace {

constexpr unsigned kWarp = 32;
constexpr unsigned kMostThreads = 1024;
constexpr std::size_t kCanary = 64;
constexpr unsigned char kCanaryByte = 0xA7;

enum class State : std::uint8_t { kReady, kAtWarp, kAtBlock, kGone };

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

// Static shared memory: an offset into the thread-local storage of the program.
struct Shared {
  std::size_t offset;
  std::size_t size;
};

// The program's static shared memory, from the symbols of its file: thread-local variables of
// functions (_ZZ...), of which nothing else here has any.
std::vector<Shared> shared_variables() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const auto read = [&file]<class T>(std::uint64_t at, std::vector<T>& to) {
    file.seekg(static_cast<std::streamoff>(at));
    file.read(reinterpret_cast<char*>(to.data()),
              static_cast<std::streamsize>(to.size() * sizeof(T)));
  };
  std::vector<ElfW(Ehdr)> header(1);
  read(0, header);
  std::vector<ElfW(Shdr)> sections(header[0].e_shnum);
  read(header[0].e_shoff, sections);
  std::vector<Shared> out;
  bool symbols_found = false;
  for (const ElfW(Shdr) & section : sections) {
    if (section.sh_type != SHT_SYMTAB || section.sh_link >= sections.size()) continue;
    symbols_found = true;
    std::vector<ElfW(Sym)> symbols(section.sh_size / sizeof(ElfW(Sym)));
    read(section.sh_offset, symbols);
    const ElfW(Shdr)& strings = sections[section.sh_link];
    std::vector<char> names(strings.sh_size + 1);
    read(strings.sh_offset, names);
    for (const ElfW(Sym) & symbol : symbols) {
      if (ELF64_ST_TYPE(symbol.st_info) == STT_TLS &&
          std::string_view(names.data() + symbol.st_name).starts_with("_ZZ")) {
        out.push_back({symbol.st_value, symbol.st_size});
      }
    }
  }
  if (!file || !symbols_found) {
    std::fputs("host_cuda: the program's symbols cannot be read; shared memory needs them\n",
               stderr);
    std::abort();
  }
  return out;
}

// This thread's copy of the program's thread-local storage.
unsigned char* thread_storage() {
  void* storage = nullptr;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        *static_cast<void**>(to) = info->dlpi_tls_data;
        return 1;  // the first is the program
      },
      &storage);
  return static_cast<unsigned char*>(storage);
}

std::string place(const char* name, const Where& where) {
  std::string_view file = where.file;
  file.remove_prefix(file.rfind('/') + 1);
  std::ostringstream out;
  out << name << " (" << file << ":" << where.line << ")";
  return out.str();
}

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
Settings& settings() {
  static Settings it;
  return it;
}

void report(const std::string& message) {
  if (settings().handler) {
    settings().handler(message);
    return;
  }
  std::fprintf(stderr, "host_cuda: %s\n", message.c_str());
  std::abort();
}

// The kernel that runs. One object for the process: stacks are used again.
class Engine {
 public:
  static Engine& get() {
    static Engine it;
    return it;
  }

  void run(dim3 grid, dim3 block, std::size_t shared_bytes, const std::function<void()>& body);
  void note_failure(const std::string& message);
  [[noreturn]] void stop();
  void warp_collective(const char* name, unsigned mask, Complete complete, void* payload,
                       const Where& where);
  Votes block_barrier(const char* name, bool vote, const Where& where);
  void copy_async(const Copy& copy);
  void copy_async_commit() { ++current_->group; }
  void copy_async_wait(std::size_t pending) { finish_copies(*current_, pending); }

  // The calling thread: another one may run a kernel meanwhile.
  bool in_kernel() const {
    return runner_.load() == std::this_thread::get_id() && current_ != nullptr;
  }
  unsigned lane() const { return number(*current_) % kWarp; }
  unsigned char* dynamic_shared() { return dynamic_; }

 private:
  Engine() : shared_(shared_variables()) {}
  static void entry();
  void run_block();
  void resume(Thread& thread);
  void wait(State state);
  void complete_warps(unsigned warp);
  bool release_barrier();
  static void finish_copies(Thread& thread, std::size_t pending);
  std::string position() const;
  std::string waiting() const;
  unsigned number(const Thread& thread) const {
    return static_cast<unsigned>(&thread - threads_.get());
  }

  std::vector<Shared> shared_;  // static
  unsigned char* storage_ = nullptr;
  std::unique_ptr<Thread[]> threads_{new Thread[kMostThreads]};
  Fiber* scheduler_ = nullptr;
  Thread* current_ = nullptr;
  std::atomic<std::thread::id> runner_;
  const std::function<void()>* body_ = nullptr;
  unsigned count_ = 0;
  unsigned ready_[kMostThreads / kWarp] = {};    // lanes of each warp
  unsigned at_warp_[kMostThreads / kWarp] = {};  // wait for each other
  unsigned gone_[kMostThreads / kWarp] = {};
  Votes votes_;
  unsigned char* dynamic_ = nullptr;
  bool failed_ = false;
  bool shuffled_ = false;
  Random random_;
};

std::string Engine::position() const {
  std::ostringstream out;
  out << "in block (" << blockIdx.x << ", " << blockIdx.y << ", " << blockIdx.z << ")";
  return out.str();
}

// Who waits where, as runs of threads.
std::string Engine::waiting() const {
  std::ostringstream out;
  for (unsigned first = 0; first < count_;) {
    const Thread& head = threads_[first];
    unsigned last = first;
    while (last + 1 < count_ && threads_[last + 1].state == head.state &&
           (head.state == State::kGone ||
            (threads_[last + 1].where == head.where && threads_[last + 1].mask == head.mask))) {
      ++last;
    }
    out << (first == 0 ? " thread" : "; thread");
    if (last == first) {
      out << " " << first;
    } else {
      out << "s " << first << " to " << last;
    }
    if (head.state == State::kGone) {
      out << " left the kernel";
    } else {
      out << " at " << place(head.name, head.where);
      if (head.state == State::kAtWarp) out << " mask 0x" << std::hex << head.mask << std::dec;
    }
    first = last + 1;
  }
  return out.str();
}

void Engine::note_failure(const std::string& message) {
  std::ostringstream out;
  out << message << " " << position() << ", thread " << number(*current_);
  failed_ = true;
  report(out.str());
}

// Leaves the running fiber for good; what its stack owns is lost.
void Engine::stop() {
  Fiber::change(current_->fiber, *scheduler_, true);
  std::abort();  // nobody comes back
}

void Engine::entry() {
  Engine& it = get();
  Fiber::entered(*it.scheduler_);
  (*it.body_)();
  Thread& thread = *it.current_;
  ++thread.group;
  finish_copies(thread, 0);
  thread.state = State::kGone;
  const unsigned n = it.number(thread);
  it.gone_[n / kWarp] |= 1U << n % kWarp;
  it.complete_warps(n / kWarp);
  Fiber::change(thread.fiber, *it.scheduler_, true);
  std::abort();
}

void Engine::resume(Thread& thread) {
  const unsigned n = number(thread);
  ready_[n / kWarp] &= ~(1U << n % kWarp);
  current_ = &thread;
  threadIdx = thread.index;
  Fiber::change(*scheduler_, thread.fiber);
  current_ = nullptr;
}

void Engine::wait(State state) {
  Thread& thread = *current_;
  thread.state = state;
  Fiber::change(thread.fiber, *scheduler_);
}

// Completes what the warp's lanes wait for, where all whom it names have come. `except` those that
// run are made ready.
void Engine::complete_warps(unsigned warp) {
  Thread* const lanes = &threads_[std::size_t{warp} * kWarp];
  for (unsigned rest = at_warp_[warp]; rest != 0;) {
    const unsigned first = static_cast<unsigned>(std::countr_zero(rest));
    const Thread& head = lanes[first];
    const unsigned named = head.mask & ~gone_[warp];
    rest &= ~named;
    if ((at_warp_[warp] & named) != named) continue;
    void* payloads[kWarp] = {};
    bool agree = true;
    for (unsigned i = 0; i < kWarp; ++i) {
      if ((named >> i & 1U) == 0) continue;
      agree = agree && lanes[i].mask == head.mask && lanes[i].complete == head.complete &&
              lanes[i].where == head.where;
      payloads[i] = lanes[i].payload;
    }
    if (!agree) continue;  // nobody will come to make them agree: found when all wait
    if (head.complete != nullptr) head.complete(payloads);
    for (unsigned i = 0; i < kWarp; ++i) {
      if ((named >> i & 1U) != 0) lanes[i].state = State::kReady;
    }
    at_warp_[warp] &= ~named;
    ready_[warp] |= named;
  }
}

void Engine::warp_collective(const char* name, unsigned mask, Complete complete, void* payload,
                             const Where& where) {
  Thread& thread = *current_;
  const unsigned n = number(thread);
  const unsigned bit = 1U << n % kWarp;
  thread.name = name;
  thread.where = where;
  thread.mask = mask;
  thread.complete = complete;
  thread.payload = payload;
  if ((mask & bit) == 0) {
    {
      std::ostringstream out;
      out << place(name, where) << " with a mask, 0x" << std::hex << mask
          << ", that leaves out the lane that calls it,";
      note_failure(out.str());
    }
    stop();
  }
  at_warp_[n / kWarp] |= bit;
  thread.state = State::kAtWarp;
  complete_warps(n / kWarp);
  if (thread.state == State::kReady && !shuffled_) {  // the last to come goes on
    ready_[n / kWarp] &= ~bit;
    return;
  }
  Fiber::change(thread.fiber, *scheduler_);
}

Votes Engine::block_barrier(const char* name, bool vote, const Where& where) {
  Thread& thread = *current_;
  thread.name = name;
  thread.where = where;
  thread.mask = 0;
  thread.vote = vote;
  wait(State::kAtBlock);
  return votes_;
}

void Engine::copy_async(const Copy& copy) {
  if (shuffled_ && random_() % 2 == 0) {
    std::memcpy(copy.to, copy.from, copy.bytes);
    return;
  }
  current_->copies.push_back(copy);
  current_->copies.back().group = current_->group;
}

void Engine::finish_copies(Thread& thread, std::size_t pending) {
  while (!thread.copies.empty() && thread.copies.front().group + pending < thread.group) {
    const Copy& copy = thread.copies.front();
    std::memcpy(copy.to, copy.from, copy.bytes);
    thread.copies.pop_front();
  }
}

// When nobody can run: true where all wait at one barrier of the block, which opens.
bool Engine::release_barrier() {
  const Thread* head = nullptr;
  Votes votes;
  for (unsigned i = 0; i < count_; ++i) {
    const Thread& thread = threads_[i];
    if (thread.state == State::kGone) continue;
    if (thread.state != State::kAtBlock) return false;
    if (head == nullptr) head = &thread;
    if (thread.name != head->name || !(thread.where == head->where)) return false;
    votes.yes += thread.vote ? 1 : 0;
    ++votes.all;
  }
  votes_ = votes;
  for (unsigned i = 0; i < count_; ++i) {
    if (threads_[i].state == State::kGone) continue;
    threads_[i].state = State::kReady;
    ready_[i / kWarp] |= 1U << i % kWarp;
  }
  return true;
}

void Engine::run_block() {
  for (const Shared& it : shared_) std::memset(storage_ + it.offset, kSharedPoison, it.size);
  const unsigned warps = (count_ + kWarp - 1) / kWarp;
  for (unsigned i = 0; i < count_; ++i) {
    threads_[i].state = State::kReady;
    threads_[i].copies.clear();
    threads_[i].fiber.start(entry);
  }
  for (unsigned w = 0; w < warps; ++w) {
    const unsigned lanes = std::min(kWarp, count_ - w * kWarp);
    ready_[w] = lanes == kWarp ? ~0U : (1U << lanes) - 1U;
    at_warp_[w] = 0;
    gone_[w] = ~ready_[w];
  }
  unsigned order[kMostThreads / kWarp];
  std::iota(order, order + warps, 0U);
  unsigned lane_order[kWarp];
  std::iota(lane_order, lane_order + kWarp, 0U);
  for (;;) {
    bool progress = false;
    if (shuffled_) std::shuffle(order, order + warps, random_);
    for (unsigned i = 0; i < warps; ++i) {
      const unsigned w = order[i];
      // In order a warp goes on as far as it can; shuffled, others go between its collectives.
      while (ready_[w] != 0) {
        progress = true;
        if (shuffled_) std::shuffle(lane_order, lane_order + kWarp, random_);
        const unsigned lanes = ready_[w];
        for (const unsigned lane : lane_order) {
          if ((lanes >> lane & 1U) == 0) continue;
          resume(threads_[w * kWarp + lane]);
          if (failed_) return;
        }
        if (shuffled_) break;
      }
    }
    if (progress) continue;
    if (std::all_of(&threads_[0], &threads_[count_],
                    [](const Thread& thread) { return thread.state == State::kGone; })) {
      return;
    }
    if (!release_barrier()) {
      failed_ = true;
      report("divergent barrier " + position() + ":" + waiting());
      return;
    }
  }
}

void Engine::run(dim3 grid, dim3 block, std::size_t shared_bytes,
                 const std::function<void()>& body) {
  Fiber scheduler;
  runner_ = std::this_thread::get_id();
  scheduler_ = &scheduler;
  storage_ = thread_storage();
  body_ = &body;
  failed_ = false;
  gridDim = grid;
  blockDim = block;
  count_ = block.x * block.y * block.z;
  for (unsigned i = 0; i < count_; ++i) {
    threads_[i].index = {i % block.x, i / block.x % block.y, i / (block.x * block.y)};
  }
  Settings& it = settings();
  shuffled_ = it.seed != 0;
  random_.seed(it.seed + it.launches++);
  // 128 is what code may expect of the block's alignment.
  const std::size_t room = (shared_bytes + kCanary + 127) / 128 * 128;
  const std::unique_ptr<void, decltype(&std::free)> shared(std::aligned_alloc(128, room),
                                                           &std::free);
  dynamic_ = static_cast<unsigned char*>(shared.get());
  const std::size_t blocks = std::size_t{grid.x} * grid.y * grid.z;
  std::vector<std::uint32_t> order;
  if (shuffled_) {
    order.resize(blocks);
    std::iota(order.begin(), order.end(), 0U);
    std::shuffle(order.begin(), order.end(), random_);
  }
  for (std::size_t i = 0; i < blocks && !failed_; ++i) {
    const std::size_t b = shuffled_ ? order[i] : i;
    blockIdx = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                static_cast<unsigned>(b / grid.x / grid.y)};
    std::memset(dynamic_, kSharedPoison, shared_bytes);
    std::memset(dynamic_ + shared_bytes, kCanaryByte, room - shared_bytes);
    run_block();
    if (!failed_ && !std::all_of(dynamic_ + shared_bytes, dynamic_ + room,
                                 [](unsigned char byte) { return byte == kCanaryByte; })) {
      failed_ = true;
      report("written past the end of dynamic shared memory " + position());
    }
  }
  dynamic_ = nullptr;
  scheduler_ = nullptr;
  runner_ = std::thread::id();
  if (failed_) set_last_error(cudaErrorLaunchFailure);
}

}  // namespace

bool Where::operator==(const Where& other) const {
  return line == other.line && (file == other.file || std::strcmp(file, other.file) == 0);
}

void launch(dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            const std::function<void()>& body) {
  if (Engine::get().in_kernel()) fail("a launch within a kernel");
  constexpr std::size_t kMostShared = std::size_t{227} << 10;
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > kMostThreads || block.z > 64 || grid.x == 0 || grid.y == 0 ||
      grid.z == 0 || grid.x > 0x7FFFFFFFU || grid.y > 0xFFFFU || grid.z > 0xFFFFU ||
      shared_bytes > kMostShared) {
    set_last_error(cudaErrorInvalidConfiguration);
    return;
  }
  if (enter() != cudaSuccess) return;
  enqueue(stream, [=] {
    const DeviceAccess access;
    Engine::get().run(grid, block, shared_bytes, body);
  });
}

unsigned char* dynamic_shared() { return Engine::get().dynamic_shared(); }

void set_order_seed(std::uint64_t seed) {
  settings().seed = seed;
  settings().launches = 0;
  settings().early.seed(seed);
}

bool is_early() { return settings().seed != 0 && settings().early() % 4 == 0; }

void set_failure_handler(FailureHandler handler) { settings().handler = std::move(handler); }

void fail(const char* message) {
  if (!Engine::get().in_kernel()) return report(message);
  Engine::get().note_failure(message);
  Engine::get().stop();
}

void warp_collective(const char* name, unsigned mask, Complete complete, void* payload,
                     const Where& where) {
  Engine::get().warp_collective(name, mask, complete, payload, where);
}

Votes block_barrier(const char* name, bool vote, const Where& where) {
  return Engine::get().block_barrier(name, vote, where);
}

void copy_async(void* to, const void* from, std::size_t bytes) {
  if ((reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from)) % bytes !=
      0) {
    fail("an asynchronous copy that is not aligned");
  }
  Engine::get().copy_async({to, from, bytes, 0});
}
void copy_async_commit() { Engine::get().copy_async_commit(); }
void copy_async_wait(std::size_t pending) { Engine::get().copy_async_wait(pending); }

unsigned lane() { return Engine::get().lane(); }

}  // namespace host_cuda
