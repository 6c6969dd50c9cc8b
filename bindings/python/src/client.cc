// arrowport.Client: the thin layer below arrowport/_client.py. Every call that may wait
// runs without the interpreter lock.
#include "arrowport/client.h"


#include <chrono>

#include "arrow_exchange.h"
#include "errors.h"
#include "kept_object.h"
#include "module.h"

namespace arrowport::python {
namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr Service kService = Service::kArrowport;

/// Rows of a query. Reading waits for the server; one reader at a time.
class QueryRows {
 public:
  explicit QueryRows(std::shared_ptr<arrow::RecordBatchReader> reader)
      : reader_(std::move(reader)) {}

  nb::object Schema() const { return ExportSchema(kService, *reader_->schema()); }

  nb::object Next() {
    return ExportBatch(Unlocked(kService, [&] { return reader_->Next(); }));
  }

  nb::object Stream(nb::handle requested_schema) {
    return ExportReader(kService, reader_);
  }

  void Close() {
    Unlocked(kService, [&] { return reader_->Close(); });
  }

 private:
  const std::shared_ptr<arrow::RecordBatchReader> reader_;
};

/// A Writer whose end waits without the interpreter lock.
class WriterHandle {
 public:
  WriterHandle(std::unique_ptr<Writer> writer, std::shared_ptr<arrow::Schema> schema)
      : writer_(std::move(writer)), schema_(std::move(schema)) {}
  ~WriterHandle() {
    const nb::gil_scoped_release unlocked;
    writer_.reset();
  }

  int64_t Write(nb::handle data) {
    const auto batch = ImportBatch(kService, data);
    // A batch that is never sent must not end an upload that is well.
    if (!batch->schema()->Equals(*schema_, /*check_metadata=*/false)) {
      Check(kService, arrow::Status::Invalid("the batch has another schema than the writer: ",
                                             batch->schema()->ToString()));
    }
    return Unlocked(kService, [&] { return writer_->Write(batch); });
  }
  void Flush() {
    Unlocked(kService, [&] { return writer_->Flush(); });
  }
  Receipt Close() {
    return Unlocked(kService, [&] { return writer_->Close(); });
  }
  int64_t acknowledged_offset() const { return writer_->acknowledged_offset(); }
  std::optional<int64_t> producer_last_sequence() const {
    return writer_->producer_last_sequence();
  }

 private:
  std::unique_ptr<Writer> writer_;
  const std::shared_ptr<arrow::Schema> schema_;
};

class ClientHandle {
 public:
  ClientHandle(const std::string& url, const ClientOptions& options)
      : client_(Unwrap(kService, Client::Connect(url, options))) {}
  ~ClientHandle() {
    const nb::gil_scoped_release unlocked;
    client_.reset();
  }

  /// `reopen`: `data` gives the same rows each time its stream is asked for, so a failed
  /// attempt may be repeated.
  Receipt Send(const std::string& stream, nb::object data, bool reopen,
               const std::string& key, const std::string& producer,
               std::optional<int64_t> sequence,
               const std::map<std::string, std::string>& settings) {
    const SendOptions options{key, producer, sequence, settings};
    if (!reopen) {
      const auto reader = ImportReader(kService, data);
      return Unlocked(kService, [&] { return client_->Send(stream, reader, options); });
    }
    // The first stream is opened here, so that a wrong argument raises as such.
    auto first = ImportReader(kService, data);
    const KeptObject kept(data);
    const BatchSource source = [first = std::move(first), kept]() mutable
        -> arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> {
      if (first) return std::exchange(first, nullptr);
      return TryImportReader(kept.object());
    };
    return Unlocked(kService, [&] { return client_->Send(stream, source, options); });
  }

  std::unique_ptr<WriterHandle> OpenWriter(const std::string& stream, nb::handle schema,
                                           const std::string& producer,
                                           std::optional<int64_t> sequence,
                                           const std::map<std::string, std::string>& settings,
                                           int64_t batches_max, int64_t bytes_max,
                                           nb::object on_ack) {
    WriterOptions options{producer, sequence, settings, batches_max, bytes_max, {}};
    if (const KeptObject kept(on_ack); kept) {
      options.on_ack = [kept](const Ack& ack) {
        RunCallback(kept, [&](nb::handle callable) { callable(ack); });
      };
    }
    const auto imported = ImportSchema(kService, schema);
    return std::make_unique<WriterHandle>(
        Unlocked(kService, [&] { return client_->OpenWriter(stream, imported, options); }),
        imported);
  }

