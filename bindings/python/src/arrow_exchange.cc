#include "arrow_exchange.h"

#include <arrow/c/abi.h>
#include <arrow/c/bridge.h>
#include <arrow/table.h>

#include <string>

namespace arrowport::python {
namespace {

constexpr char kSchemaCapsule[] = "arrow_schema";
constexpr char kArrayCapsule[] = "arrow_array";
constexpr char kStreamCapsule[] = "arrow_array_stream";

template <typename T>
T* PointerOf(nb::handle capsule, const char* name) {
  void* pointer = PyCapsule_GetPointer(capsule.ptr(), name);
  if (!pointer) throw nb::python_error();
  return static_cast<T*>(pointer);
}

/// A capsule around a new, empty structure of the C data interface, which it releases.
template <typename T>
nb::object NewCapsule(const char* name, T** structure) {
  auto owned = std::make_unique<T>();
  owned->release = nullptr;
  PyObject* capsule = PyCapsule_New(owned.get(), name, [](PyObject* self) {
    auto* inner = static_cast<T*>(PyCapsule_GetPointer(self, PyCapsule_GetName(self)));
    if (inner->release) inner->release(inner);
    delete inner;
  });
  if (!capsule) throw nb::python_error();
  *structure = owned.release();
  return nb::steal(capsule);
}

[[noreturn]] void RaiseNotArrow(nb::handle data) {
  const std::string name = nb::cast<std::string>(nb::str(data.type().attr("__name__")));
  throw nb::type_error(("no Arrow data: " + name +
                        " has neither __arrow_c_array__ nor __arrow_c_stream__")
                           .c_str());
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> BatchOfArray(nb::handle data) {
  const nb::object pair = data.attr("__arrow_c_array__")();
  auto* schema = PointerOf<ArrowSchema>(pair[0], kSchemaCapsule);
  auto* array = PointerOf<ArrowArray>(pair[1], kArrayCapsule);
  return arrow::ImportRecordBatch(array, schema);
}

arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> ReaderOfStream(nb::handle data) {
  const nb::object capsule = data.attr("__arrow_c_stream__")();
  return arrow::ImportRecordBatchReader(
      PointerOf<ArrowArrayStream>(capsule, kStreamCapsule));
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> ReadAsOneBatch(
    arrow::RecordBatchReader& reader) {
  ARROW_ASSIGN_OR_RAISE(auto batches, reader.ToRecordBatches());
  if (batches.size() == 1) return batches[0];
  if (batches.empty()) return arrow::RecordBatch::MakeEmpty(reader.schema());
  ARROW_ASSIGN_OR_RAISE(const auto table, arrow::Table::FromRecordBatches(batches));
  return table->CombineChunksToBatch();
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> Valid(
    arrow::Result<std::shared_ptr<arrow::RecordBatch>> batch) {
  ARROW_RETURN_NOT_OK(batch);
  ARROW_RETURN_NOT_OK((*batch)->Validate());
  return batch;
}

arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> ReaderOf(nb::handle data) {
  if (nb::hasattr(data, "__arrow_c_stream__")) return ReaderOfStream(data);
  if (!nb::hasattr(data, "__arrow_c_array__")) RaiseNotArrow(data);
  ARROW_ASSIGN_OR_RAISE(auto batch, BatchOfArray(data));
  return arrow::RecordBatchReader::Make({batch}, batch->schema());
}

nb::tuple ArrayCapsules(const OutgoingBatch& self, nb::handle requested_schema) {
  ArrowSchema* schema = nullptr;
  ArrowArray* array = nullptr;
  const nb::object schema_capsule = NewCapsule(kSchemaCapsule, &schema);
  const nb::object array_capsule = NewCapsule(kArrayCapsule, &array);
  Check(Service::kArrowport, arrow::ExportRecordBatch(*self.batch, array, schema));
  return nb::make_tuple(schema_capsule, array_capsule);
}

}  // namespace

std::shared_ptr<arrow::RecordBatch> ImportBatch(Service service, nb::handle data) {
  if (nb::hasattr(data, "__arrow_c_array__")) {
    return Unwrap(service, Valid(BatchOfArray(data)));
  }
  if (!nb::hasattr(data, "__arrow_c_stream__")) RaiseNotArrow(data);
  const auto reader = Unwrap(service, ReaderOfStream(data));
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> batch;
  {
    const nb::gil_scoped_release unlocked;
    batch = Valid(ReadAsOneBatch(*reader));
  }
  return Unwrap(service, std::move(batch));
}

std::shared_ptr<arrow::RecordBatchReader> ImportReader(Service service, nb::handle data) {
  return Unwrap(service, ReaderOf(data));
}

arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> TryImportReader(nb::handle data) {
  if (!nb::is_alive()) return arrow::Status::Cancelled("the interpreter has ended");
  const nb::gil_scoped_acquire lock;
  try {
    return ReaderOf(data);
  } catch (const std::exception& error) {
    return arrow::Status::Invalid("opening the data to send: ", error.what());
  }
}

std::shared_ptr<arrow::Schema> ImportSchema(Service service, nb::handle schema) {
  if (!nb::hasattr(schema, "__arrow_c_schema__")) {
    throw nb::type_error("no Arrow schema: the object has no __arrow_c_schema__");
  }
  const nb::object capsule = schema.attr("__arrow_c_schema__")();
  return Unwrap(service, arrow::ImportSchema(PointerOf<ArrowSchema>(capsule, kSchemaCapsule)));
}

nb::object ExportBatch(std::shared_ptr<arrow::RecordBatch> batch) {
  if (!batch) return nb::none();
  return nb::cast(OutgoingBatch{std::move(batch)});
}

nb::object ExportReader(Service service, std::shared_ptr<arrow::RecordBatchReader> reader) {
  ArrowArrayStream* stream = nullptr;
  nb::object capsule = NewCapsule(kStreamCapsule, &stream);
  Check(service, arrow::ExportRecordBatchReader(std::move(reader), stream));
  return capsule;
}

nb::object ExportSchema(Service service, const arrow::Schema& schema) {
  ArrowSchema* out = nullptr;
  nb::object capsule = NewCapsule(kSchemaCapsule, &out);
  Check(service, arrow::ExportSchema(schema, out));
  return capsule;
}

void BindArrowExchange(nb::module_& module) {
  nb::class_<OutgoingBatch>(module, "Batch",
                            "A record batch for pyarrow.record_batch() and the like.")
      .def("__arrow_c_array__", &ArrayCapsules, nb::arg("requested_schema") = nb::none());
}

}  // namespace arrowport::python
