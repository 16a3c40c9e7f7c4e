// Thread blocks one after the other, or all of a launch live at once.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <sstream>

#include "engine.h"
#include "runtime_api.h"

namespace host_cuda {

// Makes a block ready to begin, and the running one.
void Engine::open(Block& block, std::size_t number) {
  block_ = &block;
  block.index = {static_cast<unsigned>(number % gridDim.x),
                 static_cast<unsigned>(number / gridDim.x % gridDim.y),
                 static_cast<unsigned>(number / gridDim.x / gridDim.y)};
  blockIdx = block.index;
  if (block.room < count_) {
    block.threads = std::make_unique<Thread[]>(count_);
    block.room = count_;
  }
  // 128 is what code may expect of the block's alignment.
  const std::size_t room = (shared_bytes_ + kCanary + 127) / 128 * 128;
  block.memory.reset(std::aligned_alloc(128, room));
  auto* const dynamic = static_cast<unsigned char*>(block.memory.get());
  std::memset(dynamic, kSharedPoison, shared_bytes_);
  std::memset(dynamic + shared_bytes_, kCanaryByte, room - shared_bytes_);
  for (const Shared& it : shared_) std::memset(storage_ + it.offset, kSharedPoison, it.size);
  for (unsigned i = 0; i < count_; ++i) {
    Thread& thread = block.threads[i];
    thread.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
    thread.state = State::kReady;
    thread.copies.clear();
    thread.fiber.start(entry);
  }
  for (unsigned w = 0; w < (count_ + kWarp - 1) / kWarp; ++w) {
    const unsigned lanes = std::min(kWarp, count_ - w * kWarp);
    block.ready[w] = lanes == kWarp ? ~0U : (1U << lanes) - 1U;
    block.at_warp[w] = 0;
    block.gone[w] = ~block.ready[w];
  }
}

// Static shared memory is one place for all blocks: it is put by while others run.
void Engine::keep_statics() {
  block_->kept.clear();
  for (const Shared& it : shared_) {
    block_->kept.insert(block_->kept.end(), storage_ + it.offset, storage_ + it.offset + it.size);
  }
}

void Engine::bring_statics() {
  const unsigned char* from = block_->kept.data();
  for (const Shared& it : shared_) {
    std::memcpy(storage_ + it.offset, from, it.size);
    from += it.size;
  }
}

// The running block, until it is done, waits for others, has gone so many rounds, or fails.
Stop Engine::run_block(unsigned most_rounds) {
  const unsigned warps = (count_ + kWarp - 1) / kWarp;
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
      while (block_->ready[w] != 0) {
        progress = true;
        if (shuffled_) std::shuffle(lane_order, lane_order + kWarp, random_);
        const unsigned lanes = block_->ready[w];
        for (const unsigned lane : lane_order) {
          if ((lanes >> lane & 1U) == 0) continue;
          resume(block_->threads[w * kWarp + lane]);
          if (failed_) return Stop::kFailed;
        }
        if (shuffled_) break;
      }
    }
    if (progress) {
      if (most_rounds != 0 && --most_rounds == 0) return Stop::kTurn;
      continue;
    }
    if (std::all_of(block_->threads.get(), block_->threads.get() + count_,
                    [](const Thread& thread) { return thread.state == State::kGone; })) {
      check_canary();
      return failed_ ? Stop::kFailed : Stop::kGone;
    }
    if (release_barrier()) continue;
    if (at_grid(*block_) != nullptr) return Stop::kAtGrid;
    failed_ = true;
    report("divergent barrier " + position() + ":" + waiting());
    return Stop::kFailed;
  }
}

void Engine::check_canary() {
  const auto* const end = static_cast<unsigned char*>(block_->memory.get()) + shared_bytes_;
  if (std::all_of(end, end + kCanary, [](unsigned char byte) { return byte == kCanaryByte; })) {
    return;
  }
  failed_ = true;
  report("written past the end of dynamic shared memory " + position());
}

// A thread of a block all of whose threads wait for the grid at one line; else null.
const Thread* Engine::at_grid(const Block& block) const {
  const Thread& head = block.threads[0];
  for (unsigned i = 0; i < count_; ++i) {
    const Thread& thread = block.threads[i];
    if (thread.state != State::kAtGrid || !(thread.where == head.where)) return nullptr;
  }
  return &head;
}

