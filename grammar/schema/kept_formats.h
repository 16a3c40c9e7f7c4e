// The finished automata of JSON Schema's formats, as they are kept between runs (tables_file.h).
//
// What decides them is the bytes that are tokens, so vocabularies that have the same bytes share
// them, whatever else they have. The form: what code made it, of which bytes, then by rising key of
// the scalar library an automaton's steps (ScalarDfa::stored), then a digest of all before it. What
// is not whole, was changed in any bit, or is of other bytes or other code is as if it were not
// there. A digest can be forged, so all that is read is held against its limits once more, and
// whatever a file says, an automaton has texts of strings alone; a form with one that has not goes,
// whole.
//
// An automaton is made of its steps when a schema first names the format. Formats whose automaton
// cannot be finished are not in it. Immutable; thread-safe.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/schema/scalar_dfa.h"
#include "grammar/tables_file.h"

namespace espalier::grammar {

class ScalarLibrary;

class KeptFormats {
 public:
  static constexpr std::size_t kMost = 256;  // automata

  /// A digest of all of a vocabulary that decides the formats' automata.
  static std::uint64_t decided_by(const Vocabulary& vocabulary);
  /// Those that the vocabulary's library has finished.
  static std::string form(ScalarLibrary& library, const Vocabulary& vocabulary);
  /// Nothing where it is no form for this vocabulary.
  static std::optional<KeptFormats> of(std::string form, const Vocabulary& vocabulary);

  /// The automaton of that key, made anew; *whole becomes false where it is none.
  [[nodiscard]] std::shared_ptr<const ScalarDfa> find(std::string_view key,
                                                      const ScalarDfa::Tables& tables,
                                                      bool* whole) const;
  [[nodiscard]] std::vector<std::string> keys() const;

 private:
  struct Kept {
    std::string_view stored;
    bool prepared = false;  // what its tokens need of all states at once was made with it
  };

  std::unique_ptr<const std::string> form_;
  std::map<std::string_view, Kept> by_key_;  // parts of the form
};

/// Compiles a schema a format, so that the library has what can be made of them beforehand.
void make_formats(const VocabularyRef& vocabulary);  // json_schema.cpp
/// Gives the library what is kept of its vocabulary; where there is nothing that holds, but could
/// be, it makes all formats and keeps them.
void bring_formats(ScalarLibrary& library, const VocabularyRef& vocabulary);

}  // namespace espalier::grammar
