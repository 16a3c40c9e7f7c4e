// SpanSource: a text that spans copy from, ready to be walked byte by byte.
//
// A span is what stands in the text from the beginning of one word to the end of one, white space
// of any length as one space. Words begin and end where letters, digits and anything else meet:
// each other character is a word of its own, and so is a letter of a script that is written without
// spaces (Han, Kana, Thai, …). Marks stay with the letter they stand on.
//
// Walking needs no automaton of its own: the places where words begin are sorted by the text that
// follows them (a sparse suffix array), so "what has been read so far" is a range of that array and
// a depth, and reading a byte narrows the range (Manber and Myers, "Suffix arrays", 1990). A plain
// suffix automaton would have states from which no word's end is reached.
//
// Immutable, shared between threads. Memory: 12 bytes or less a byte of the text, for each of the
// two spellings. Limits: kLongestText bytes; a span has at most kLongestSpan bytes as it is
// spelled.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "grammar/byte_set.h"

namespace espalier::grammar {

/// The text in one spelling, and where words begin and end in it.
class SourceWords {
 public:
  static constexpr std::uint32_t kNever = UINT32_MAX;
  /// What has been read: the words that begin in the same way, and how far.
  struct Place {
    std::uint32_t first = 0;  // [first, last) of the sorted beginnings
    std::uint32_t last = 0;
    std::uint32_t depth = 0;  // bytes read
    friend bool operator==(const Place&, const Place&) = default;
  };

  /// `begins` and `ends` are rising offsets into `bytes`. O(n log n) comparisons.
  SourceWords(std::string bytes, std::vector<std::uint32_t> begins,
              const std::vector<std::uint32_t>& ends);

  [[nodiscard]] Place start() const { return {0, static_cast<std::uint32_t>(begins_.size()), 0}; }
  /// The place after one more byte; nothing where no span goes on that way. O(log n), and O(its
  /// words) for looking whether one can end.
  [[nodiscard]] std::optional<Place> step(const Place& from, unsigned char byte) const;
  /// A word ends here.
  [[nodiscard]] bool accepting(const Place& at) const { return closing_size(at) == 0; }
  /// Bytes to the nearest end of a word; kNever where there is none. O(words of the place).
  [[nodiscard]] std::uint32_t closing_size(const Place& at) const { return nearest(at).second; }
  /// Those bytes. What remains after the first of them is the closing of the place after it.
  [[nodiscard]] std::string_view closing(const Place& at) const;
  [[nodiscard]] ByteSet next_bytes(const Place& at) const;
  /// Every byte of the text.
  [[nodiscard]] const ByteSet& alphabet() const { return alphabet_; }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  [[nodiscard]] std::uint32_t begin(std::uint32_t index) const { return begins_[index]; }

 private:
  [[nodiscard]] std::pair<std::uint32_t, std::uint32_t> nearest(const Place& at) const;

  std::string bytes_;
  std::vector<std::uint32_t> begins_;    // sorted by what follows
  std::vector<std::uint32_t> next_end_;  // by offset: the first word's end from there on
  ByteSet alphabet_;
};

class SpanSource {
 public:
  static constexpr std::size_t kLongestText = std::size_t{1} << 20;  // bytes
  static constexpr std::size_t kLongestSpan = 4096;                  // bytes
  static constexpr std::size_t kMostPlaces = 100;                    // that find() lists

  /// kLimit where `text` (well-formed UTF-8) is longer than kLongestText. A text without words is
  /// no failure: no span fits it.
  static Result<std::shared_ptr<const SpanSource>> create(std::string_view text);

  [[nodiscard]] bool empty() const { return plain_->bytes().empty(); }
  [[nodiscard]] const std::shared_ptr<const SourceWords>& words(bool json) const {
    return json ? json_ : plain_;
  }

  /// Where `span` stands: its first character and the one after its last, counted in code points of
  /// the text as it was given; rising, at most kMostPlaces. Empty where it is no span of the text.
  [[nodiscard]] std::vector<std::pair<std::uint32_t, std::uint32_t>> find(
      std::string_view span) const;

 private:
  SpanSource() = default;

  std::shared_ptr<const SourceWords> plain_, json_;
  std::vector<std::uint32_t> origin_;  // by byte of the plain words: the code point of the text
};

using SpanSourceRef = std::shared_ptr<const SpanSource>;

}  // namespace espalier::grammar
