// The pool of pages: which are free, how many nodes refer to each, how many of those protect it,
// and how far it is filled.
//
// refs: nodes whose page list has the page. The owners of one page lie on one path (pieces of a
// split, or a child that took the right to append), so the deepest of them is the last to write and
// the first to leave. pins: owners whose protected tokens reach into the page; a held page without
// pins is what eviction would give back. fill: slots claimed so far, the end of the deepest owner.
// A child that starts exactly there may append in place; any other branch takes a page of its own.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "radix_cache/memory_block.h"
#include "radix_cache/radix_cache.h"

namespace espalier::radix_cache {

class PagePool {
 public:
  explicit PagePool(std::uint32_t pages) : pages_(pages) {
    free_.reserve(pages);
    for (std::uint32_t page = pages; page-- > 0;) free_.push_back(page);
  }

  [[nodiscard]] bool empty() const { return free_.empty(); }
  [[nodiscard]] PageId take() {
    const PageId page = free_.back();
    free_.pop_back();
    pages_[page] = {1, 0, 0};
    ++held_;
    return page;
  }
  /// Takes back a page that nobody has written to: the next take() gives it out again.
  void put_first(PageId page) {
    ESP_CHECK(pages_[page].refs == 1 && pages_[page].pins == 0);
    pages_[page].refs = 0;
    --held_;
    free_.push_back(page);
  }
  void share(PageId page) { ++pages_[page].refs; }
  /// One owner fewer. True if that was the last and the page is free now.
  bool drop(PageId page) {
    ESP_CHECK(pages_[page].refs > 0);
    if (--pages_[page].refs > 0) return false;
    ESP_CHECK(pages_[page].pins == 0);
    --held_;
    free_.push_back(page);
    if (freed_ != nullptr) freed_(context_, page);
    return true;
  }
  void pin(PageId page) {
    if (pages_[page].pins++ == 0) ++pinned_;
  }
  void unpin(PageId page) {
    ESP_CHECK(pages_[page].pins > 0);
    if (--pages_[page].pins == 0) --pinned_;
  }
  void set_fill(PageId page, std::uint32_t slots) { pages_[page].fill = slots; }

  void fetch(PageId page) const { __builtin_prefetch(&pages_[page]); }

  [[nodiscard]] std::uint32_t refs(PageId page) const { return pages_[page].refs; }
  [[nodiscard]] std::uint32_t pins(PageId page) const { return pages_[page].pins; }
  [[nodiscard]] std::uint32_t fill(PageId page) const { return pages_[page].fill; }
  [[nodiscard]] std::uint32_t total() const { return static_cast<std::uint32_t>(pages_.size()); }
  [[nodiscard]] std::uint32_t free() const { return static_cast<std::uint32_t>(free_.size()); }
  [[nodiscard]] std::uint32_t held() const { return held_; }
  [[nodiscard]] std::uint32_t pinned() const { return pinned_; }
  [[nodiscard]] const std::vector<PageId>& free_list() const { return free_; }

  void on_free(void (*freed)(void* context, PageId page), void* context) {
    freed_ = freed;
    context_ = context;
  }

 private:
  struct Page {
    std::uint32_t refs = 0;
    std::uint32_t pins = 0;
    std::uint32_t fill = 0;
  };
  ZeroedArray<Page> pages_;
  std::vector<PageId> free_;
  std::uint32_t held_ = 0;    // pages that are not free, counted on their own
  std::uint32_t pinned_ = 0;  // pages with pins
  void (*freed_)(void* context, PageId page) = nullptr;
  void* context_ = nullptr;
};

}  // namespace espalier::radix_cache