// When no block can run: whether all wait for the grid at one line, and go on.
bool Engine::release_grid(std::size_t blocks) {
  const Thread* const head = at_grid(*blocks_[0]);
  std::size_t other = 0;
  while (other < blocks) {
    const Thread* const its = at_grid(*blocks_[other]);
    if (its == nullptr || head == nullptr || !(its->where == head->where)) break;
    ++other;
  }
  if (other == blocks) {
    for (std::size_t b = 0; b < blocks; ++b) {
      Block& block = *blocks_[b];
      for (unsigned i = 0; i < count_; ++i) {
        block.threads[i].state = State::kReady;
        block.ready[i / kWarp] |= 1U << i % kWarp;
      }
    }
    return true;
  }
  std::ostringstream out;
  out << "divergent barrier of the grid:";
  for (const std::size_t b : {std::size_t{0}, other}) {
    const Thread* const its = at_grid(*blocks_[b]);
    out << (b == 0 ? " block 0 " : "; block ");
    if (b != 0) out << b << " ";
    if (its == nullptr) {
      out << "left the kernel";
    } else {
      out << "at " << place(its->name, its->where);
    }
  }
  failed_ = true;
  report(out.str());
  return false;
}

void Engine::run_alone(std::size_t blocks) {
  std::vector<std::uint32_t> order(blocks);
  std::iota(order.begin(), order.end(), 0U);
  if (shuffled_) std::shuffle(order.begin(), order.end(), random_);
  for (std::size_t i = 0; i < blocks && !failed_; ++i) {
    open(*blocks_[0], order[i]);
    (void)run_block(0);
  }
}

// In order a block goes on as far as it can; shuffled, others run between its rounds.
void Engine::run_together(std::size_t blocks) {
  constexpr unsigned kMostRounds = 24;
  for (std::size_t b = 0; b < blocks; ++b) {
    open(*blocks_[b], b);
    keep_statics();
  }
  std::vector<std::uint32_t> order(blocks);
  std::iota(order.begin(), order.end(), 0U);
  std::vector<Stop> stopped(blocks, Stop::kTurn);
  for (;;) {
    if (shuffled_) std::shuffle(order.begin(), order.end(), random_);
    bool progress = false;
    for (const std::uint32_t b : order) {
      if (stopped[b] != Stop::kTurn) continue;
      progress = true;
      block_ = blocks_[b].get();
      blockIdx = block_->index;
      bring_statics();
      stopped[b] = run_block(shuffled_ ? 1 + static_cast<unsigned>(random_() % kMostRounds) : 0);
      if (failed_) return;
      keep_statics();
    }
    if (progress) continue;
    if (std::all_of(stopped.begin(), stopped.end(), [](Stop it) { return it == Stop::kGone; })) {
      return;
    }
    if (!release_grid(blocks)) return;
    std::fill(stopped.begin(), stopped.end(), Stop::kTurn);
  }
}

void Engine::run(dim3 grid, dim3 block, std::size_t shared_bytes, bool together,
                 const std::function<void()>& body) {
  Fiber scheduler;
  runner_ = std::this_thread::get_id();
  scheduler_ = &scheduler;
  storage_ = thread_storage();
  body_ = &body;
  failed_ = false;
  together_ = together;
  gridDim = grid;
  blockDim = block;
  count_ = block.x * block.y * block.z;
  shared_bytes_ = shared_bytes;
  Settings& it = settings();
  shuffled_ = it.seed != 0;
  random_.seed(it.seed + it.launches++);
  const std::size_t blocks = std::size_t{grid.x} * grid.y * grid.z;
  while (blocks_.size() < (together ? blocks : 1)) blocks_.push_back(std::make_unique<Block>());
  together ? run_together(blocks) : run_alone(blocks);
  block_ = nullptr;
  scheduler_ = nullptr;
  runner_ = std::thread::id();
  if (failed_) set_last_error(cudaErrorLaunchFailure);
}

}  // namespace host_cuda
