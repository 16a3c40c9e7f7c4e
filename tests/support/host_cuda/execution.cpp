#include "execution.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string_view>

#include "engine.h"
#include "runtime_api.h"
#include "streams.h"
#include "together.h"

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

namespace host_cuda {

std::string place(const char* name, const Where& where) {
  std::string_view file = where.file;
  file.remove_prefix(file.rfind('/') + 1);
  std::ostringstream out;
  out << name << " (" << file << ":" << where.line << ")";
  return out.str();
}

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

std::string Engine::position() const {
  std::ostringstream out;
  out << "in block (" << blockIdx.x << ", " << blockIdx.y << ", " << blockIdx.z << ")";
  return out.str();
}

// Who waits where, as runs of threads.
std::string Engine::waiting() const {
  std::ostringstream out;
  for (unsigned first = 0; first < count_;) {
    const Thread& head = block_->threads[first];
    unsigned last = first;
    while (last + 1 < count_ && block_->threads[last + 1].state == head.state &&
           (head.state == State::kGone || (block_->threads[last + 1].where == head.where &&
                                           block_->threads[last + 1].mask == head.mask))) {
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
  it.block_->gone[n / kWarp] |= 1U << n % kWarp;
  it.complete_warps(n / kWarp);
  Fiber::change(thread.fiber, *it.scheduler_, true);
  std::abort();
}

void Engine::resume(Thread& thread) {
  const unsigned n = number(thread);
  block_->ready[n / kWarp] &= ~(1U << n % kWarp);
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
  Thread* const lanes = &block_->threads[std::size_t{warp} * kWarp];
  for (unsigned rest = block_->at_warp[warp]; rest != 0;) {
    const unsigned first = static_cast<unsigned>(std::countr_zero(rest));
    const Thread& head = lanes[first];
    const unsigned named = head.mask & ~block_->gone[warp];
    rest &= ~named;
    if ((block_->at_warp[warp] & named) != named) continue;
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
    block_->at_warp[warp] &= ~named;
    block_->ready[warp] |= named;
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
  block_->at_warp[n / kWarp] |= bit;
  thread.state = State::kAtWarp;
  complete_warps(n / kWarp);
  if (thread.state == State::kReady && !shuffled_) {  // the last to come goes on
    block_->ready[n / kWarp] &= ~bit;
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
  return block_->votes;
}

void Engine::grid_barrier(const char* name, const Where& where) {
  Thread& thread = *current_;
  thread.name = name;
  thread.where = where;
  thread.mask = 0;
  if (!together_) {
    note_failure("a barrier of the grid in a launch whose blocks do not run together,");
    stop();
  }
  wait(State::kAtGrid);
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
    const Thread& thread = block_->threads[i];
    if (thread.state == State::kGone) continue;
    if (thread.state != State::kAtBlock) return false;
    if (head == nullptr) head = &thread;
    if (thread.name != head->name || !(thread.where == head->where)) return false;
    votes.yes += thread.vote ? 1 : 0;
    ++votes.all;
  }
  block_->votes = votes;
  for (unsigned i = 0; i < count_; ++i) {
    if (block_->threads[i].state == State::kGone) continue;
    block_->threads[i].state = State::kReady;
    block_->ready[i / kWarp] |= 1U << i % kWarp;
  }
  return true;
}

bool Where::operator==(const Where& other) const {
  return line == other.line && (file == other.file || std::strcmp(file, other.file) == 0);
}

namespace {

// Whether CUDA takes a launch's shape.
bool is_valid(dim3 grid, dim3 block, std::size_t shared_bytes) {
  constexpr std::size_t kMostShared = std::size_t{227} << 10;
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  return threads != 0 && threads <= kMostThreads && block.z <= 64 && grid.x != 0 && grid.y != 0 &&
         grid.z != 0 && grid.x <= 0x7FFFFFFFU && grid.y <= 0xFFFFU && grid.z <= 0xFFFFU &&
         shared_bytes <= kMostShared;
}

void start(dim3 grid, dim3 block, std::size_t shared_bytes, bool together, cudaStream_t stream,
           const std::function<void()>& body) {
  enqueue(stream, [=] {
    const DeviceAccess access;
    Engine::get().run(grid, block, shared_bytes, together, body);
  });
}

}  // namespace

void launch(dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            const std::function<void()>& body) {
  if (Engine::get().in_kernel()) fail("a launch within a kernel");
  if (!is_valid(grid, block, shared_bytes)) {
    set_last_error(cudaErrorInvalidConfiguration);
    return;
  }
  if (enter() == cudaSuccess) start(grid, block, shared_bytes, false, stream, body);
}

int launch_together(dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
                    const std::function<void()>& body) {
  if (Engine::get().in_kernel()) fail("a launch within a kernel");
  if (!is_valid(grid, block, shared_bytes)) return failed(cudaErrorInvalidConfiguration);
  if (const cudaError_t error = enter(); error != cudaSuccess) return error;
  const unsigned threads = block.x * block.y * block.z;
  const std::size_t blocks = std::size_t{grid.x} * grid.y * grid.z;
  if (const cudaError_t refused = admit_together(blocks, threads, shared_bytes);
      refused != cudaSuccess) {
    return failed(refused);
  }
  start(grid, block, shared_bytes, true, stream, body);
  return cudaSuccess;
}

void grid_barrier(const Where& where) { Engine::get().grid_barrier("grid_barrier", where); }

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
