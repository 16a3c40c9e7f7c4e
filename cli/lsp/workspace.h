// The documents that an editor holds open, what the language has to say about them, and the files
// that they use.
//
// A document's text counts before the file on disk, also where another one uses it. Analyses are
// made when they are asked for and kept until the document or a file that it used changes. Not for
// several threads. Limits: kMaxDocument bytes a document, kMaxDocuments of them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "cli/lsp/message.h"
#include "cli/lsp/text_position.h"
#include "dsl/automaton_findings.h"
#include "dsl/symbols.h"

namespace espalier::cli::lsp {

inline constexpr std::size_t kMaxDocument = 32u << 20;
inline constexpr std::size_t kMaxDocuments = 1000;
// What is looked through for files that nobody opened.
inline constexpr std::size_t kMaxFolderEntries = 20'000;
inline constexpr std::size_t kMaxFolderFiles = 1000;

struct Document {
  std::string uri;   // as the client wrote it
  std::string path;  // where it is, or would be, on disk; its name in messages
  std::string text;
  std::optional<std::int64_t> version;
  std::shared_ptr<const dsl::Analysis> analysis;  // null: to be made
  bool published = false;                         // what is known of this text was told
};

/// A symbol as one program sees it.
struct Sighting {
  const dsl::Analysis* analysis = nullptr;
  std::uint32_t file = 0;  // of the definition, among the program's sources
  std::uint32_t symbol = 0;
};

/// The diagnostics of one file, for `textDocument/publishDiagnostics`.
struct Publication {
  std::string uri;
  std::optional<std::int64_t> version;
  Json diagnostics;
};

class Workspace {
 public:
  explicit Workspace(System& system) : system_(system) {}

  void set_encoding(Encoding encoding) { encoding_ = encoding; }
  [[nodiscard]] Encoding encoding() const { return encoding_; }

  [[nodiscard]] Status open(const std::string& uri, std::optional<std::int64_t> version,
                            std::string text);
  /// Applies `contentChanges` in order. On an error the document stays as it was.
  [[nodiscard]] Status change(const std::string& uri, std::optional<std::int64_t> version,
                              const In& changes);
  void close(const std::string& uri);
  /// Files on disk may have changed.
  void forget_files();

  /// The open document, analyzed; null where it is not open.
  [[nodiscard]] Document* document(const std::string& uri);
  [[nodiscard]] std::vector<Document*> documents();
  /// A folder whose programs are looked through for names, also those that are not open.
  void add_folder(const std::string& uri);
  /// `symbol` of `analysis` in every program that has the file of its definition: the open ones,
  /// and those of the folders (of the definition's own where none was told). Reads the folders
  /// anew: O(their programs that hold the name). Valid until the next call or change.
  [[nodiscard]] std::vector<Sighting> sightings(const dsl::Analysis& analysis,
                                                const dsl::Symbol& symbol);

  /// What has to be told since the last call.
  [[nodiscard]] std::vector<Publication> publications();

  /// The URI of a source of an analysis: the client's own where it is open.
  [[nodiscard]] std::string uri_of(const std::string& path) const;
  /// Reads what programs name: open documents, then files.
  [[nodiscard]] dsl::ReadFile reader() const;
  /// What analyses here have found of automata.
  [[nodiscard]] dsl::AutomatonFindings& findings() { return findings_; }
  /// {"uri", "range"}
  [[nodiscard]] Json location(const dsl::Program& program, const dsl::Span& span) const;

 private:
  void analyze(Document& document);
  void changed(const std::string& path);
  [[nodiscard]] std::vector<std::string> unopened(const std::string& definition) const;

  System& system_;
  Encoding encoding_ = Encoding::kUtf16;
  std::map<std::string, Document> documents_;  // by path
  std::map<std::string, Json> published_;      // by URI: what the client shows and is not empty
  dsl::AutomatonFindings findings_;            // of all documents, from one analysis to the next
  std::vector<std::string> folders_;           // paths
  std::vector<std::shared_ptr<const dsl::Analysis>> visited_;  // of files that are not open
};

}  // namespace espalier::cli::lsp
