// Arrow data in and out by the PyCapsule interface: no copy, any library that speaks it.
// https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <nanobind/nanobind.h>

#include <memory>

#include "errors.h"

namespace arrowport::python {

/// One batch: of __arrow_c_array__ as it is; of __arrow_c_stream__ all rows, which are
/// copied only when they come in more than one chunk. Raises TypeError for other objects and
/// the service's exception for data that is not valid. Needs the interpreter lock.
std::shared_ptr<arrow::RecordBatch> ImportBatch(Service service, nb::handle data);

/// A reader over __arrow_c_stream__, or over the one batch of __arrow_c_array__.
std::shared_ptr<arrow::RecordBatchReader> ImportReader(Service service, nb::handle data);

/// As ImportReader for any thread; Python errors become a status.
arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> TryImportReader(nb::handle data);

/// Of __arrow_c_schema__.
std::shared_ptr<arrow::Schema> ImportSchema(Service service, nb::handle schema);

/// A batch on its way to Python: has __arrow_c_array__.
struct OutgoingBatch {
  std::shared_ptr<arrow::RecordBatch> batch;
};

/// An object with __arrow_c_array__, or None without a batch.
nb::object ExportBatch(std::shared_ptr<arrow::RecordBatch> batch);

/// A capsule "arrow_array_stream" that owns the reader.
nb::object ExportReader(Service service, std::shared_ptr<arrow::RecordBatchReader> reader);

/// A capsule "arrow_schema".
nb::object ExportSchema(Service service, const arrow::Schema& schema);

void BindArrowExchange(nb::module_& module);

}  // namespace arrowport::python
