#include "arrowport/client.h"

#include <thread>

#include "base/error.h"
#include "base/ids.h"
#include "client/backoff.h"
#include "client/batch_writer.h"
#include "client/connection.h"
#include "client/query_reader.h"
#include "client/upload.h"
#include "client/url.h"

namespace arrowport {
namespace {

using client::Connection;
using client::Upload;

void Sleep(std::chrono::milliseconds delay) { std::this_thread::sleep_for(delay); }

/// Sends all of `reader`; OK means the server has it all, not that it is durable yet.
arrow::Status WriteAll(arrow::RecordBatchReader& reader, Upload& upload) {
  while (true) {
    std::shared_ptr<arrow::RecordBatch> batch;
    const arrow::Status read = reader.ReadNext(&batch);
    if (!read.ok()) {
      ARROW_RETURN_NOT_OK(upload.Abort());
      return WithContext("reading the data to send", read);
    }
    if (!batch) return upload.DoneWriting();
    for (const auto& piece : client::CutBatch(batch)) {
      const arrow::Status written = upload.Write(*piece, std::nullopt);
      if (written.ok()) continue;
      // The write fails because the server has ended the call: its status says why.
      ARROW_RETURN_NOT_OK(upload.Finish());
      return WithCode(ErrorCode::kUnreachable, written);
    }
  }
}

arrow::Result<Receipt> SendOnce(const std::shared_ptr<Connection>& connection,
                                const client::UploadRequest& request,
                                arrow::RecordBatchReader& reader) {
  ARROW_ASSIGN_OR_RAISE(auto upload,
                        Upload::Open(connection, request, reader.schema()));
  ARROW_RETURN_NOT_OK(WriteAll(reader, *upload));
  std::optional<Receipt> receipt;
  while (true) {
    auto message = upload->Read();
    if (!message.ok() || !*message) break;
    if ((*message)->summary) receipt = (*message)->summary;
  }
  ARROW_RETURN_NOT_OK(upload->Finish());
  if (!receipt) return Error(ErrorCode::kInternal, "the server sent no summary");
  return *receipt;
}

class FlightClientImpl : public Client {
 public:
  FlightClientImpl(std::shared_ptr<Connection> connection)
      : connection_(std::move(connection)) {}

  arrow::Result<Receipt> Send(
      const std::string& stream,
      const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches,
      const SendOptions& options) override {
    if (batches.empty())
      return Error(ErrorCode::kInvalidArgument, "nothing to send: no batch, no schema");
    return Send(
        stream,
        [&] { return arrow::RecordBatchReader::Make(batches, batches[0]->schema()); },
        options);
  }

  arrow::Result<Receipt> Send(const std::string& stream, const BatchSource& source,
                              const SendOptions& options) override {
    const client::UploadRequest request = RequestOf(stream, options);
    return client::WithRetries<arrow::Result<Receipt>>(
        connection_->options().retry, Sleep, [](const arrow::Status&) { return true; },
        [&]() -> arrow::Result<Receipt> {
          ARROW_ASSIGN_OR_RAISE(const auto reader, source());
          return SendOnce(connection_, request, *reader);
        });
  }

  arrow::Result<Receipt> Send(const std::string& stream,
                              std::shared_ptr<arrow::RecordBatchReader> reader,
                              const SendOptions& options) override {
    const client::UploadRequest request = RequestOf(stream, options);
    OnceReader once(std::move(reader));
    return client::WithRetries<arrow::Result<Receipt>>(
        connection_->options().retry, Sleep,
        [&](const arrow::Status&) { return !once.was_read(); },
        [&] { return SendOnce(connection_, request, once); });
  }

  arrow::Result<std::unique_ptr<Writer>> OpenWriter(
      const std::string& stream, const std::shared_ptr<arrow::Schema>& schema,
      const WriterOptions& options) override {
    return client::OpenBatchWriter(connection_, stream, schema, options);
  }

  arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> Query(
      const std::string& sql, const QueryOptions& options) override {
    return client::WithRetries<arrow::Result<std::shared_ptr<arrow::RecordBatchReader>>>(
        connection_->options().retry, Sleep,
        [](const arrow::Status& failure) {
          return CodeOf(failure) == ErrorCode::kOverloaded;
        },
        [&] { return client::OpenQuery(connection_, sql, options.route); });
  }

  arrow::Status Ping() override {
    auto results = connection_->flight().DoAction(connection_->CallOptions(),
                                                  arrow::flight::Action{"healthcheck", {}});
    if (!results.ok()) return connection_->Translate(results.status());
    return connection_->Translate((*results)->Drain());
  }

 private:
  /// Knows whether its data was touched: only then a repeat would be short of rows.
  class OnceReader : public arrow::RecordBatchReader {
   public:
    explicit OnceReader(std::shared_ptr<arrow::RecordBatchReader> reader)
        : reader_(std::move(reader)) {}
    std::shared_ptr<arrow::Schema> schema() const override { return reader_->schema(); }
    arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* out) override {
      was_read_ = true;
      return reader_->ReadNext(out);
    }
    bool was_read() const { return was_read_; }

   private:
    const std::shared_ptr<arrow::RecordBatchReader> reader_;
    bool was_read_ = false;
  };

  static client::UploadRequest RequestOf(const std::string& stream,
                                         const SendOptions& options) {
    client::UploadRequest request{stream,           client::CommitMode::kStream,
                                  options.idempotency_key, options.producer,
                                  options.sequence, options.settings};
    if (request.idempotency_key.empty() && request.producer.empty())
      request.idempotency_key = NewRandomId();
    return request;
  }

  const std::shared_ptr<Connection> connection_;
};

}  // namespace

arrow::Result<std::unique_ptr<Client>> Client::Connect(const std::string& url,
                                                       ClientOptions options) {
  ARROW_ASSIGN_OR_RAISE(const client::ServerAddress address, client::ParseServerUrl(url));
  ARROW_ASSIGN_OR_RAISE(auto connection, Connection::Open(address, options));
  return std::make_unique<FlightClientImpl>(std::move(connection));
}

}  // namespace arrowport
