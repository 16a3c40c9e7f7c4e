// The inputs of a job: text documents found by a pattern, or the rows of a .jsonl or .csv file.
//
// What is given        inputs                                        id of each
//   rows.jsonl         one a line; blank lines do not count          the row's "id" (text or
//                                                                    integer), else its line
//   rows.csv, .tsv     its records below the header (csv.h)          the text under "id", else the
//                                                                    line on which it begins
//   a folder           its files, sorted by name                     the path, as given and found
//   a pattern          the files it matches (* ? [a-z], in any       the path, as given and found
//                      part of the path; ** is any number of
//                      folders, links not followed), sorted by path
//
// Finding inputs reads no document; a document is read when its turn comes, so memory does not grow
// with the folder. A row's own trouble (not UTF-8, not JSON, not an object, too large, a link that
// leads nowhere, a pipe among files) is found by read() and costs that row alone; what makes the
// job as a whole meaningless (no input, two inputs with one id) is an error of open().
#pragma once

#include <atomic>
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
inline constexpr std::size_t kMaxFolders = 100;  // one in the other, below a **

/// One input, read.
struct Row {
  bool is_document = false;
  std::string document;   // a document's text, well-formed UTF-8
  Json fields;            // a row's object
  bool of_table = false;  // of a .csv: every field is a text, and an empty one may stand for none
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
  /// Reads one input. The error is the row's own, but for kCancelled: `stop` was raised while a
  /// pipe was read.
  [[nodiscard]] Result<Row> read(std::size_t index, System& system,
                                 const std::atomic<bool>* stop = nullptr) const;

 private:
  struct Entry {
    Json id;
    std::string path;       // of a document
    std::string_view line;  // of a row, or a table's record: into `rows_`
  };
  [[nodiscard]] static Result<Inputs> open_rows(const std::string& path, System& system);
  [[nodiscard]] static Result<Inputs> open_table(const std::string& path, System& system);
  /// The text of a file of rows, which `rows_` keeps.
  [[nodiscard]] Result<std::string_view> map_rows(const std::string& path, System& system);
  [[nodiscard]] Result<Row> read_record(std::string_view record) const;

  std::vector<Entry> entries_;
  std::shared_ptr<const Mapping> rows_;
  std::string rows_path_;
  std::vector<std::string> columns_;  // of a table
  char separator_ = ',';
  bool found_ = false;  // by a pattern or in a folder, not named by itself
};

/// The files that `pattern` matches, sorted. A part without * ? [ is taken as it is; ** stands for
/// any number of folders, none included, at most kMaxFolders deep (kLimit), and at the end for all
/// files below. kNotFound is no error here: the list is empty. Names that begin with "." match only
/// a part that begins with "." too.
[[nodiscard]] Result<std::vector<std::string>> glob(const std::string& pattern, System& system);

}  // namespace espalier::batch
