// Template: a chat template, compiled once and rendered as often as wanted.
//
// The language is the part of Jinja 3.1 that chat templates use, with Python's semantics of values,
// set up as the transformers library does: trim_blocks and lstrip_blocks, break and continue, the
// tojson filter without HTML escapes, raise_exception and strftime_now, {% generation %} blocks,
// and a sandbox. There are no host objects, no files, no other templates. What this interpreter
// does not have is refused with its line and name: while compiling where that can be seen, else
// when it is reached.
//
// A Template is immutable and safe from any thread. A rendering is bounded in steps, memory, output
// and depth; what runs out is named in a kLimit error, at the same place on every machine. Texts of
// any bytes are accepted as input; a byte that is no UTF-8 counts as one character.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "grammar/json.h"
#include "runtime/jinja/arena.h"
#include "runtime/jinja/text.h"
#include "runtime/jinja/value.h"

namespace espalier::runtime::jinja {

struct Limits {
  std::uint64_t steps = 20'000'000;       // expressions, statements, and 32 bytes of text each
  std::size_t output_bytes = 64u << 20;   // of the rendered text
  std::size_t memory_bytes = 256u << 20;  // of all values that a rendering makes
  std::uint32_t depth = 250;              // of expressions, blocks and calls in one another
};

struct RenderOptions {
  Limits limits;
  /// What strftime_now shows: local civil time, as if it were UTC.
  std::chrono::sys_seconds now{};
};

struct Rendered {
  Text text;
  /// Bytes [first, second) of the text that {% generation %} blocks wrote.
  std::vector<std::pair<std::size_t, std::size_t>> generation;
};

/// A source larger than this is refused: the largest known template has 13 KB.
inline constexpr std::size_t kMaxSourceBytes = 1u << 20;
/// Input that is nested deeper is refused.
inline constexpr std::uint32_t kMaxDataNesting = 100;

class Template {
 public:
  /// Errors: kInvalid (not UTF-8, or no Jinja), kUnsupported, kLimit; each names a line where it
  /// has one. O(source).
  [[nodiscard]] static Result<std::shared_ptr<const Template>> compile(std::string_view source);

  Template(const Template&) = delete;
  Template& operator=(const Template&) = delete;
  ~Template();

  /// Renders with `variables`, whose values live in `arena` and stay as they are; `arena` also
  /// takes what the rendering makes (its own limit holds). Errors: kInvalid where the template
  /// raises one (raise_exception, or an operation that Python refuses), kUnsupported, kLimit.
  [[nodiscard]] Result<Rendered> render(Arena& arena, const Dict& variables,
                                        const RenderOptions& options = {}) const;

 private:
  struct Compiled;
  explicit Template(std::unique_ptr<Compiled> compiled);
  std::unique_ptr<Compiled> compiled_;
};

/// `json` as a value in `arena`; its strings and keys come from `origin`. kLimit where it is nested
/// too deep or an integer has more than 63 bits.
[[nodiscard]] Result<Value> from_json(Arena& arena, const Json& json, Origin origin);

/// A dictionary from entries that the caller has made with different keys.
[[nodiscard]] const Dict* make_dict(Arena& arena, const std::vector<Entry>& entries);
[[nodiscard]] const List* make_list(Arena& arena, const std::vector<Value>& items);

}  // namespace espalier::runtime::jinja
