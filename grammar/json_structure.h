// The characters of a JSON text that stand outside its strings, in order: what tells its nesting
// and its members before anything is parsed. The text may be malformed; then they are only an upper
// bound on what a parser would see. O(n), no memory.
#pragma once

#include <cstddef>
#include <string_view>

namespace espalier {

/// `visit(c, offset)` for each; it ends the walk by giving false.
template <class Visit>
void for_each_outside_strings(std::string_view text, Visit visit) {
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (!visit(c, i)) {
      return;
    }
  }
}

}  // namespace espalier
