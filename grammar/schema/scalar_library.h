// Programs of scalars that many schemas share (any string, an integer, a date …), kept by
// vocabulary.
//
// Keyed by what the formula says, so two schemas with the same constraint share one program; the
// finished automata with it; those that are too large to finish stay each machine's own. JSON's
// standard scalars are terminals (terminal.h), which all machines share. Thread-safe; at most
// kEntries programs and kDfaBytes a vocabulary: for a further one those go that were not asked for
// the longest, but for what stays for good. A library goes with its vocabulary: its programs refer
// to the vocabulary without owning it, and whoever runs one owns it.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "grammar/program.h"
#include "grammar/schema/formula.h"
#include "grammar/schema/kept_formats.h"
#include "grammar/schema/scalar_combination.h"
#include "grammar/schema/scalar_dfa.h"
#include "grammar/schema/terminal.h"

namespace espalier::grammar {

class ScalarLibrary {
 public:
  static constexpr std::size_t kEntries = 512;
  static constexpr std::size_t kDfaBytes = std::size_t{64} << 20;  // of their finished automata
  static constexpr std::size_t kLongestKey =
      std::size_t{64} << 10;  // formats are regular expressions of some ten thousand bytes

  /// The vocabulary's library, made at the first call.
  static std::shared_ptr<ScalarLibrary> of(const VocabularyRef& vocabulary);

  /// Makes the terminals, and their pieces for the places that every schema comes by.
  explicit ScalarLibrary(const Vocabulary& vocabulary);
  /// Strings in any spelling, and in canonical spelling alone; nullptr where the vocabulary cannot
  /// be served that way.
  [[nodiscard]] const Terminal* string() const { return string_.get(); }
  [[nodiscard]] const Terminal* canonical_string() const { return canonical_string_.get(); }
  /// All scalars of `types`, where that is kNull, kBoolean, kInteger or kNumber; else nullptr.
  [[nodiscard]] const Terminal* terminal(JsonTypes types) const;

  /// What ScalarDfa::tokens() needs.
  [[nodiscard]] const ScalarDfa::Tables& tables() const { return tables_; }

  static constexpr std::size_t kDfaSteps = 8000;  // of an automaton that is made for one schema
  static constexpr std::size_t kFormatSteps = 40'000;   // of a large format's
  static constexpr std::size_t kCombinedStates = 4096;  // of one that others are combined to
  struct Entry {
    ProgramRef program;
    std::shared_ptr<const ScalarDfa> dfa;  // none: it would be too large
    // Instead of both: of parts that are too many states together. None of the three: no scalar
    // satisfies the formula.
    std::shared_ptr<const ScalarCombination> parts;
    [[nodiscard]] std::size_t held_bytes() const {  // where nobody else has it
      return (program != nullptr ? program->held_bytes() : 0) +
             (dfa != nullptr ? dfa->held_bytes() : 0);
    }
  };
  /// The first key that speaks of a format has what is kept of them on disk brought.
  std::optional<Entry> find(const std::string& key);
  /// False where it is not kept.
  bool add(const std::string& key, const Entry& entry);
  /// From now on, or no longer: what is found or added stays for good, a quarter of kEntries at
  /// most.
  void keep_for_good(bool keep);
  /// Has find() give what `file` kept, where it has nothing else; a form that does not hold is
  /// taken away again, and the file removed.
  void take(KeptFormats formats, TablesFile file);

 private:
  [[nodiscard]] std::optional<Entry> find_known(const std::string& key);
  [[nodiscard]] std::optional<Entry> find_kept(const std::string& key);
  void sort_by_bytes(const Vocabulary& vocabulary);
  void find_exits(const Vocabulary& vocabulary);

  std::unique_ptr<const Terminal> string_, canonical_string_, null_, boolean_, integer_, number_;
  std::vector<MaskTable> holding_;  // by byte
  Terminal::Piece quoted_exits_, bare_exits_;
  std::vector<TokenId> longer_;  // than ScalarDfa::kHorizon
  ScalarDfa::Tables tables_;
  std::mutex mutex_;
  struct Kept {
    Entry entry;
    std::size_t bytes = 0;
    std::list<const std::string*>::iterator used;  // end: it stays for good
  };
  void stay(Kept& kept);
  std::unordered_map<std::string, Kept> entries_;
  std::list<const std::string*> by_use_;  // keys, the last used first
  bool for_good_ = false;
  std::size_t staying_ = 0;
  std::size_t dfa_bytes_ = 0;
  std::atomic<bool> brought_ = false;  // what is kept on disk, or it is being brought
  struct Brought {
    KeptFormats formats;
    TablesFile file;
  };
  std::shared_ptr<const Brought> on_disk_;
  std::weak_ptr<const Vocabulary> vocabulary_;
};

/// What a formula without schema numbers says of scalars, the same for equal formulas of different
/// pools; nothing where it is longer than kLongestKey.
std::optional<std::string> scalar_key(const Formulas& formulas, FormulaId f);

}  // namespace espalier::grammar
