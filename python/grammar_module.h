// The classes of espalier._core that espalier.grammar is made of.
#pragma once

#include <pybind11/pybind11.h>

namespace espalier::python {

void bind_grammar(pybind11::module_& module);

}  // namespace espalier::python
