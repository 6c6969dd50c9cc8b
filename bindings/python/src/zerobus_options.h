// Options of the Zerobus writer by name, as Python gives them.
#pragma once

#include <nanobind/nanobind.h>

#include "arrowport/zerobus/options.h"

namespace arrowport::python {

/// Options from keywords named as in arrowport.zerobus.Options; None leaves a default.
/// Raises ConfigurationError naming the keyword for a name or value that does not fit.
/// Needs the interpreter lock.
zerobus::Options ZerobusOptionsFrom(nanobind::dict keywords);

}  // namespace arrowport::python
