#include <algorithm>

#include "grammar/unicode_tables.h"

namespace espalier::grammar::unicode {

std::optional<std::span<const CodePointRange>> find(std::string_view name,
                                                    std::optional<Kind> kind) {
  const auto all = properties();
  auto it = std::lower_bound(
      all.begin(), all.end(), name,
      [](const Property& property, std::string_view wanted) { return property.name < wanted; });
  for (; it != all.end() && it->name == name; ++it) {
    if (kind ? it->kind == *kind : it->kind != Kind::kBinary)
      return ranges().subspan(it->first, it->count);
  }
  return std::nullopt;
}

}  // namespace espalier::grammar::unicode
