#include "runtime/engine/page_import.h"

#include <utility>
#include <vector>

#include "runtime/backend.h"

namespace espalier::runtime {

Result<std::size_t> import_pages(
    radix_cache::RadixCache& cache, radix_cache::Space space, std::span<const TokenId> path,
    std::size_t first, std::size_t last,
    const std::function<Status(std::span<const radix_cache::PageId>)>& fill) {
  radix_cache::Lease lease = cache.open(space);
  cache.extend(lease, path.first(last * kPageTokens), last * kPageTokens);
  const std::uint32_t ready = cache.ready(lease);
  if (ready / kPageTokens != first) return std::size_t{0};
  radix_cache::StepPlan plan;
  const auto rows = cache.plan(lease, plan, static_cast<std::uint32_t>(last * kPageTokens) - ready);
  // A pool runs dry where a page begins, so they end where one does. The plan's copies of a head
  // are not needed: what comes are whole pages.
  const std::size_t end = (ready + rows.size()) / kPageTokens;
  if (rows.size() == 0 || (ready + rows.size()) % kPageTokens != 0) {
    cache.abandon(plan);
    return std::size_t{0};
  }
  std::vector<radix_cache::PageId> pages;
  cache.page_table(lease, static_cast<std::uint32_t>(end * kPageTokens), pages);
  if (Status filled = fill(std::span(pages).subspan(first)); !filled) {
    cache.abandon(plan);
    return fail(std::move(filled).error());
  }
  cache.commit(plan);
  // What the pool had no room for goes with the lease's hold of it.
  cache.rollback(lease, static_cast<std::uint32_t>(end * kPageTokens));
  return end - first;
}

}  // namespace espalier::runtime
