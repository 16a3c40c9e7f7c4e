// Token ids of the tree's edges, in buffers that the pieces of a split edge share.
//
// A node names a span (buffer, offset, length). A split gives both halves spans of the same buffer
// and moves no token. Memory is exact, not collected: the pieces of one buffer always lie on one
// path, each the parent of the next, so the piece that a leaf owns is the last one, and shortening
// or removing a leaf cuts the buffer at once. Hence the ids stored are exactly the ids in nodes
// (I10), and a buffer that shrinks to a quarter of its room gives the rest back.
//
// A buffer is one block, its books in front of its ids, so that a node reads its ids without
// asking anything else. It moves where it grows or gives room back: the calls that may do so say
// where it is now, and the caller tells the other pieces. Short buffers, of which a large tree has
// very many, are cells of an Arena, hence in large pages; there is one size of cells, so none is
// lost to those of other sizes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/token.h"
#include "radix_cache/arena.h"

namespace espalier::radix_cache {

/// Lives in a TokenStore; its ids follow it in memory.
struct TokenBuffer {
  std::uint32_t users;
  std::uint32_t size;      // ids
  std::uint32_t capacity;  // ids that there is room for

  [[nodiscard]] const TokenId* ids() const { return reinterpret_cast<const TokenId*>(this + 1); }
  [[nodiscard]] TokenId* ids() { return reinterpret_cast<TokenId*>(this + 1); }
};

class TokenStore {
 public:
  TokenStore() = default;
  TokenStore(const TokenStore&) = delete;
  TokenStore& operator=(const TokenStore&) = delete;
  ~TokenStore() { ESP_CHECK(blocks_ == 0); }

  /// A buffer with one user.
  [[nodiscard]] TokenBuffer* create(std::span<const TokenId> tokens) {
    const auto count = static_cast<std::uint32_t>(tokens.size());
    TokenBuffer* const buffer = count <= kCellIds ? take_cell() : resized(nullptr, count);
    buffer->users = 1;
    buffer->size = count;
    std::copy(tokens.begin(), tokens.end(), buffer->ids());
    size_ += count;
    return buffer;
  }
  void share(TokenBuffer& buffer) { ++buffer.users; }

  /// The caller's span must be the last of the buffer. Where the buffer is now.
  [[nodiscard]] TokenBuffer* append(TokenBuffer* buffer, std::span<const TokenId> tokens) {
    const auto count = static_cast<std::uint32_t>(tokens.size());
    if (buffer->capacity - buffer->size < count) {
      const std::uint32_t capacity = std::max(buffer->size + count, buffer->capacity * 2);
      buffer =
          is_cell(*buffer) ? moved(buffer, resized(nullptr, capacity)) : resized(buffer, capacity);
    }
    std::copy(tokens.begin(), tokens.end(), buffer->ids() + buffer->size);
    buffer->size += count;
    size_ += count;
    return buffer;
  }
  /// Cuts the buffer at `end`; nothing after it is used. Where the buffer is now.
  [[nodiscard]] TokenBuffer* cut(TokenBuffer* buffer, std::uint32_t end) {
    ESP_DCHECK(end <= buffer->size);
    size_ -= buffer->size - end;
    buffer->size = end;
    if (is_cell(*buffer) || end > buffer->capacity / 4) return buffer;
    return end <= kCellIds ? moved(buffer, take_cell()) : resized(buffer, end);
  }
  /// The last user of the buffer's end leaves; its span started at `offset`. Where the buffer is
  /// now: null where that was its only user.
  [[nodiscard]] TokenBuffer* release(TokenBuffer* buffer, std::uint32_t offset) {
    if (--buffer->users > 0) return cut(buffer, offset);
    ESP_DCHECK(offset == 0);
    size_ -= buffer->size;
    give_back(buffer);
    return nullptr;
  }

  /// One user fewer, whichever; without a word of where its span was. For the end of a tree.
  void drop(TokenBuffer* buffer) {
    if (--buffer->users == 0) give_back(buffer);
  }

  /// Token ids in all buffers.
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  // A page's ids and some more.
  static constexpr std::uint32_t kCellIds = 29;
  struct alignas(MemoryBlock::kLine) Cell {
    TokenBuffer head{};
    TokenId ids[kCellIds] = {};
  };
  static_assert(sizeof(Cell) == 128 && sizeof(TokenBuffer) == 12);
  // What is larger than a cell has room for more ids, so the room tells them apart.
  [[nodiscard]] static bool is_cell(const TokenBuffer& buffer) {
    return buffer.capacity == kCellIds;
  }

  [[nodiscard]] TokenBuffer* take_cell() {
    TokenBuffer* cell = nullptr;
    if (free_cells_.empty()) {
      cell = &cells_.emplace_back().head;
    } else {
      cell = free_cells_.back();
      free_cells_.pop_back();
    }
    cell->capacity = kCellIds;
    return cell;
  }
  [[nodiscard]] TokenBuffer* resized(TokenBuffer* buffer, std::uint32_t capacity) {
    const std::size_t bytes = sizeof(TokenBuffer) + std::size_t{capacity} * sizeof(TokenId);
    auto* const block = static_cast<TokenBuffer*>(std::realloc(buffer, bytes));
    if (block == nullptr) throw std::bad_alloc();
    if (buffer == nullptr) ++blocks_;
    block->capacity = capacity;
    return block;
  }
  [[nodiscard]] TokenBuffer* moved(TokenBuffer* from, TokenBuffer* to) {
    to->users = from->users;
    to->size = from->size;
    std::copy_n(from->ids(), from->size, to->ids());
    give_back(from);
    return to;
  }
  void give_back(TokenBuffer* buffer) {
    if (is_cell(*buffer)) {
      free_cells_.push_back(buffer);
    } else {
      std::free(buffer);
      --blocks_;
    }
  }

  Arena<Cell> cells_;
  std::vector<TokenBuffer*> free_cells_;
  std::size_t blocks_ = 0;  // buffers that are no cells
  std::size_t size_ = 0;
};

}  // namespace espalier::radix_cache
