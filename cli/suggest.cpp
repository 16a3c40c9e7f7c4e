#include "cli/suggest.h"

#include "dsl/suggest.h"

namespace espalier::cli {

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  std::string best = dsl::suggest(word, known);
  if (best.empty() && word.size() >= 3) {
    for (const std::string& candidate : known) {
      if (candidate.size() > word.size() && candidate.starts_with(word)) {
        best = candidate;
        break;
      }
    }
  }
  return best.empty() ? std::string() : "; did you mean '" + best + "'?";
}

}  // namespace espalier::cli
