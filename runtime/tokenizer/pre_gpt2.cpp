// GPT-2's pieces: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
#include "runtime/tokenizer/pre_tokenizer.h"
#include "runtime/tokenizer/unicode.h"

namespace espalier::runtime::internal {
namespace {

// Length of the contraction at `at`, or 0.
std::size_t contraction(std::string_view text, std::size_t at) {
  static constexpr std::string_view kForms[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
  for (const auto form : kForms) {
    if (text.substr(at, form.size()) == form) return form.size();
  }
  return 0;
}

}  // namespace

void split_gpt2(std::string_view text, std::size_t base, std::vector<std::size_t>& ends) {
  std::size_t at = 0;
  while (at < text.size()) {
    if (text[at] == '\'') {
      if (const std::size_t length = contraction(text, at); length > 0) {
        at += length;
        ends.push_back(base + at);
        continue;
      }
    }
    // A run of one class, with the single space before it where there is one.
    const std::size_t first = at + (text[at] == ' ' && at + 1 < text.size() ? 1 : 0);
    const Scanned head = scan(text, first);
    if (head.kind != CharClass::kSpace) {
      at = first + head.length;
      while (at < text.size()) {
        const Scanned next = scan(text, at);
        if (next.kind != head.kind) break;
        at += next.length;
      }
      ends.push_back(base + at);
      continue;
    }
    // White space: all of it at the text's end; else its last character belongs to what follows, or
    // stands alone.
    std::size_t last = at;
    std::size_t end = at;
    while (end < text.size()) {
      const Scanned next = scan(text, end);
      if (next.kind != CharClass::kSpace) break;
      last = end;
      end += next.length;
    }
    at = end < text.size() && last > at ? last : end;
    ends.push_back(base + at);
  }
}

}  // namespace espalier::runtime::internal
