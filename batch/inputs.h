// The inputs of a job: text documents found by a pattern, or the rows of a .jsonl file.
//
// What is given        inputs                                        id of each
//   rows.jsonl         one a line; blank lines do not count          the row's "id" (text or
//                                                                    integer), else its line
//   a folder           its files, sorted by name                     the path, as given and found
//   a pattern          the files it matches (* ? [a-z], in any       the path, as given and found
//                      part of the path), sorted by path
//
// Finding inputs reads no document; a document is read when its turn comes, so memory does not grow
// with the folder. A row's own trouble (not UTF-8, not JSON, not an object, too large, a link that
// leads nowhere, a pipe among files) is found by read() and costs that row alone; what makes the
// job as a whole meaningless (no input, two inputs with one id) is an error of open().
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "grammar/json.h"

namespace espalier::batch {

inline constexpr std::uint64_t kMaxDocumentBytes = 64u << 20;

/// One input, read.
struct Row {
  bool is_document = false;
  std::string document;  // a document's text, well-formed UTF-8
  Json fields;           // a row's object
};

class Inputs {
 public:
  /// Errors: kNotFound (nothing there, nothing matches), kInvalid (two rows with one id, an id of
  /// another type).
  [[nodiscard]] static Result<Inputs> open(const std::string& pattern, System& system);

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] const Json& id(std::size_t index) const { return entries_[index].id; }
  /// Documents, or rows with fields.
  [[nodiscard]] bool documents() const { return rows_ == nullptr; }
  /// True if `path` names one of the inputs' files.
  [[nodiscard]] bool reads(const std::string& path) const;
  /// Reads one input. The error is the row's own.
  [[nodiscard]] Result<Row> read(std::size_t index, System& system) const;

 private:
  struct Entry {
    Json id;
    std::string path;       // of a document
    std::string_view line;  // of a row: into `rows_`
  };
  [[nodiscard]] static Result<Inputs> open_rows(const std::string& path, System& system);

  std::vector<Entry> entries_;
  std::shared_ptr<const Mapping> rows_;
  std::string rows_path_;
  bool found_ = false;  // by a pattern or in a folder, not named by itself
};

/// The files that `pattern` matches, sorted. A part without * ? [ is taken as it is. kNotFound is
/// no error here: the list is empty. Names that begin with "." match only a part that begins with
/// "." too.
[[nodiscard]] Result<std::vector<std::string>> glob(const std::string& pattern, System& system);

}  // namespace espalier::batch
