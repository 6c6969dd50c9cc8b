#include "client/query_reader.h"

#include <vector>

#include "client/messages.h"

namespace arrowport::client {
namespace {

namespace flight = arrow::flight;

/// Caller-locked. Dropping it before its end cancels the call.
class QueryReader : public arrow::RecordBatchReader {
 public:
  QueryReader(std::shared_ptr<Connection> connection,
              std::vector<flight::FlightEndpoint> endpoints)
      : home_(std::move(connection)), endpoints_(std::move(endpoints)) {}

  ~QueryReader() override {
    if (stream_) stream_->Cancel();
  }

  arrow::Status Start(std::shared_ptr<arrow::Schema> schema_of_info) {
    schema_ = std::move(schema_of_info);
    if (endpoints_.empty()) {
      return schema_ ? arrow::Status::OK()
                     : Error(ErrorCode::kInternal, "the server named no place of results");
    }
    ARROW_RETURN_NOT_OK(OpenNext());
    auto schema = stream_->GetSchema();
    if (!schema.ok()) return channel_->Translate(schema.status());
    schema_ = *schema;
    return {};
  }

  std::shared_ptr<arrow::Schema> schema() const override { return schema_; }

  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* out) override {
    out->reset();
    while (stream_) {
      auto chunk = stream_->Next();
      if (!chunk.ok()) {
        stream_.reset();
        return channel_->Translate(chunk.status());
      }
      if (chunk->data) {
        *out = std::move(chunk->data);
        return {};
      }
      // A message of metadata only is not the end.
      if (chunk->app_metadata) continue;
      stream_.reset();
      if (next_ < endpoints_.size()) ARROW_RETURN_NOT_OK(OpenNext());
    }
    return {};
  }

  arrow::Status Close() override {
    if (stream_) stream_->Cancel();
    stream_.reset();
    return {};
  }

 private:
  arrow::Status OpenNext() {
    const flight::FlightEndpoint& endpoint = endpoints_[next_++];
    channel_ = home_;
    if (!endpoint.locations.empty() &&
        endpoint.locations[0].scheme() != "arrow-flight-reuse-connection") {
      ARROW_ASSIGN_OR_RAISE(const ServerAddress address,
                            ParseServerUrl(endpoint.locations[0].ToString()));
      ARROW_ASSIGN_OR_RAISE(channel_, Connection::Open(address, home_->options()));
    }
    auto stream = channel_->flight().DoGet(channel_->CallOptions(), endpoint.ticket);
    if (!stream.ok()) return channel_->Translate(stream.status());
    stream_ = std::move(stream).ValueOrDie();
    return {};
  }

  const std::shared_ptr<Connection> home_;
  std::shared_ptr<Connection> channel_;  // outlives stream_
  const std::vector<flight::FlightEndpoint> endpoints_;
  size_t next_ = 0;
  std::unique_ptr<flight::FlightStreamReader> stream_;
  std::shared_ptr<arrow::Schema> schema_;
};

}  // namespace

arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> OpenQuery(
    std::shared_ptr<Connection> connection, const std::string& sql, QueryRoute route) {
  std::vector<flight::FlightEndpoint> endpoints;
  std::shared_ptr<arrow::Schema> schema;
  if (route == QueryRoute::kTicket) {
    flight::FlightEndpoint endpoint;
    endpoint.ticket.ticket = sql;
    endpoints.push_back(std::move(endpoint));
  } else {
    auto info = connection->flight().GetFlightInfo(
        connection->CallOptions(),
        flight::FlightDescriptor::Command(StatementQueryCommand(sql)));
    if (!info.ok()) return connection->Translate(info.status());
    endpoints = (*info)->endpoints();
    if (endpoints.empty()) {
      arrow::ipc::DictionaryMemo memo;
      ARROW_ASSIGN_OR_RAISE(schema, (*info)->GetSchema(&memo));
    }
  }
  auto reader = std::make_shared<QueryReader>(std::move(connection), std::move(endpoints));
  ARROW_RETURN_NOT_OK(reader->Start(std::move(schema)));
  return reader;
}

}  // namespace arrowport::client
