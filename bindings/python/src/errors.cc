#include "errors.h"


#include "arrowport/error.h"
#include "arrowport/zerobus/error.h"

namespace arrowport::python {
namespace {

nb::object Maker(const char* name) {
  return nb::module_::import_("arrowport._errors").attr(name);
}

[[noreturn]] void Raise(const nb::object& exception) {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception.ptr())), exception.ptr());
  throw nb::python_error();
}

}  // namespace

nb::object ExceptionOf(Service service, const arrow::Status& status) {
  if (service == Service::kArrowport) {
    return Maker("make_error")(ErrorName(status), status.message(), IsRetriable(status));
  }
  const zerobus::ErrorFacts facts = zerobus::FactsOf(status);
  return Maker("make_zerobus_error")(zerobus::ErrorKindName(facts.kind), status.message(),
                                     facts.retryable, facts.grpc_status,
                                     facts.service_code, facts.schema_causes);
}

void RaiseClosed(const char* message) {
  Raise(Maker("make_zerobus_error")("Closed", message, false, nb::none(), nb::none(),
                                    nb::list()));
}

void Check(Service service, const arrow::Status& status) {
  if (!status.ok()) Raise(ExceptionOf(service, status));
}

}  // namespace arrowport::python
