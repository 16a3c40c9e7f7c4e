// KV pages on disk: append-only segment files in one folder, each record a page with the tokens it
// belongs to.
//
// A page is named by a chain of SHA-256 digests: of its 16 tokens and the name of the page before
// it; the first of a path hangs on the digest of fingerprint and space. Whoever reads gives name
// and tokens; both are compared, and the payload against its own digest, so what comes back is the
// page of exactly these tokens or nothing. The fingerprint says all that the bits depend on (model
// file, numerics, layout, type); a segment with another one, or of an unknown version, is passed
// over with a note.
//
//   segment: header (4,096 bytes: magic, version, page bytes, fingerprint, digest), then records of
//   one size record:  header (512 bytes: magic, index of the page, name before, name, tokens,
//   payload digest, digest), payload
//
// Crashes. Records are of one size, so a torn or damaged one costs itself alone (and what hangs on
// it). Nothing is ever written twice: a failed append or sync abandons the segment and begins
// another; after kMostFailures in a row writing ends, reading goes on. Every process writes
// segments of its own and reads those of all that were whole when it came, so several may share a
// folder. Beyond `limit` bytes the oldest segments are removed.
//
// Threads: one appends, any read; a mutex guards the index. Costs: opening reads a header a record;
// has() O(1); read and append O(page).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "base/token.h"

namespace espalier::runtime {

class PageStore {
 public:
  static constexpr std::size_t kTokens = 16;
  using Name = std::string;  // 64 hexadecimal digits
  using Tokens = std::span<const TokenId, kTokens>;
  using Note = std::function<void(const std::string& message)>;
  struct Options {
    std::string folder;
    std::string fingerprint;  // at most 2,048 bytes
    std::uint64_t page_bytes = 0;
    std::uint64_t limit = std::uint64_t{8} << 30;  // bytes of all segments with this fingerprint
    std::uint64_t segment = std::uint64_t{256} << 20;  // bytes at which a new segment begins
  };

  /// Makes the folder where it is missing and reads what is there. kInvalid: the path is no folder.
  /// A folder that cannot be written is read all the same. `note` is called for everything that is
  /// passed over, from whichever thread found it; it outlives the store.
  [[nodiscard]] static Result<std::unique_ptr<PageStore>> open(Options options, System& system,
                                                               Note note);

  [[nodiscard]] Name root(std::uint64_t space) const;
  [[nodiscard]] static Name next(const Name& before, Tokens tokens);

  [[nodiscard]] bool has(const Name& name) const;
  [[nodiscard]] std::size_t size() const;
  /// Fills `out` (page_bytes) with the page. kNotFound; kCorrupt where what is there is not it: it
  /// is forgotten then.
  [[nodiscard]] Status read(const Name& name, Tokens tokens, std::span<std::byte> out);
  /// Adds a page. Fails softly: the folder stays as good as it was, and the page is just not there.
  [[nodiscard]] Status append(const Name& before, const Name& name, Tokens tokens,
                              std::uint64_t index, std::span<const std::byte> page);
  /// What was appended is on the device.
  [[nodiscard]] Status sync();
  [[nodiscard]] bool writable() const { return failures_ < kMostFailures; }

 private:
  static constexpr int kMostFailures = 3;
  struct Segment {
    std::string path;
    std::uint64_t bytes = 0;  // whole records
    std::shared_ptr<const Mapping> mapping;
    bool gone = false;
  };
  struct Place {
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;
  };

  PageStore(Options options, System& system, Note note);
  void scan(const std::string& path);
  Status begin_segment();
  void make_room();
  Status failed(Status status);
  [[nodiscard]] std::uint64_t record_bytes() const;
  [[nodiscard]] std::string segment_header() const;

  Options options_;
  System& system_;
  Note note_;
  mutable std::mutex mutex_;  // segments_ and index_
  std::vector<Segment> segments_;
  std::unordered_map<Name, Place> index_;
  std::unique_ptr<OutputFile> file_;  // the last of segments_, while it is good
  std::uint32_t written_ = 0;         // segments begun by this process
  int failures_ = 0;                  // in a row
};

}  // namespace espalier::runtime
