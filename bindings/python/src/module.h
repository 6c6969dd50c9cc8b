// The parts of arrowport._native, each bound by a file of its own.
#pragma once

#include <nanobind/nanobind.h>

namespace arrowport::python {

void BindClient(nanobind::module_& module);
void BindZerobus(nanobind::module_& module);
void BindZerobusWatchers(nanobind::module_& module);

}  // namespace arrowport::python
