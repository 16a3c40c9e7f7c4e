// A workload on an engine: what was computed of what it asked for, how long its requests waited,
// and what the best possible sharing would have computed.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "base/token.h"
#include "cli/command.h"
#include "cli/workload.h"
#include "grammar/program.h"
#include "runtime/device.h"
#include "runtime/engine/engine.h"
#include "runtime/model/model.h"

namespace espalier::cli {

/// A workload in a model's ids: made once, run several times.
struct EncodedWorkload {
  struct Request {
    std::vector<TokenId> text;
    std::uint32_t max_tokens = 0;
    grammar::GrammarRef grammar;         // null: free text
    std::vector<std::size_t> followers;  // requests that come after this one
  };
  struct Program {
    std::string id;
    std::vector<Request> requests;
    std::vector<std::size_t> first;  // requests that come after none
  };
  std::vector<Program> programs;
  std::uint32_t longest = 0;  // ids that the longest path may have
};

/// Errors: a text that the vocabulary cannot spell, a schema that is refused, a path longer than
/// the model's context; each names the program and the request.
[[nodiscard]] Result<EncodedWorkload> encode_workload(const Workload& workload,
                                                      const runtime::Model& model);

struct SharingOptions {
  bool cache = true;              // off: each request computes its whole path
  bool draft = true;              // off: no token is guessed
  runtime::BackendOptions on;     // its pool is not looked at
  std::size_t engines = 1;        // side by side
  std::uint64_t pool_tokens = 0;  // of all engines together; 0: the backends' own pools
  std::size_t at_once = 0;        // programs that run together; 0: all of them
};

struct SharingRun {
  struct Answer {
    std::vector<TokenId> prompt;  // the path up to the answer
    std::vector<TokenId> ids;
    double first_token_seconds =
        0;  // from when it could begin: its program was started and what it comes after had ended
  };
  std::vector<std::vector<Answer>> answers;  // by program and request
  double seconds = 0;                        // of all programs; without the loading of weights
  runtime::Stats stats;
};

/// Runs all programs, greedily. Errors: kCancelled (the interrupt), or the engine's own.
[[nodiscard]] Result<SharingRun> run_workload(const EncodedWorkload& workload,
                                              const std::shared_ptr<const runtime::Model>& model,
                                              const SharingOptions& options, Context& context);

/// What prompts share, whatever the order and the room. A token counts by its path from the root.
/// Computed from the paths of one run.
struct SharingLimit {
  std::uint64_t prompt_tokens = 0;  // of all requests, paths in full
  std::uint64_t must_compute =
      0;                       // distinct among them, less those that an answer's decoding computes
  std::uint64_t distinct = 0;  // with the answers: what a pool that forgets nothing holds
};
[[nodiscard]] SharingLimit sharing_limit(const SharingRun& run);

}  // namespace espalier::cli
