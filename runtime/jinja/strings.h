// Strings with origins in an arena: making, joining and cutting them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/jinja/arena.h"
#include "runtime/jinja/value.h"

namespace espalier::runtime::jinja {

/// Room behind a string's bytes, so that `s = s + x` in a loop is linear in the end.
struct AppendBuffer {
  char* bytes = nullptr;
  Run* runs = nullptr;
  std::uint32_t used = 0;
  std::uint32_t capacity = 0;
  std::uint32_t runs_used = 0;
  std::uint32_t runs_capacity = 0;
};

/// A copy of `bytes` in the arena, all from one origin.
[[nodiscard]] const Str* make_str(Arena& arena, std::string_view bytes, Origin origin);

/// Calls f(bytes, origin) for the pieces of s[from, to), in order.
template <class F>
void for_each_run(const Str& s, std::size_t from, std::size_t to, const F& f) {
  if (from >= to) return;
  std::uint32_t low = 0;  // the first run that ends after `from`
  for (std::uint32_t high = s.run_count - 1; low < high;) {
    const std::uint32_t middle = (low + high) / 2;
    if (s.runs[middle].end > from)
      high = middle;
    else
      low = middle + 1;
  }
  while (from < to) {
    const std::size_t end =
        low + 1 == s.run_count ? to : std::min<std::size_t>(to, s.runs[low].end);
    f(std::string_view(s.data + from, end - from), s.runs[low].origin);
    from = end;
    ++low;
  }
}
/// The origin of the byte at `at`.
[[nodiscard]] Origin origin_at(const Str& s, std::size_t at);

/// Bytes [from, to) of `s`, which they share.
[[nodiscard]] const Str* slice(Arena& arena, const Str& s, std::size_t from, std::size_t to);
/// `part` must be a view into s.
[[nodiscard]] const Str* slice(Arena& arena, const Str& s, std::string_view part);

/// left + right; the caller has asked whether the size fits. Amortised O(right) where left was made
/// by concat itself and nothing else was put behind it.
[[nodiscard]] const Str* concat(Arena& arena, const Str& left, const Str& right);

/// Puts a string together.
class StrBuilder {
 public:
  void append(std::string_view bytes, Origin origin) { text_.append(bytes, origin); }
  void append(const Str& s) { append(s, 0, s.size); }
  void append(const Str& s, std::size_t from, std::size_t to) {
    for_each_run(s, from, to,
                 [&](std::string_view bytes, Origin origin) { text_.append(bytes, origin); });
  }
  [[nodiscard]] std::size_t size() const { return text_.bytes.size(); }
  [[nodiscard]] const Str* finish(Arena& arena) const;
  [[nodiscard]] Text& text() { return text_; }
  void clear() { text_.clear(); }

 private:
  Text text_;
};

}  // namespace espalier::runtime::jinja
