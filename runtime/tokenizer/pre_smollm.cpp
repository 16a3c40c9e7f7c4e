// SmolLM's and StarCoder's pieces: every \p{N} by itself, and GPT-2's pieces of what lies between
// them.
#include "runtime/tokenizer/pre_tokenizer.h"
#include "runtime/tokenizer/unicode.h"

namespace espalier::runtime::internal {

void split_smollm(std::string_view text, std::size_t base, std::vector<std::size_t>& ends) {
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Scanned next = scan(text, at);
    const std::size_t end = at + next.length;
    if (next.kind == CharClass::kNumber) {
      split_gpt2(text.substr(start, at - start), base + start, ends);
      ends.push_back(base + end);
      start = end;
    }
    at = end;
  }
  split_gpt2(text.substr(start), base + start, ends);
}

}  // namespace espalier::runtime::internal
