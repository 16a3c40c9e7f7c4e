#include "grammar/mask_row.h"

#include <iterator>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace espalier::grammar {
namespace {

using Words = std::vector<std::uint64_t>;

struct Rows {
  std::mutex mutex;
  std::unordered_multimap<std::size_t, std::weak_ptr<const Words>> by_hash;

  // Never destroyed: rows may outlive what is destroyed at the program's end.
  static Rows& all() {
    static Rows* const rows = new Rows;
    return *rows;
  }
  void forget(std::size_t hash) {
    const std::lock_guard lock(mutex);
    const auto [first, last] = by_hash.equal_range(hash);
    for (auto it = first; it != last;)
      it = it->second.expired() ? by_hash.erase(it) : std::next(it);
  }
};

}  // namespace

std::size_t hash_of_row(const Words& words) {
  std::uint64_t h[4] = {1, 2, 3, 4};
  for (std::size_t w = 0; w < words.size(); ++w) {
    h[w % 4] = (h[w % 4] ^ words[w]) * 0x9E3779B97F4A7C15ULL;
    h[w % 4] ^= h[w % 4] >> 29;
  }
  return h[0] ^ (h[1] << 1) ^ (h[2] << 2) ^ (h[3] << 3);
}

MaskRow shared_row(Words words) {
  const std::size_t hash = hash_of_row(words);
  // These end behind the lock, which a row's end takes.
  const MaskRow made(new Words(std::move(words)), [hash](const Words* row) {
    delete row;
    Rows::all().forget(hash);
  });
  std::vector<MaskRow> others;
  Rows& rows = Rows::all();
  const std::lock_guard lock(rows.mutex);
  const auto [first, last] = rows.by_hash.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    MaskRow known = it->second.lock();
    if (known == nullptr) continue;
    if (*known == *made) return known;
    others.push_back(std::move(known));
  }
  rows.by_hash.emplace(hash, made);
  return made;
}

}  // namespace espalier::grammar
