// arrowport.zerobus: the thin layer below arrowport/zerobus.py. Every call that may wait runs
// without the interpreter lock.
#include "arrowport/zerobus/writer.h"


#include "arrow_exchange.h"
#include "errors.h"
#include "kept_object.h"
#include "module.h"
#include "retired.h"
#include "shared_client.h"
#include "zerobus_options.h"

namespace arrowport::python {
namespace {

using zerobus::TransmissionResult;
using zerobus::ZerobusWriter;

constexpr Service kService = Service::kZerobus;

/// Errors of many rows, one exception for each distinct failure.
class RowErrors {
 public:
  nb::object Of(const std::shared_ptr<const arrow::Status>& status) {
    nb::object& exception = exceptions_[status.get()];
    if (!exception.is_valid()) exception = ExceptionOf(kService, *status);
    return exception;
  }

 private:
  std::map<const arrow::Status*, nb::object> exceptions_;
};

nb::object ErrorOf(const TransmissionResult& self) {
  if (self.error().ok()) return nb::none();
  return ExceptionOf(kService, self.error());
}

nb::list FailedRowsOf(const TransmissionResult& self) {
  RowErrors errors;
  nb::list rows;
  for (const zerobus::FailedRow& row : self.failed_rows()) {
    rows.append(nb::make_tuple(row.index, errors.Of(row.error)));
  }
  return rows;
}

std::map<std::string, std::vector<int64_t>> RowsByKind(const TransmissionResult& self) {
  std::map<std::string, std::vector<int64_t>> rows;
  for (auto& [kind, indices] : self.GroupErrorsByType()) {
    rows.emplace(zerobus::ErrorKindName(kind), std::move(indices));
  }
  return rows;
}

nb::object Extract(arrow::Result<std::shared_ptr<arrow::RecordBatch>> (
                       TransmissionResult::*part)(
                       const std::shared_ptr<arrow::RecordBatch>&) const,
                   const TransmissionResult& self, nb::handle data) {
  const auto batch = ImportBatch(kService, data);
  return ExportBatch(Unlocked(kService, [&] { return (self.*part)(batch); }));
}

class ZerobusHandle {
 public:
  explicit ZerobusHandle(nb::dict keywords) {
    const zerobus::Options options = ZerobusOptionsFrom(std::move(keywords));
    writer_ = Unlocked(kService, [&] {
      EndRetired();
      return ZerobusWriter::Make(options);
    });
  }

  ~ZerobusHandle() { Abandon(); }

  /// Gives up what is not durable; later calls raise ClosedError.
  void Abandon() {
    auto writer = std::move(writer_);
    if (!writer) return;
    if (InCallback()) {
      Retire(std::move(writer));
      return;
    }
    const nb::gil_scoped_release unlocked;
    writer.reset();
  }

  std::unique_ptr<TransmissionResult> SendBatch(nb::handle data,
                                                std::optional<nb::bytes> descriptor) {
    const auto writer = Get();
    const auto batch = ImportBatch(kService, data);
    const zerobus::SendOptions options = SendOptionsOf(descriptor);
    const nb::gil_scoped_release unlocked;
    return std::make_unique<TransmissionResult>(writer->SendBatch(batch, options));
  }

  /// (first, last) logical offset; calls `finished` with the result on the client's
  /// callback thread, or here when there is nothing to wait for.
  std::pair<int64_t, int64_t> Submit(nb::handle data, std::optional<nb::bytes> descriptor,
                                     nb::object finished) {
    const auto writer = Get();
    const auto batch = ImportBatch(kService, data);
    const zerobus::SendOptions options = SendOptionsOf(descriptor);
    const KeptObject kept(std::move(finished));
    const auto pending = Unlocked(kService, [&]() -> arrow::Result<zerobus::PendingSend> {
      ARROW_ASSIGN_OR_RAISE(auto accepted, writer->SendAsync(batch, options));
      accepted.result.AddCallback([kept](const arrow::Result<TransmissionResult>& result) {
        RunCallback(kept, [&](nb::handle callable) { Deliver(callable, result); });
      });
      return accepted;
    });
    return {pending.first_offset, pending.last_offset};
  }

  void Flush() {
    const auto writer = Get();
    Unlocked(kService, [&] { return writer->Flush(); });
  }
  void WaitForOffset(int64_t offset) {
    const auto writer = Get();
    Unlocked(kService, [&] { return writer->WaitForOffset(offset); });
  }
  void Shutdown() {
    const auto writer = Get();
    if (InCallback()) RaiseClosed("a callback of a writer may not shut it down");
    Unlocked(kService, [&] { return writer->Shutdown(); });
  }

  nb::list TakeUnacknowledged() {
    const auto writer = Get();
    nb::list out;
    for (auto& entry : Unlocked(kService, [&] { return writer->TakeUnacknowledged(); })) {
      out.append(nb::make_tuple(entry.offset, ExportBatch(std::move(entry.batch))));
    }
    return out;
  }

  zerobus::WriterStatistics Statistics() const { return Get()->statistics(); }

