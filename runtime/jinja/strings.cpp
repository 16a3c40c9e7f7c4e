#include "runtime/jinja/strings.h"

#include <algorithm>

namespace espalier::runtime::jinja {
namespace {

// Below this, a string is copied rather than given room to grow.
constexpr std::uint32_t kGrowingSize = 256;

const Str* single_run(Arena& arena, const char* data, std::size_t size, Origin origin) {
  Str* made = arena.make(Str{});
  made->data = data;
  made->size = static_cast<std::uint32_t>(size);
  made->single = {made->size, origin};
  made->runs = &made->single;
  made->run_count = 1;
  return made;
}

}  // namespace

const Str* make_str(Arena& arena, std::string_view bytes, Origin origin) {
  char* copy = static_cast<char*>(arena.alloc(bytes.size()));
  std::copy(bytes.begin(), bytes.end(), copy);
  return single_run(arena, copy, bytes.size(), origin);
}

Origin origin_at(const Str& s, std::size_t at) {
  Origin found = kTemplate;
  for_each_run(s, at, at + 1, [&](std::string_view, Origin origin) { found = origin; });
  return found;
}

const Str* slice(Arena& arena, const Str& s, std::size_t from, std::size_t to) {
  if (from == 0 && to == s.size) return &s;
  std::uint32_t pieces = 0;
  Origin first = kTemplate;
  for_each_run(s, from, to, [&](std::string_view, Origin origin) {
    if (pieces++ == 0) first = origin;
  });
  if (pieces <= 1) return single_run(arena, s.data + from, to - from, first);
  Str* made = arena.make(Str{});
  made->data = s.data + from;
  made->size = static_cast<std::uint32_t>(to - from);
  Run* runs = arena.array<Run>(pieces);
  made->runs = runs;
  made->run_count = pieces;
  std::uint32_t end = 0;
  for_each_run(s, from, to, [&](std::string_view bytes, Origin origin) {
    end += static_cast<std::uint32_t>(bytes.size());
    *runs++ = {end, origin};
  });
  return made;
}

const Str* slice(Arena& arena, const Str& s, std::string_view part) {
  const auto from = static_cast<std::size_t>(part.data() - s.data);
  return slice(arena, s, from, from + part.size());
}

const Str* concat(Arena& arena, const Str& left, const Str& right) {
  if (left.size == 0) return &right;
  if (right.size == 0) return &left;
  const std::uint32_t size = left.size + right.size;
  if (size < kGrowingSize && left.run_count == 1 && right.run_count == 1 &&
      left.runs->origin == right.runs->origin) {
    char* bytes = static_cast<char*>(arena.alloc(size));
    std::copy_n(left.data, left.size, bytes);
    std::copy_n(right.data, right.size, bytes + left.size);
    return single_run(arena, bytes, size, left.runs->origin);
  }
  AppendBuffer* buffer = left.buffer;
  const bool behind = buffer != nullptr && buffer->used == left.size &&
                      buffer->runs_used == left.run_count && buffer->capacity >= size &&
                      buffer->runs_capacity >= left.run_count + right.run_count;
  if (!behind) {
    const bool grow = size >= kGrowingSize;
    buffer = arena.make(AppendBuffer{});
    buffer->capacity = grow ? size + size / 2 : size;
    buffer->runs_capacity = (left.run_count + right.run_count) * (grow ? 2 : 1);
    buffer->bytes = static_cast<char*>(arena.alloc(buffer->capacity));
    buffer->runs = arena.array<Run>(buffer->runs_capacity);
    std::copy_n(left.data, left.size, buffer->bytes);
    for_each_run(left, 0, left.size, [&](std::string_view bytes, Origin origin) {
      buffer->used += static_cast<std::uint32_t>(bytes.size());
      buffer->runs[buffer->runs_used++] = {buffer->used, origin};
    });
  }
  std::copy_n(right.data, right.size, buffer->bytes + buffer->used);
  for_each_run(right, 0, right.size, [&](std::string_view bytes, Origin origin) {
    buffer->used += static_cast<std::uint32_t>(bytes.size());
    Run& last = buffer->runs[buffer->runs_used - 1];
    if (last.origin == origin)
      last.end = buffer->used;  // the shorter string reads no further than its own size
    else
      buffer->runs[buffer->runs_used++] = {buffer->used, origin};
  });
  Str* made = arena.make(Str{});
  made->data = buffer->bytes;
  made->size = size;
  made->runs = buffer->runs;
  made->run_count = buffer->runs_used;
  made->buffer = buffer;
  return made;
}

const Str* StrBuilder::finish(Arena& arena) const {
  const auto& [bytes, runs] = text_;
  if (runs.size() <= 1)
    return make_str(arena, bytes, runs.empty() ? kTemplate : runs.front().origin);
  const Str* copy = make_str(arena, bytes, kTemplate);
  Str* made = arena.make(Str(*copy));
  made->runs = arena.copy(runs).data();
  made->run_count = static_cast<std::uint32_t>(runs.size());
  return made;
}

}  // namespace espalier::runtime::jinja
