// A map from numbers to small plain values, made for many lookups: open addressing over one block,
// linear probing, at most three quarters full. Nothing is removed; none allocated before the first
// insert.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "grammar/hash.h"
#include "grammar/held_bytes.h"

namespace espalier::grammar {

template <class Value>
class NumberMap {
  static_assert(std::is_trivially_copyable_v<Value>);

 public:
  /// nullptr where there is none; valid up to the next insert.
  [[nodiscard]] const Value* find(std::uint64_t key) const {
    if (slots_.empty()) return nullptr;
    const Slot& slot = slots_[place(key)];
    return slot.used ? &slot.value : nullptr;
  }
  /// Sets the value of a key, known or not.
  void set(std::uint64_t key, Value value) { at(key) = value; }
  /// The value of a key, made where there is none; valid up to the next insert.
  Value& at(std::uint64_t key) {
    constexpr std::size_t kFirst = 8;
    if (slots_.empty()) slots_.resize(kFirst);
    std::size_t i = place(key);
    if (slots_[i].used) return slots_[i].value;
    if (4 * (size_ + 1) > 3 * slots_.size()) {
      std::vector<Slot> old(2 * slots_.size());
      old.swap(slots_);
      for (const Slot& slot : old) {
        if (slot.used) slots_[place(slot.key)] = slot;
      }
      i = place(key);
    }
    ++size_;
    slots_[i].key = key;
    slots_[i].used = true;
    return slots_[i].value;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(slots_); }

 private:
  struct Slot {
    std::uint64_t key = 0;
    Value value{};
    bool used = false;
  };
  // Where the key is, or belongs.
  [[nodiscard]] std::size_t place(std::uint64_t key) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = mix(0, key) & mask;
    while (slots_[i].used && slots_[i].key != key) i = (i + 1) & mask;
    return i;
  }

  std::vector<Slot> slots_;  // a power of two
  std::size_t size_ = 0;
};

}  // namespace espalier::grammar
