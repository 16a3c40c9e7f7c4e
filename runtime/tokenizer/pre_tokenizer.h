// Pre-tokenizers: how a text falls into the pieces inside which a byte-pair tokenizer merges.
//
// A model file names its pre-tokenizer (tokenizer.ggml.pre). Each is one regular expression or a
// sequence of them: the first cuts the text into its matches and what lies between them, the next
// cuts each of those pieces again. The expressions are matched by hand (word_pattern.h,
// pre_patterns.h) and split exactly as those that the vocabulary was trained with; a whole split is
// linear for any bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::runtime {

class PreTokenizer {
 public:
  /// The length of the match that starts at `at` (which lies inside `piece`), or 0.
  using Pattern = std::size_t (*)(std::string_view piece, std::size_t at);

  constexpr PreTokenizer(std::string_view family, std::span<const Pattern> stages,
                         bool whole_pieces = false, bool add_bos = false)
      : family_(family), stages_(stages), whole_pieces_(whole_pieces), add_bos_(add_bos) {}

  /// Appends the end of each piece. Pieces are not empty and together are all of `text`.
  void split(std::string_view text, std::vector<std::size_t>& ends) const;

  /// The best-known name of those that mean this one.
  [[nodiscard]] std::string_view family() const { return family_; }
  /// A piece that is a token is that token, whether or not merges lead to it (tokenizer.json calls
  /// it ignore_merges).
  [[nodiscard]] bool whole_pieces() const { return whole_pieces_; }
  /// Whether its models want bos where the file does not say.
  [[nodiscard]] bool add_bos() const { return add_bos_; }

 private:
  std::string_view family_;
  std::span<const Pattern> stages_;
  bool whole_pieces_;
  bool add_bos_;
};

/// nullptr where the name is not known.
[[nodiscard]] const PreTokenizer* find_pre_tokenizer(std::string_view name);
/// The names that are.
[[nodiscard]] std::vector<std::string_view> pre_tokenizer_names();
/// Those of different rules, for messages: "gpt-2, starcoder, ...".
[[nodiscard]] std::string pre_tokenizer_families();

}  // namespace espalier::runtime
