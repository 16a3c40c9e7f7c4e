// Failure: why a running program cannot go on, and where in its source.
//
// A failure of `require` or of a tool can be caught by an enclosing `retry`; every other one ends
// the run. kUnknown exists for rendering without a model: a value that only a run can give was
// asked for.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "base/result.h"
#include "dsl/source.h"
#include "dsl/value.h"

namespace espalier::dsl {

enum class FailureKind : std::uint8_t {
  kRequire,  // a `require` did not hold
  kTool,     // a tool failed
  kValue,    // an expression has no value: division by zero, an index past the end, …
  kExpect,   // an `expect` of a test did not hold
  kEngine,   // the model's side: limits, budgets, cancellation
  kDeadEnd,  // a hole that the model's vocabulary cannot spell
  kUnknown,  // rendering only
};

struct Failure {
  FailureKind kind = FailureKind::kValue;
  Error error;
  Span span;

  [[nodiscard]] bool retryable() const {
    return kind == FailureKind::kRequire || kind == FailureKind::kTool;
  }
};

template <class T>
using Outcome = tl::expected<T, Failure>;

/// Statements of a run, or of a rendered prompt, at most.
inline constexpr std::uint64_t kMaxSteps = 1'000'000;

/// The failure as an Outcome.
[[nodiscard]] inline tl::unexpected<Failure> pass(Failure failure) {
  return tl::unexpected<Failure>(std::move(failure));
}
[[nodiscard]] inline tl::unexpected<Failure> value_failure(const Span& span, std::string message) {
  return tl::unexpected<Failure>(
      Failure{FailureKind::kValue, {ErrorCode::kInvalid, std::move(message)}, span});
}
/// A text of more than Value::kMaxWeight bytes.
[[nodiscard]] inline tl::unexpected<Failure> text_too_long(const Span& span) {
  return tl::unexpected<Failure>(
      Failure{FailureKind::kValue,
              {ErrorCode::kLimit,
               "the text would be longer than " + std::to_string(Value::kMaxWeight) + " bytes"},
              span});
}
[[nodiscard]] inline tl::unexpected<Failure> engine_failure(const Span& span, Error error) {
  return tl::unexpected<Failure>(Failure{FailureKind::kEngine, std::move(error), span});
}
[[nodiscard]] inline tl::unexpected<Failure> too_many_steps(const Span& span) {
  return engine_failure(span, {ErrorCode::kLimit, "the program took more than " +
                                                      std::to_string(kMaxSteps) + " steps"});
}

/// The value, or its error as a failure at `span`.
template <class T>
[[nodiscard]] Outcome<T> made(Result<T> value, const Span& span) {
  if (!value) return pass(Failure{FailureKind::kValue, std::move(value).error(), span});
  return std::move(*value);
}

}  // namespace espalier::dsl
