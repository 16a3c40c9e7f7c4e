// Programs of scalars that many schemas share (any string, an integer, a date …), kept by
// vocabulary.
//
// Keyed by what the formula says, so two schemas with the same constraint share one program; the
// automata over it stay each machine's own. Thread-safe; at most kEntries programs a vocabulary,
// further ones are simply not kept. A library goes with its vocabulary: its programs refer to the
// vocabulary without owning it, and whoever runs one owns it.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "grammar/program.h"
#include "grammar/schema/formula.h"

namespace espalier::grammar {

class ScalarLibrary {
 public:
  static constexpr std::size_t kEntries = 512;
  static constexpr std::size_t kLongestKey = 512;

  /// The vocabulary's library, made at the first call.
  static std::shared_ptr<ScalarLibrary> of(const VocabularyRef& vocabulary);

  struct Entry {
    ProgramRef program;  // none: no scalar satisfies the formula
    std::string closing;
  };
  std::optional<Entry> find(const std::string& key);
  void add(const std::string& key, Entry entry);

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
};

/// What a formula without schema numbers says of scalars, the same for equal formulas of different
/// pools; nothing where it is longer than kLongestKey.
std::optional<std::string> scalar_key(const Formulas& formulas, FormulaId f);

}  // namespace espalier::grammar
