// A job: one program over many inputs, several at a time, each answer written to the journal as it
// comes.
//
// The job knows no model: what runs a row is a function, called from `parallel` threads at once.
// One bad row costs that row: its error is its answer. What stops the job as a whole is the journal
// (disk), what runs the rows where it is gone for good (a device that is lost) and the caller
// (stop()); rows in flight then end unwritten, and the same command goes on from there.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "base/result.h"
#include "base/system.h"
#include "batch/inputs.h"
#include "batch/journal.h"
#include "grammar/json.h"

namespace espalier::batch {

/// The value for one input, or why there is none. kCancelled means "not run": nothing is written
/// for the row.
using RowFunction = std::function<Result<Json>(const Row&)>;

struct JobProgress {
  std::uint64_t total = 0;
  std::uint64_t done = 0;    // with those of earlier runs
  std::uint64_t failed = 0;  // of those
};

struct JobOptions {
  unsigned parallel = 8;
  std::function<void(const JobProgress&)>
      on_row;  // after each row, under the job's lock; may be empty
  std::function<void()>
      cancel_rows;  // ends the rows in flight (they give kCancelled); may be empty
  /// Whether a row's error is not its own, for no row can run any more: the job ends with it. May
  /// be empty.
  std::function<bool(const Error&)> ends_job = {};
};

struct JobReport {
  std::uint64_t total = 0;   // inputs
  std::uint64_t kept = 0;    // of them done by earlier runs
  std::uint64_t ran = 0;     // rows written by this run
  std::uint64_t failed = 0;  // rows in the output that have an error
  bool cancelled = false;    // stopped before all was done
};

/// Runs every input that the journal does not have. `stop` may be set from any thread or signal
/// handler; the caller must also end the rows in flight. Errors are the journal's, or of what runs
/// the rows (JobOptions::ends_job); what was written stays.
[[nodiscard]] Result<JobReport> run_job(const Inputs& inputs, Journal& journal,
                                        const RowFunction& run_row, const JobOptions& options,
                                        const std::atomic<bool>& stop, System& system);

}  // namespace espalier::batch
