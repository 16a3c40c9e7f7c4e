// Failure: why a running program cannot go on, and where in its source.
//
// A failure of `require` or of a tool can be caught by an enclosing `retry`; every other one ends
// the run. kUnknown exists for rendering without a model: a value that only a run can give was
// asked for.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "base/result.h"
#include "dsl/source.h"

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

/// The failure as an Outcome.
[[nodiscard]] inline tl::unexpected<Failure> pass(Failure failure) {
  return tl::unexpected<Failure>(std::move(failure));
}
[[nodiscard]] inline tl::unexpected<Failure> value_failure(const Span& span, std::string message) {
  return tl::unexpected<Failure>(
      Failure{FailureKind::kValue, {ErrorCode::kInvalid, std::move(message)}, span});
}
[[nodiscard]] inline tl::unexpected<Failure> engine_failure(const Span& span, Error error) {
  return tl::unexpected<Failure>(Failure{FailureKind::kEngine, std::move(error), span});
}

/// The value, or its error as a failure at `span`.
template <class T>
[[nodiscard]] Outcome<T> made(Result<T> value, const Span& span) {
  if (!value) return pass(Failure{FailureKind::kValue, std::move(value).error(), span});
  return std::move(*value);
}

}  // namespace espalier::dsl
