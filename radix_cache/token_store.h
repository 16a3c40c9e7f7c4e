// Token ids of the tree's edges, in buffers that the pieces of a split edge share.
//
// A node names a span (buffer, offset, length). A split gives both halves spans of the same buffer
// and moves no token. Memory is exact, not collected: the pieces of one buffer always lie on one
// path, in order, so the piece that a leaf owns is the last one, and shortening or removing a leaf
// cuts the buffer at once. Hence the ids stored are exactly the ids in nodes (I10), and a buffer
// that shrinks to a quarter of its capacity gives the rest back.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/token.h"

namespace espalier::radix_cache {

class TokenStore {
 public:
  using BufferId = std::uint32_t;

  /// A buffer with one user.
  [[nodiscard]] BufferId create(std::span<const TokenId> tokens) {
    BufferId id = static_cast<BufferId>(buffers_.size());
    if (free_.empty()) {
      buffers_.emplace_back();
    } else {
      id = free_.back();
      free_.pop_back();
    }
    buffers_[id].tokens.assign(tokens.begin(), tokens.end());
    buffers_[id].users = 1;
    size_ += tokens.size();
    return id;
  }
  void share(BufferId id) { ++buffers_[id].users; }

  /// The caller's span must be the last of the buffer.
  void append(BufferId id, std::span<const TokenId> tokens) {
    auto& out = buffers_[id].tokens;
    out.insert(out.end(), tokens.begin(), tokens.end());
    size_ += tokens.size();
  }
  /// Cuts the buffer at `end`; nothing after it is used.
  void cut(BufferId id, std::uint32_t end) {
    auto& tokens = buffers_[id].tokens;
    ESP_DCHECK(end <= tokens.size());
    size_ -= tokens.size() - end;
    tokens.resize(end);
    if (tokens.capacity() >= 64 && tokens.size() * 4 <= tokens.capacity()) tokens.shrink_to_fit();
  }
  /// The last user of the buffer's end leaves; its span started at `offset`.
  void release(BufferId id, std::uint32_t offset) {
    cut(id, offset);
    if (--buffers_[id].users > 0) return;
    ESP_DCHECK(offset == 0);
    buffers_[id].tokens = {};
    free_.push_back(id);
  }

  [[nodiscard]] const TokenId* at(BufferId id, std::uint32_t offset) const {
    return buffers_[id].tokens.data() + offset;
  }
  [[nodiscard]] std::uint32_t end(BufferId id) const {
    return static_cast<std::uint32_t>(buffers_[id].tokens.size());
  }
  [[nodiscard]] std::uint32_t users(BufferId id) const { return buffers_[id].users; }
  /// Token ids in all buffers.
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Buffer {
    std::vector<TokenId> tokens;
    std::uint32_t users = 0;
  };
  std::vector<Buffer> buffers_;
  std::vector<BufferId> free_;
  std::size_t size_ = 0;
};

}  // namespace espalier::radix_cache
