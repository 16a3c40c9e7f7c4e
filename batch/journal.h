// The journal of a job: its output file, which is also the record of what is done.
//
// OUT holds one row a line, {"id": …, "value": …} or {"id": …, "error": {"code", "message"}};
// OUT.job beside it holds the job's identity (program, model, arguments, sampling), so that rows of
// two different jobs never meet in a file. Ownership: a Journal owns both files while it is open,
// and holds OUT.lock, so that a second job on the same output is refused.
//
// The promises (tests/batch kill the job at every file operation and drop what was not synced):
//  1. A row that was synced is never lost and never run again; a killed process loses no row that
//  was appended.
//  2. Each id stands in OUT at most once, and exactly once when the job is over.
//  3. No torn row is ever taken for a row: opening copies what is whole into a new file (write,
//  sync, rename), which
//     also is the answer to a failed sync: after one, nothing in the old file is trusted to be on
//     the device.
//  4. While the job runs rows stand as they were completed; finish() puts them in the order of the
//  inputs, so a job's
//     output is byte for byte the same however often it was killed.
//
// Costs: append is one write; a sync at most every kSyncRows rows or kSyncSeconds. Opening reads
// OUT once; memory is an id and an extent a row.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "grammar/json.h"

namespace espalier::batch {

class Journal {
 public:
  static constexpr std::uint32_t kSyncRows = 64;
  static constexpr double kSyncSeconds = 1.0;

  struct Options {
    bool restart = false;       // throw away what an earlier job wrote, whatever its identity
    bool retry_failed = false;  // rows with an "error" count as not done
  };

  /// Opens or goes on with the job that writes `out`, or the file that a link there leads to.
  /// `identity` is an object; its members are compared one by one. Errors: kInvalid (another job's
  /// output, a file that no job wrote, a job that is writing it now; the message says what
  /// differs), kCorrupt, kExhausted (disk), kIo.
  [[nodiscard]] static Result<Journal> open(const std::string& out, const Json& identity,
                                            Options options, System& system);
  Journal(Journal&&) noexcept = default;
  Journal& operator=(Journal&&) noexcept = default;
  ~Journal() = default;

  [[nodiscard]] bool has(const Json& id) const;
  [[nodiscard]] std::uint64_t rows() const { return extents_.size(); }
  [[nodiscard]] std::uint64_t failed() const { return failed_; }
  /// Bytes of torn or unreadable rows that opening dropped; those rows run again.
  [[nodiscard]] std::uint64_t dropped_bytes() const { return dropped_; }

  /// Appends one row (an object with an "id" that is not there yet) as one write. After a failure
  /// the file is cut back to its last whole row if the system lets us, and the journal refuses
  /// further rows.
  [[nodiscard]] Status append(const Json& row);
  /// All is done: syncs, and puts rows in the order of `ids` (rows of other ids keep their order,
  /// after those).
  [[nodiscard]] Status finish(const std::vector<Json>& ids);
  /// The job stops early: syncs what is there.
  [[nodiscard]] Status pause();

 private:
  struct Extent {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;  // with its line break
    bool failed = false;
  };
  Journal(std::string path, System& system) : path_(std::move(path)), system_(&system) {}
  [[nodiscard]] Status adopt(const Json& stored_identity, bool retry_failed);
  [[nodiscard]] Status start_file(std::string_view content);
  [[nodiscard]] Status write_identity(bool finished);
  [[nodiscard]] Status sync();

  std::unique_ptr<FileLock> lock_;  // first: let go last
  std::string path_;
  System* system_;
  Json identity_;
  std::unique_ptr<OutputFile> file_;
  std::unordered_map<std::string, Extent> extents_;  // by the id as JSON
  std::vector<std::string> order_;                   // ids as they stand in the file
  std::uint64_t size_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint32_t unsynced_ = 0;
  System::Clock::time_point last_sync_;
  bool finished_ = false;  // the file is whole, synced and sorted, and OUT.job says so
  bool broken_ = false;
};

/// Where the identity stands.
[[nodiscard]] std::string identity_path(const std::string& out);
/// What a job holds while it writes `out`; gone when it ends.
[[nodiscard]] std::string lock_path(const std::string& out);

}  // namespace espalier::batch
