// Events of a writer, for metrics, traces and debug files.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/status.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

#include "arrowport/zerobus/result.h"

namespace arrowport::zerobus {

enum class ReconnectCause { kRotation, kFailure, kAuthentication, kRejectedRequest };

struct RequestEvent {
  int64_t offset = 0;  ///< logical, of the writer
  int64_t rows = 0;
  int64_t encoded_bytes = 0;  ///< without envelope
  /// Of an ack or a failure: these are the last rows of the request.
  bool is_last = true;
};

/// Every method may be called from several threads at once and must return soon: some
/// run on the I/O thread. An observer never fails a send. Methods do nothing by default.
class WriterObserver {
 public:
  virtual ~WriterObserver() = default;

  /// A batch was given to the writer, before it is encoded; once, not again on retry.
  virtual void OnBatch(const arrow::RecordBatch& batch) {}
  /// The descriptor (or, in Flight mode, the IPC schema message) of a new stream. It is
  /// that of every OnEncoded after it and before the next. With the writer disabled it is
  /// told when it changes.
  virtual void OnDescriptor(std::string_view descriptor) {}
  /// Encoded rows of a request: in record mode `records` is a sequence of field 1
  /// entries, tag 0x0A, varint length, bytes. Once, not again on retry or replay.
  virtual void OnEncoded(std::string_view records, int64_t rows) {}
  /// A batch was encoded; its rows that failed conversion are not in `encoded_bytes`.
  virtual void OnConverted(int64_t rows, int64_t failed_rows, int64_t arrow_bytes,
                           int64_t encoded_bytes, std::chrono::nanoseconds time) {}

  /// Flush or Shutdown is about to return.
  virtual void OnFlush() {}
  /// Shutdown is about to return; after OnFlush, once.
  virtual void OnShutdown() {}

  virtual void OnRequestSent(const RequestEvent& request, bool replay) {}
  virtual void OnRequestAcked(const RequestEvent& request,
                              std::chrono::nanoseconds since_sent) {}
  virtual void OnRequestFailed(const RequestEvent& request, const arrow::Status& error) {}
  virtual void OnInFlight(int64_t requests, int64_t bytes) {}
  /// After `time` of an attempt, token included.
  virtual void OnConnected(std::string_view stream_id, std::chrono::nanoseconds time) {}
  virtual void OnConnectFailed(const arrow::Status& error,
                               std::chrono::nanoseconds time) {}
  /// Attempt `attempt` (from 1 within an outage) follows after `wait`.
  virtual void OnReconnect(ReconnectCause cause, int attempt,
                           std::chrono::milliseconds wait, const arrow::Status& error) {}
  virtual void OnTokenMinted(bool success, std::chrono::nanoseconds time) {}
  /// A send is over: durable, failed or both.
  virtual void OnSendFinished(const TransmissionResult& result,
                              std::chrono::nanoseconds time) {}
};

}  // namespace arrowport::zerobus
