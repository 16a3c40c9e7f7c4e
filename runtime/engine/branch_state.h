// What a Branch is made of: its ids, what of them has been counted, and the one slot of its
// outstanding request.
//
// Owned by the program's side while no request is outstanding and by the engine thread while one
// is; the hand-over is the inbox push one way and the completion the other, both with
// release/acquire order. Only `cancelled` is touched by both at once.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <semaphore>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "runtime/engine/engine.h"

namespace espalier::runtime {

class EngineCore;
class EngineGroup;
class Job;

/// Spaces from here on are of one branch alone (the cache turned off): nothing of them is kept.
inline constexpr std::uint64_t kOwnSpaces = 1ULL << 63;

/// Prompt ids [begin, end) that no request has counted yet. Forks share the flag, so a trunk is
/// counted once.
struct PromptSegment {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::shared_ptr<std::atomic<bool>> counted;
};

/// What a program's branches have in common: a root and all forks of it. Its place in the queue is
/// that of the first of its requests, so that what was begun is ended before more is begun; after
/// kRequests it takes a new one, so that no program keeps others out for ever.
struct Lineage {
  static constexpr std::uint32_t kRequests = 64;

  Lineage() = default;
  Lineage(const Lineage&) = delete;
  Lineage& operator=(const Lineage&) = delete;
  ~Lineage();  // it lives no longer where it was placed

  std::shared_ptr<EngineGroup> group;  // null: a scheduler alone
  // Where it was placed among several engines: another one where that one's device is lost.
  std::atomic<EngineCore*> home = nullptr;

  // Of the thread of its engine alone.
  std::uint64_t place = 0;  // in the order of arrival; 0: none yet
  std::uint64_t since = 0;  // step at which the place was taken
  std::uint32_t left = 0;   // requests for which it holds
};

/// The engine's own errands, sent through the same inbox.
struct ForgetRequest {
};  // nobody comes back to the path; where it is dead: evict first what nobody else holds
struct TreeRequest {};   // answer with the tree as it is between two steps
struct CheckRequest {};  // answer once nothing runs: do all invariants hold?

class BranchState {
 public:
  BranchState();
  ~BranchState();
  BranchState(const BranchState&) = delete;
  BranchState& operator=(const BranchState&) = delete;

  EngineCore* core = nullptr;  // where its requests go, from the first one on; its lineage keeps it
  std::uint64_t space = 0;
  std::vector<TokenId> ids;
  std::vector<PromptSegment> segments;
  std::size_t computed =
      0;  // leading ids whose KV this path has had: computing them again is recomputation
  Terms terms;
  std::shared_ptr<Lineage> lineage = std::make_shared<Lineage>();
  std::uint64_t parked =
      0;  // step at which its last request ended: the tree expects it back; 0: it does not
  bool dead = false;
  std::size_t forked_at = 0;  // ids that it had as a fork: they are the trunk's, and never dead
  bool outstanding = false;

  std::variant<std::monostate, GenerateRequest, ScoreRequest, ProbeRequest, ForgetRequest,
               TreeRequest, CheckRequest>
      request;
  // The request as far as it has come, where it waited on an engine whose device is lost and is on
  // its way to another.
  std::unique_ptr<Job> job;
  std::variant<std::monostate, Result<Generated>, Result<Scored>, Result<Probed>, Status,
               std::vector<radix_cache::NodeView>>
      answer;

  // Who waits: a coroutine on an executor, or a blocked thread, or nobody.
  Executor* executor = nullptr;
  std::coroutine_handle<> waiter;
  // The semaphore lives here, not with the thread: release() may still touch it after acquire() has
  // returned.
  bool blocking = false;
  std::binary_semaphore done{0};

  std::atomic<bool> cancelled = false;

  // The inbox's intrusive list: alive while it is queued, whatever becomes of the Branch.
  BranchState* next = nullptr;
  std::shared_ptr<BranchState> self;
};

}  // namespace espalier::runtime
