// How many bytes values hold beside themselves: what their containers have taken of the heap, with
// what an allocator takes around a block. Room that is not used counts too, so it is what would be
// free again without them, not what they would need at least.
//
// A class says it by a member held_bytes(); what standard containers and those here hold is found
// by their kind. A std::shared_ptr holds nothing by itself: only the owner knows who else does.
// Of a container's elements that may hold something kLookedAt at most are looked at, evenly over it
// where it lets itself be entered anywhere, and stand for the rest: counting a grammar that holds
// much is part of a mask's time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "grammar/json.h"

namespace espalier::grammar {

/// Of a block of so many bytes: none for none, else a multiple of 16 with a word before it.
[[nodiscard]] constexpr std::size_t block_bytes(std::size_t size) {
  return size == 0 ? 0 : std::max<std::size_t>(32, (size + 8 + 15) / 16 * 16);
}

template <class T>
concept CountsItself = requires(const T& value) {
  { value.held_bytes() } -> std::convertible_to<std::size_t>;
};
template <class T>
inline constexpr bool kIsPair = false;
template <class A, class B>
inline constexpr bool kIsPair<std::pair<A, B>> = true;
template <class T>
inline constexpr bool kIsUnique = false;
template <class T, class D>
inline constexpr bool kIsUnique<std::unique_ptr<T, D>> = !std::is_array_v<T>;
template <class T>
inline constexpr bool kIsShared = false;
template <class T>
inline constexpr bool kIsShared<std::shared_ptr<T>> = true;

/// Of a JSON value of any depth.
[[nodiscard]] std::size_t held_bytes_of_json(const Json& value);

/// Elements of a container that are looked at.
inline constexpr std::size_t kLookedAt = 1024;

/// The sum of of(element) over a container's elements, by kLookedAt of them where there are more.
/// Always the same for the same container.
template <class T, class Of>
[[nodiscard]] std::size_t sum_over(const T& container, const Of& of) {
  const std::size_t size = container.size();
  std::size_t sum = 0, looked = 0;
  if constexpr (
      requires { container[size]; } && !requires { typename T::mapped_type; }) {
    looked = std::min(size, kLookedAt);
    for (std::size_t i = 0; i < looked; ++i) sum += of(container[i * size / looked]);
  } else if constexpr (requires { container.bucket_count(); }) {
    if (size <= kLookedAt) {
      for (const auto& element : container) sum += of(element);
      return sum;
    }
    const std::size_t buckets = container.bucket_count();
    const std::size_t entered = std::min(buckets, kLookedAt);
    for (std::size_t i = 0; i < entered; ++i) {
      const std::size_t bucket = i * buckets / entered;
      for (auto at = container.begin(bucket); at != container.end(bucket); ++at, ++looked) {
        sum += of(*at);
      }
    }
  } else {
    for (const auto& element : container) {
      if (looked == kLookedAt) break;
      sum += of(element);
      ++looked;
    }
  }
  return looked == 0
             ? 0
             : static_cast<std::size_t>(static_cast<double>(sum) / static_cast<double>(looked) *
                                        static_cast<double>(size));
}

template <class T>
[[nodiscard]] std::size_t held_bytes(const T& value) {
  if constexpr (CountsItself<T>) {
    return value.held_bytes();
  } else if constexpr (std::is_trivially_copyable_v<T> || kIsShared<T>) {
    return 0;
  } else if constexpr (std::is_same_v<T, Json>) {
    return held_bytes_of_json(value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return value.capacity() > std::string().capacity() ? block_bytes(value.capacity() + 1) : 0;
  } else if constexpr (kIsPair<T>) {
    return held_bytes(value.first) + held_bytes(value.second);
  } else if constexpr (kIsUnique<T>) {
    return value == nullptr ? 0 : block_bytes(sizeof *value) + held_bytes(*value);
  } else if constexpr (requires { value.has_value(); }) {
    return value ? held_bytes(*value) : 0;
  } else {
    using Element = typename T::value_type;
    std::size_t out = 0;
    if constexpr (requires { value.bucket_count(); }) {  // a node an element, with its hash
      constexpr bool kFast = std::is_integral_v<typename T::key_type>;
      constexpr std::size_t kNode = sizeof(void*) + (kFast ? 0 : sizeof(std::size_t));
      out = value.size() * block_bytes(kNode + sizeof(Element));
      if (value.bucket_count() > 1) out += block_bytes(value.bucket_count() * sizeof(void*));
    } else if constexpr (requires { typename T::mapped_type; }) {  // a tree
      out = value.size() * block_bytes(4 * sizeof(void*) + sizeof(Element));
    } else if constexpr (requires { value.capacity(); }) {
      out = block_bytes(value.capacity() * sizeof(Element));
    } else {  // a deque: blocks of 512 bytes, or of an element, and a table of them
      constexpr std::size_t kBlock = std::max<std::size_t>(512, sizeof(Element));
      constexpr std::size_t kEach = kBlock / sizeof(Element);
      const std::size_t blocks = value.size() / kEach + 1;
      out = blocks * block_bytes(kBlock) + block_bytes(std::max<std::size_t>(8, blocks) * 8);
    }
    if constexpr (!std::is_trivially_copyable_v<Element>) {
      out += sum_over(value, [](const Element& element) { return held_bytes(element); });
    }
    return out;
  }
}

/// The sum of several.
template <class... T>
[[nodiscard]] std::size_t held_by_all(const T&... values) {
  return (std::size_t{0} + ... + held_bytes(values));
}

}  // namespace espalier::grammar
