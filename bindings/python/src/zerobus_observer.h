// What a writer converts and sends, shown to Python: the source of debug files.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>

#include "arrowport/zerobus/observer.h"

namespace arrowport::python {

/// Calls those of on_batch(batch), on_descriptor(bytes) and on_records(bytes, rows) that
/// `object` has; `batch` has __arrow_c_array__, the records are length-delimited messages
/// (a varint size before each). What they raise goes to sys.unraisablehook. None of these
/// runs on the I/O thread. Needs the interpreter lock.
std::shared_ptr<zerobus::WriterObserver> MakeObserver(nanobind::object object);

}  // namespace arrowport::python
