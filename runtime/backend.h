// The seam between the scheduler and the hardware (CONTRACTS 1). The CPU and CUDA backends differ
// in nothing else.
//
// One step runs every row of a Batch through the model in one pass over the weights: decode rows,
// forced spans and prefill chunks of many sequences together. Inside each layer all K and V are
// written before any attention reads, so a row may attend to what another row of the same step
// writes (followers beside their leader). A row's attention covers exactly positions 0..position of
// its sequence's page table; what lies in other slots is never read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/token.h"
#include "grammar/mask.h"
#include "runtime/sampling/sampling.h"

namespace espalier::runtime {

/// Index of a KV page; position p of a sequence lives in slot p % kPageTokens of page_table[p /
/// kPageTokens].
using PageId = std::uint32_t;
inline constexpr std::uint32_t kPageTokens = 16;

/// Where a row's K and V go. A row has 0..n: none where its KV is in the cache already (only its
/// logits are wanted), several where branches of the same step each need the head of a boundary
/// page (CONTRACTS 9).
struct KvSlot {
  PageId page = 0;
  std::uint32_t slot = 0;
};

/// Copies slots [0, slots) of a page, all layers, before the step's rows run.
struct PageCopy {
  PageId from = 0;
  PageId to = 0;
  std::uint32_t slots = 0;
};

struct Row {
  static constexpr std::uint32_t kKnown = UINT32_MAX;

