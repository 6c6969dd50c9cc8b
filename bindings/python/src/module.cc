#include "module.h"

#include "arrow_exchange.h"
#include "arrowport/version.h"

NB_MODULE(_native, module) {
  module.attr("__version__") = arrowport::kVersionText;
  arrowport::python::BindArrowExchange(module);
  arrowport::python::BindClient(module);
  arrowport::python::BindZerobusWatchers(module);
  arrowport::python::BindZerobus(module);
}
