// Results and errors: what a function that can fail gives back.
//
// Errors are values. `Result<T>` holds a T or an Error; nothing in Espalier throws across a room's
// border, and nothing throws at all inside a step. An Error carries a code that a caller can act on
// and a message that a person can act on: it names the place (a file, a key, a line) and, for
// limits, the limit and the figure that passed it. Messages never carry addresses, secrets or the
// content of prompts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace espalier {

enum class ErrorCode : std::uint8_t {
  kInvalid,      // the caller's input is wrong: a bad argument, program, schema or document
  kNotFound,     // a named thing (file, model, program) does not exist
  kUnsupported,  // well-formed, but something this build refuses by name
  kCorrupt,      // a file's content contradicts its format
  kLimit,        // fuel or a size limit ran out; the same on every machine
  kExhausted,    // memory, pages, disk: a resource of this machine ran out
  kCancelled,    // the user or the owner stopped it
  kTimeout,      // wall time ran out (only ever set by someone's explicit time limit)
  kIo,           // the operating system refused
  kTool,         // a tool failed; the message is the tool's
  kInternal,     // an invariant of ours was broken
};

/// The stable, lower-case name of a code, as JSON outputs print it ("not_found").
std::string_view name(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;

  /// The same error seen from further out: "loading model: key 'x' is missing".
  [[nodiscard]] Error within(std::string_view context) && {
    message.insert(0, std::string(context) + ": ");
    return std::move(*this);
  }
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

/// Shorthand for returning a failure: `return fail(ErrorCode::kInvalid, "…")`.
[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

namespace internal {
[[noreturn]] void check_failed(const char* file, int line, const char* condition);
}  // namespace internal

}  // namespace espalier

// Returns the failure of `expression` (a Result or Status) from the enclosing function.
#define ESP_TRY(expression)                                                       \
  do {                                                                            \
    if (auto esp_status_ = (expression); !esp_status_) [[unlikely]]               \
      return ::tl::unexpected<::espalier::Error>(std::move(esp_status_).error()); \
  } while (false)

#define ESP_CONCAT_INNER(a, b) a##b
#define ESP_CONCAT(a, b) ESP_CONCAT_INNER(a, b)
#define ESP_ASSIGN_INNER(temporary, target, expression)                       \
  auto temporary = (expression);                                              \
  if (!temporary) [[unlikely]]                                                \
    return ::tl::unexpected<::espalier::Error>(std::move(temporary).error()); \
  target = std::move(*temporary)
// `ESP_ASSIGN(auto file, open(path));` binds the value or returns the failure.
#define ESP_ASSIGN(target, expression) \
  ESP_ASSIGN_INNER(ESP_CONCAT(esp_result_, __LINE__), target, expression)

// An invariant that must hold whatever the input: on in release, because going on would serve wrong
// text.
#define ESP_CHECK(condition)                                              \
  do {                                                                    \
    if (!(condition)) [[unlikely]]                                        \
      ::espalier::internal::check_failed(__FILE__, __LINE__, #condition); \
  } while (false)

// A costly invariant, checked in debug builds only.
#ifdef NDEBUG
#define ESP_DCHECK(condition) \
  do {                        \
  } while (false && (condition))
#else
#define ESP_DCHECK(condition) ESP_CHECK(condition)
#endif