  TokenId token = kNoToken;
  std::uint32_t position = 0;
  std::uint32_t sequence = 0;     // index into Batch::sequences
  std::uint32_t first_write = 0;  // Batch::writes[first_write, first_write + writes)
  std::uint32_t writes = 0;
  // In a step that is begun beside another's end (NextStep): the plan of that one whose token is
  // this row's; its own is not looked at.
  std::uint32_t chosen = kKnown;
};

struct Batch {
  std::vector<Row> rows;  // rows of one sequence are consecutive and rise in position
  std::vector<std::vector<PageId>> sequences;  // page tables; long enough for every row's position
  std::vector<KvSlot> writes;
  std::vector<PageCopy> copies;
};

enum class Want : std::uint8_t {
  kToken,     // sample under the plan's mask and sampling
  kLogprobs,  // the `count` best tokens of the full vocabulary, and those of `ids`, with
              // log-probabilities
};

/// What is wanted of a row's logits. Several plans may name one row (a fork draws n samples from
/// it).
struct RowPlan {
  std::uint32_t row = 0;
  Want want = Want::kToken;
  grammar::MaskRef mask;                // null: every token of the model
  const Sampling* sampling = nullptr;   // kToken; outlives the step
  const TokenCounts* counts = nullptr;  // kToken with penalties; outlives the step
  RandomKey key;                        // kToken with temperature > 0
  std::uint64_t counter = 0;
  std::uint32_t count = 0;   // best tokens reported beside the answer (both wants); 0: none
  std::vector<TokenId> ids;  // kLogprobs: ids whose log-probabilities are wanted
};

struct RowResult {
  Sampled sampled;                              // kToken
  std::vector<std::pair<TokenId, float>> best;  // `count` best over the full vocabulary, best first
  std::vector<float> logprobs;  // kLogprobs: of RowPlan::ids, over the full vocabulary
};

/// A step that is begun before the tokens of the one before it are known.
struct NextStep {
  const Batch* batch = nullptr;  // outlives the step
  std::span<const std::uint32_t> wanted;
  bool begun = false;  // what became of it
};

/// What the scheduler must know of a backend.
struct BackendInfo {
  std::uint32_t vocabulary = 0;
  std::uint32_t context = 0;     // positions the model can address
  std::uint32_t pages = 0;       // KV pages in the pool
  std::uint64_t page_bytes = 0;  // all layers, K and V
  std::string kv_format;  // what a page's bits depend on beside the model: numerics, layout, type
  std::string tuning;     // sizes of work, for people; empty where there are none to choose
};

/// A page of the pool, and a slot of the host memory beside it.
struct HostCopy {
  std::uint32_t slot = 0;
  PageId page = 0;
};

/// Host memory beside a device's pool, where pages go and come back from while steps run. Copies
/// are in the order in which they were begun, after the steps before them. Whatever reads or writes
/// a page of which a copy is under way waits for it by itself: a later step, poison(),
/// export_page(), import_page(). A copy that could not be begun leaves of each byte that it goes to
/// what was there or what was to come; one that fails after that fails every step from then on.
/// Engine thread only.
class HostPages {
 public:
  virtual ~HostPages() = default;
  /// Room for slots [0, slots). kExhausted; what there was stays.
  [[nodiscard]] virtual Status reserve(std::uint32_t slots) = 0;
  /// Begins to copy a page to its slot.
  [[nodiscard]] virtual Status save(HostCopy copy) = 0;
  /// Begins to copy slots to their pages. The next step waits for each layer when it comes to it.
  [[nodiscard]] virtual Status load(std::span<const HostCopy> copies) = 0;
  /// Of loads that have ended since it was last asked: pages, and the time they took. Not all of
  /// them need to be counted.
  struct Took {
    std::uint64_t pages = 0;
    double seconds = 0;
  };
  [[nodiscard]] virtual Took loads_took() = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual const BackendInfo& info() const = 0;
  /// A step has two halves, so that the host can make masks while a device runs the layers. This is
  /// the first: all that no mask decides, the batch and those of its rows that plans may name
  /// (rising, once each). Returns as soon as the rows are on their way. The batch outlives the
  /// step.
  ///
  /// A step that has begun is ended by finish(), or given up by the next begin() and by the
  /// backend's end; nothing but these and info() is called meanwhile (but see chooses_ahead()). A
  /// step that fails in either half (kExhausted, kInternal), or is given up, leaves the slots that
  /// it writes undefined, and nothing else. The batch and plans obey the rules above (checked by
  /// ESP_DCHECK). Engine thread only.
  [[nodiscard]] virtual Status begin(const Batch& batch, std::span<const std::uint32_t> wanted) = 0;
  /// The second half: what is wanted of the rows. Waits for the step's end and answers each plan,
  /// in order. Only after a begin() that succeeded.
  [[nodiscard]] virtual Result<std::vector<RowResult>> finish(std::span<const RowPlan> plans) = 0;
  /// Whether rows of the next step may name the plan (Row::chosen). Where it is never true a step's
  /// tokens must be known when it begins. Where it may be, all else may be called beside a step
  /// that has begun: what it does comes behind the step's first half, and touches no page of it.
  [[nodiscard]] virtual bool chooses_ahead(const RowPlan& /*plan*/) const { return false; }
  /// finish(), and begin() of the next step before the answers are waited for, so that a device
  /// need not wait for the host between the two. Rows that name a plan name one that
  /// chooses_ahead(). Where the next step cannot be begun, for lack of memory, because it is larger
  /// than those before it, or whatever else,
  /// the answers come all the same, and begin() is there to say why; where there are no answers it
  /// has not begun.
  [[nodiscard]] virtual Result<std::vector<RowResult>> finish_and_begin(
      std::span<const RowPlan> plans, NextStep& next) {
    next.begun = false;
    return finish(plans);
  }
  /// Whether a step failed because the device is gone for good: so will all that follow.
  [[nodiscard]] virtual bool lost() const { return false; }
  /// Freed pages are filled with NaN where a test asked for it, so that any later read shows.
  virtual void poison(PageId page) = 0;
  /// A page's page_bytes bytes out of the pool and into it, bit for bit. Not while a step runs.
  virtual void export_page(PageId page, std::span<std::byte> out) const = 0;
  virtual void import_page(PageId page, std::span<const std::byte> bytes) = 0;
  /// Null where the pool is host memory already. Lives as long as the backend.
  [[nodiscard]] virtual HostPages* host_pages() { return nullptr; }
};

}  // namespace espalier::runtime
