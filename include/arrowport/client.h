// The client of an Arrowport server: lands record batches durably and exactly once, and
// queries them back. Needs Arrow C++ with Flight; this header only std and Arrow types.
//
//   ARROW_ASSIGN_OR_RAISE(auto client, arrowport::Client::Connect("http://127.0.0.1:8888"));
//   ARROW_ASSIGN_OR_RAISE(auto receipt, client->Send("events", {batch}));
//   ARROW_ASSIGN_OR_RAISE(auto rows, client->Query("SELECT count(*) FROM events"));
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "arrowport/error.h"
#include "arrowport/options.h"
#include "arrowport/version.h"

namespace arrowport {

/// A long-lived upload in which every batch is durable on its own. Thread-safe, except
/// that Write keeps the order of its callers.
class Writer {
 public:
  virtual ~Writer() = default;
  /// Sends a batch and returns its offset (from 0) without waiting for its
  /// acknowledgement; waits while too much is unacknowledged. After an error everything
  /// acknowledged stays and the writer is dead; but a batch of another schema is refused
  /// (INVALID_ARGUMENT) and the writer goes on.
  virtual arrow::Result<int64_t> Write(const std::shared_ptr<arrow::RecordBatch>& batch) = 0;
  /// Waits until every batch written before is durable.
  virtual arrow::Status Flush() = 0;
  /// Ends the upload once every batch is durable. Idempotent; the destructor does it too.
  virtual arrow::Result<Receipt> Close() = 0;
  /// Offset of the last acknowledged batch, -1 before the first. After an error one or two
  /// more may be durable: Arrow's client can drop an acknowledgement that arrives beside
  /// it. A producer learns the truth when it opens the next writer.
  virtual int64_t acknowledged_offset() const = 0;
  /// What the server had applied for this producer when the writer was opened.
  virtual std::optional<int64_t> producer_last_sequence() const = 0;
};

/// Opens the data from its start; called once per attempt.
using BatchSource =
    std::function<arrow::Result<std::shared_ptr<arrow::RecordBatchReader>>()>;

/// Thread-safe.
class Client {
 public:
  /// `url`: http://, https://, grpc://, grpc+tls:// or just host[:port]; port 8888 unless
  /// given. Does not wait for the server. Errors: INVALID_ARGUMENT, BAD_CONFIG (TLS
  /// files).
  static arrow::Result<std::unique_ptr<Client>> Connect(const std::string& url,
                                                        ClientOptions options = {});
  virtual ~Client() = default;

  /// Lands the batches as one transaction. Retriable failures are retried under the same
  /// idempotency key (or producer and sequence): applied once, whatever got lost.
  virtual arrow::Result<Receipt> Send(
      const std::string& stream,
      const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches,
      const SendOptions& options = {}) = 0;
  /// As above for data that can be opened again.
  virtual arrow::Result<Receipt> Send(const std::string& stream, const BatchSource& source,
                                      const SendOptions& options = {}) = 0;
  /// As above for data that comes only once: retried only before its first batch is read.
  virtual arrow::Result<Receipt> Send(const std::string& stream,
                                      std::shared_ptr<arrow::RecordBatchReader> reader,
                                      const SendOptions& options = {}) = 0;

  virtual arrow::Result<std::unique_ptr<Writer>> OpenWriter(
      const std::string& stream, const std::shared_ptr<arrow::Schema>& schema,
      const WriterOptions& options = {}) = 0;

  /// Rows as they come; the reader stays valid after the client is gone. Refusals for
  /// want of room are retried, lost connections are not: the statement may have run.
  virtual arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> Query(
      const std::string& sql, const QueryOptions& options = {}) = 0;

  /// Whether a server answers. Errors: UNREACHABLE.
  virtual arrow::Status Ping() = 0;
};

}  // namespace arrowport