  std::unique_ptr<QueryRows> Query(const std::string& sql, bool flight_sql) {
    const QueryOptions options{flight_sql ? QueryRoute::kFlightSql : QueryRoute::kTicket};
    return std::make_unique<QueryRows>(
        Unlocked(kService, [&] { return client_->Query(sql, options); }));
  }

  void Ping() {
    Unlocked(kService, [&] { return client_->Ping(); });
  }

 private:
  std::unique_ptr<Client> client_;
};

void BindAnswers(nb::module_& module) {
  nb::class_<Receipt>(module, "Receipt",
                      "The server's answer to an upload that is durable and visible to the "
                      "next query.")
      .def_ro("stream", &Receipt::stream)
      .def_ro("table", &Receipt::table)
      .def_ro("storage_backend", &Receipt::storage_backend)
      .def_ro("durability", &Receipt::durability)
      .def_ro("version", &Receipt::version)
      .def_ro("rows", &Receipt::rows)
      .def_ro("bytes", &Receipt::bytes)
      .def_ro("batches", &Receipt::batches)
      .def_ro("idempotent_replay", &Receipt::idempotent_replay)
      .def_ro("quarantined", &Receipt::quarantined)
      .def_ro("warning", &Receipt::warning)
      .def("__repr__", [](const Receipt& self) {
        return "<arrowport.Receipt: " + std::to_string(self.rows) + " rows in " + self.table +
               ", version " + self.version + ">";
      });
  nb::class_<Ack>(module, "Ack", "Everything up to and including `offset` is durable.")
      .def_ro("offset", &Ack::offset)
      .def_ro("rows", &Ack::rows)
      .def_ro("version", &Ack::version)
      .def_ro("quarantined", &Ack::quarantined)
      .def("__repr__", [](const Ack& self) {
        return "<arrowport.Ack: offset " + std::to_string(self.offset) + ", " +
               std::to_string(self.rows) + " rows>";
      });
}

void MakeClient(ClientHandle* self, const std::string& url, const std::string& user,
                const std::string& password, const std::string& token,
                const std::string& tls_ca_file, const std::string& tls_cert_file,
                const std::string& tls_key_file, std::optional<int64_t> call_timeout_ms,
                int attempts_max, int64_t delay_base_ms, int64_t delay_max_ms) {
  ClientOptions options{user, password, token, tls_ca_file, tls_cert_file, tls_key_file,
                        std::nullopt,
                        {attempts_max, Milliseconds(delay_base_ms), Milliseconds(delay_max_ms)}};
  if (call_timeout_ms) options.call_timeout = Milliseconds(*call_timeout_ms);
  new (self) ClientHandle(url, options);
}

}  // namespace

void BindClient(nb::module_& module) {
  using nb::arg;
  BindAnswers(module);
  nb::class_<QueryRows>(module, "QueryRows")
      .def("schema", &QueryRows::Schema)
      .def("next", &QueryRows::Next)
      .def("close", &QueryRows::Close)
      .def("__arrow_c_stream__", &QueryRows::Stream, arg("requested_schema") = nb::none());
  nb::class_<WriterHandle>(module, "Writer")
      .def("write", &WriterHandle::Write, arg("batch").none())
      .def("flush", &WriterHandle::Flush)
      .def("close", &WriterHandle::Close)
      .def_prop_ro("acknowledged_offset", &WriterHandle::acknowledged_offset)
      .def_prop_ro("producer_last_sequence", &WriterHandle::producer_last_sequence);
  nb::class_<ClientHandle>(module, "Client")
      .def("__init__", &MakeClient, arg("url"), nb::kw_only(), arg("user"), arg("password"),
           arg("token"), arg("tls_ca_file"), arg("tls_cert_file"), arg("tls_key_file"),
           arg("call_timeout_ms").none(), arg("attempts_max"), arg("delay_base_ms"),
           arg("delay_max_ms"))
      .def("send", &ClientHandle::Send, arg("stream"), arg("data").none(), nb::kw_only(),
           arg("reopen"), arg("idempotency_key"), arg("producer"), arg("sequence").none(),
           arg("settings"))
      .def("open_writer", &ClientHandle::OpenWriter, arg("stream"), arg("schema").none(),
           nb::kw_only(), arg("producer"), arg("sequence").none(), arg("settings"),
           arg("unacknowledged_batches_max"), arg("unacknowledged_bytes_max"),
           arg("on_ack").none())
      .def("query", &ClientHandle::Query, arg("sql"), nb::kw_only(), arg("flight_sql"))
      .def("ping", &ClientHandle::Ping);
}

}  // namespace arrowport::python