 private:
  static void Deliver(nb::handle callable,
                      const arrow::Result<TransmissionResult>& result) {
    if (result.ok()) {
      callable(TransmissionResult(*result), nb::none());
    } else {
      callable(nb::none(), ExceptionOf(kService, result.status()));
    }
  }

  static zerobus::SendOptions SendOptionsOf(const std::optional<nb::bytes>& descriptor) {
    zerobus::SendOptions options;
    if (descriptor) options.descriptor.assign(descriptor->c_str(), descriptor->size());
    return options;
  }

  /// A reference of the caller's own: another thread may abandon the writer meanwhile.
  std::shared_ptr<ZerobusWriter> Get() const {
    if (!writer_) RaiseClosed("the writer was closed");
    return writer_;
  }

  std::shared_ptr<ZerobusWriter> writer_;
};

void BindResult(nb::module_& module) {
  using nb::arg;
  nb::class_<TransmissionResult>(module, "TransmissionResult")
      .def_prop_ro("success", &TransmissionResult::success)
      .def_prop_ro("error", &ErrorOf)
      .def_prop_ro("attempts", &TransmissionResult::attempts)
      .def_prop_ro("latency_ms", &TransmissionResult::latency_ms)
      .def_prop_ro("batch_size_bytes", &TransmissionResult::batch_size_bytes)
      .def_prop_ro("total_rows", &TransmissionResult::total_rows)
      .def_prop_ro("successful_count", &TransmissionResult::successful_count)
      .def_prop_ro("failed_count", &TransmissionResult::failed_count)
      .def_prop_ro("failed_rows", &FailedRowsOf)
      .def_prop_ro("successful_rows", &TransmissionResult::successful_rows)
      .def("failed_row_indices", &TransmissionResult::GetFailedRowIndices)
      .def("rows_by_kind", &RowsByKind)
      .def("extract_failed_batch",
           [](const TransmissionResult& self, nb::handle batch) {
             return Extract(&TransmissionResult::ExtractFailedBatch, self, batch);
           },
           arg("batch").none())
      .def("extract_successful_batch",
           [](const TransmissionResult& self, nb::handle batch) {
             return Extract(&TransmissionResult::ExtractSuccessfulBatch, self, batch);
           },
           arg("batch").none());
}

void BindStatistics(nb::module_& module) {
  using zerobus::WriterStatistics;
  nb::class_<WriterStatistics>(module, "WriterStatistics", "Counters of one writer.")
      .def_ro("batches_sent", &WriterStatistics::batches_sent)
      .def_ro("rows_durable", &WriterStatistics::rows_durable)
      .def_ro("rows_failed", &WriterStatistics::rows_failed)
      .def_ro("arrow_bytes", &WriterStatistics::arrow_bytes)
      .def_ro("encoded_bytes", &WriterStatistics::encoded_bytes)
      .def_ro("requests_sent", &WriterStatistics::requests_sent)
      .def_ro("requests_replayed", &WriterStatistics::requests_replayed)
      .def_ro("acks_received", &WriterStatistics::acks_received)
      .def_ro("acks_without_progress", &WriterStatistics::acks_without_progress)
      .def_ro("protocol_errors", &WriterStatistics::protocol_errors)
      .def_ro("reconnects_after_failure", &WriterStatistics::reconnects_after_failure)
      .def_ro("rotations", &WriterStatistics::rotations)
      .def_ro("tokens_minted", &WriterStatistics::tokens_minted)
      .def_ro("streams_opened", &WriterStatistics::streams_opened)
      .def_ro("in_flight_requests", &WriterStatistics::in_flight_requests)
      .def_ro("in_flight_bytes", &WriterStatistics::in_flight_bytes)
      .def_ro("callbacks_dropped", &WriterStatistics::callbacks_dropped);
}

void MakeSharedClient(SharedClient* self) {
  new (self) SharedClient(Unlocked(kService, [] { return zerobus::Client::Make(); }));
}

}  // namespace

void BindZerobus(nb::module_& module) {
  using nb::arg;
  BindResult(module);
  BindStatistics(module);
  nb::class_<SharedClient>(module, "ZerobusClient").def("__init__", &MakeSharedClient);
  nb::class_<ZerobusHandle>(module, "ZerobusWriter", nb::is_weak_referenceable())
      .def(nb::init<nb::dict>(), arg("options"))
      .def("send_batch", &ZerobusHandle::SendBatch, arg("batch").none(), arg("descriptor").none())
      .def("submit", &ZerobusHandle::Submit, arg("batch").none(), arg("descriptor").none(),
           arg("finished"))
      .def("flush", &ZerobusHandle::Flush)
      .def("wait_for_offset", &ZerobusHandle::WaitForOffset, arg("offset"))
      .def("shutdown", &ZerobusHandle::Shutdown)
      .def("abandon", &ZerobusHandle::Abandon)
      .def("take_unacknowledged", &ZerobusHandle::TakeUnacknowledged)
      .def("statistics", &ZerobusHandle::Statistics);
  module.def("end_retired", [] {
    const nb::gil_scoped_release unlocked;
    EndRetired();
  });
}

}  // namespace arrowport::python
