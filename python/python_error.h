// How failures reach Python: as espalier.Error with the error's code (made in the package).
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <utility>

#include "base/result.h"

namespace espalier::python {

/// The class espalier.Error, set when the package is imported.
inline pybind11::object& error_type() {
  // Never destroyed: the interpreter may be gone by then.
  static auto* type = new pybind11::object();
  return *type;
}

[[noreturn]] inline void raise(const Error& error, const std::string& rendered = {}) {
  const pybind11::object exception =
      error_type()(error.message, std::string(name(error.code)), rendered);
  PyErr_SetObject(error_type().ptr(), exception.ptr());
  throw pybind11::error_already_set();
}

template <class T>
T unwrap(Result<T> result) {
  if (!result) raise(result.error());
  return std::move(*result);
}

}  // namespace espalier::python
