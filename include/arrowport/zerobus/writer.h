// Sends Arrow record batches into a Databricks table by Zerobus. Needs Arrow C++; this
// header only std and Arrow types.
//
//   ARROW_ASSIGN_OR_RAISE(auto writer, arrowport::zerobus::ZerobusWriter::Make(options));
//   auto result = writer->SendBatch(batch);
//   if (!result.success()) ...
//   ARROW_RETURN_NOT_OK(writer->Shutdown());
//
// The guarantee is at least once: rows that were durable but not acknowledged when a
// connection broke are sent again, and only those may appear twice.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/status.h>
#include <arrow/util/future.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arrowport/zerobus/error.h"
#include "arrowport/zerobus/options.h"
#include "arrowport/zerobus/result.h"

namespace arrowport::zerobus {

/// What several writers share: the I/O thread, the callback thread, cached tokens.
/// Thread-safe. It lives until its last writer is gone.
class Client {
 public:
  static arrow::Result<std::shared_ptr<Client>> Make();
  virtual ~Client() = default;
};

struct SendOptions {
  /// A serialized DescriptorProto to encode against, instead of the one made from the
  /// table's columns (or, without a Unity Catalog, the batch's schema). kProto only.
  std::string descriptor;
};

/// A batch that was accepted.
struct PendingSend {
  /// Logical offsets of its requests; first > last when no request was needed (empty
  /// batch, every row failed conversion, writer disabled).
  int64_t first_offset = 0;
  int64_t last_offset = -1;
  /// Finishes when every row is durable or failed; continuations run on the client's
  /// callback thread.
  arrow::Future<TransmissionResult> result;
};

/// Rows that were accepted and are not durable.
struct UnacknowledgedBatch {
  int64_t offset = 0;  ///< logical, of the request
  std::shared_ptr<arrow::RecordBatch> batch;
};

struct WriterStatistics {
  int64_t batches_sent = 0;
  int64_t rows_durable = 0;
  int64_t rows_failed = 0;
  int64_t arrow_bytes = 0;
  int64_t encoded_bytes = 0;
  int64_t requests_sent = 0;  ///< replays included
  int64_t requests_replayed = 0;
  int64_t acks_received = 0;
  int64_t acks_without_progress = 0;  ///< equal or lower than the one before
  int64_t protocol_errors = 0;
  int64_t reconnects_after_failure = 0;
  int64_t rotations = 0;
  int64_t tokens_minted = 0;
  int64_t streams_opened = 0;
  int64_t in_flight_requests = 0;
  int64_t in_flight_bytes = 0;
  int64_t callbacks_dropped = 0;  ///< still due when callback_max_wait ended
};

/// Thread-safe; conversion of several callers' batches runs in parallel.
class ZerobusWriter {
 public:
  /// Checks the options and the certificates; opens no connection: the first batch does.
  /// Errors: Configuration.
  static arrow::Result<std::unique_ptr<ZerobusWriter>> Make(const Options& options);
  /// Gives up what is not durable yet, at once: call Shutdown before.
  virtual ~ZerobusWriter() = default;

  /// Converts, sends and waits until every row is durable or failed. Rows that cannot be
  /// converted are in failed_rows and never stop others. When the stream fails in a way
  /// that may pass, the rows that are not durable are sent again, at most
  /// `retry.attempts_max` times in all. Never throws; the error is in the result.
  virtual TransmissionResult SendBatch(const std::shared_ptr<arrow::RecordBatch>& batch,
                                       const SendOptions& options = {}) = 0;

  /// Converts and accepts the batch and returns while it is under way; waits (or fails
  /// with Transmission, by `back_pressure`) while too much is in flight. The stream
  /// recovers as ever; a stream that failed for good fails the result, and the next send
  /// opens a new one. Errors: nothing of the batch was accepted.
  virtual arrow::Result<PendingSend> SendAsync(
      const std::shared_ptr<arrow::RecordBatch>& batch,
      const SendOptions& options = {}) = 0;

  /// Waits until everything accepted before is durable, at most `flush_timeout`.
  /// Errors: of the stream, if it failed with rows not durable; Closed after a time-out
  /// (the rows stay under way).
  virtual arrow::Status Flush() = 0;
  /// Waits until the request of this logical offset, and all before it, are settled.
  virtual arrow::Status WaitForOffset(int64_t offset) = 0;

  /// Takes no more batches, flushes, ends the connections, waits for the callbacks.
  /// Bounded by flush_timeout, 500 ms per connection and callback_max_wait. Idempotent,
  /// from any thread; later calls give the first one's answer. OK when every row is
  /// durable, even if the connection broke or rotated meanwhile.
  virtual arrow::Status Shutdown() = 0;

  /// Rows given to SendAsync that were accepted and were not durable when their stream
  /// failed or was closed, in order, each request on its own; of one partly durable, the
  /// rest. (Those of a SendBatch are in its result.) A second call gives only what came
  /// since. At most as many as may be in flight are kept, the newest.
  virtual arrow::Result<std::vector<UnacknowledgedBatch>> TakeUnacknowledged() = 0;

  virtual WriterStatistics statistics() const = 0;
};

}  // namespace arrowport::zerobus
