#include "grammar/vocabulary.h"

#include <algorithm>
#include <utility>

#include "grammar/token_slice.h"
#include "grammar/token_trie.h"

namespace espalier::grammar {

Result<std::shared_ptr<const Vocabulary>> Vocabulary::create(Spec spec) {
  const auto size = static_cast<std::int64_t>(spec.bytes.size());
  const auto check_end = [&](TokenId id) -> Status {
    if (id < 0 || id >= size) {
      return fail(ErrorCode::kInvalid, "vocabulary: end token " + std::to_string(id) +
                                           " is not in 0.." + std::to_string(size - 1));
    }
    return {};
  };
  if (spec.end_of_turn != kNoToken) ESP_TRY(check_end(spec.end_of_turn));
  for (const TokenId id : spec.also_end) ESP_TRY(check_end(id));
  if (std::all_of(spec.bytes.begin(), spec.bytes.end(),
                  [](const std::string& b) { return b.empty(); })) {
    return fail(ErrorCode::kInvalid, "vocabulary: no token has bytes");
  }
  return std::shared_ptr<const Vocabulary>(new Vocabulary(std::move(spec)));
}

Vocabulary::Vocabulary(Spec spec) : spec_(std::move(spec)) {
  // An end token stands for no bytes here, whatever its spelling: a grammar feeds it only to end a
  // hole.
  std::vector<std::string_view> bytes(spec_.bytes.begin(), spec_.bytes.end());
  std::vector<TokenId> ids;
  ids.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (!is_end(static_cast<TokenId>(i))) ids.push_back(static_cast<TokenId>(i));
  }
  trie_ = std::make_unique<const TokenTrie>(bytes, ids);
  longest_ = trie_->longest();
  ByteSet held;
  for (const TokenId id : ids) {
    const std::string_view token = this->bytes(id);
    for (const char c : token) held.add(static_cast<unsigned char>(c));
    if (token.size() == 1) single_.add(static_cast<unsigned char>(token[0]));
  }
  const ByteSet needed =
      ByteSet::range(0x20, 0x7E) | ByteSet::of("\n") | ByteSet::range(0x80, 0xBF);
  if (((held | needed) & ~single_).none()) json_ = single_;
}

Vocabulary::~Vocabulary() = default;

bool Vocabulary::is_end(TokenId id) const {
  if (id == kNoToken) return false;
  return id == spec_.end_of_turn ||
         std::find(spec_.also_end.begin(), spec_.also_end.end(), id) != spec_.also_end.end();
}

const TokenSlice* Vocabulary::slice(std::span<const std::pair<char32_t, char32_t>> ranges,
                                    std::optional<unsigned char> excluded) const {
  std::string key(1, excluded ? static_cast<char>(*excluded) : '\0');
  key += excluded ? '+' : '-';
  key.append(reinterpret_cast<const char*>(ranges.data()), ranges.size_bytes());
  const std::lock_guard lock(slices_mutex_);
  if (const auto known = slices_.find(key); known != slices_.end()) return known->second.get();
  if (slices_.size() == kSlices) return nullptr;
  if (characters_ == nullptr) characters_ = std::make_unique<const TokenCharacters>(*this);
  return slices_.emplace(std::move(key), TokenSlice::create(*this, *characters_, ranges, excluded))
      .first->second.get();
}

}  // namespace espalier::grammar
