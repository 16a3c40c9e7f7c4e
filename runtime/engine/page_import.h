// How pages that a lower tier has become part of the tree: planned like rows to compute, filled by
// whoever has their bytes, and committed as if they had been computed.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "base/result.h"
#include "base/token.h"
#include "radix_cache/radix_cache.h"

namespace espalier::runtime {

/// Puts pages [first, last) of `path` into the tree, whose ready tokens must end in page `first`. A
/// page of which the tree has the head is filled whole: the head's bits are the same, whoever
/// computed them, and others may share it. `fill` is given the pages of the pool, in order, and
/// brings what belongs in them, or begins to: whatever reads them next must find it. Fewer pages
/// than asked for where the pool runs dry; none, and nothing is changed, where `fill` fails.
/// Returns how many.
[[nodiscard]] Result<std::size_t> import_pages(
    radix_cache::RadixCache& cache, radix_cache::Space space, std::span<const TokenId> path,
    std::size_t first, std::size_t last,
    const std::function<Status(std::span<const radix_cache::PageId>)>& fill);

}  // namespace espalier::runtime
