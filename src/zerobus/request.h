// A request: what has one offset and is acknowledged, refused and replayed as one.
#pragma once

#include <arrow/buffer.h>
#include <arrow/ipc/writer.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <cstdint>
#include <memory>

namespace arrowport::zerobus {

/// Whether rows failed by themselves or with everything else of their stream.
enum class FailureScope { kRows, kStream };

/// The batch behind requests, told what becomes of its rows. Rows are counted as they
/// were encoded: those that failed conversion are left out. Thread-safe.
class Delivery {
 public:
  virtual ~Delivery() = default;
  /// Rows first_row .. first_row + rows - 1 are durable (`error` null) or failed. Each
  /// row once. Called outside locks; must not block.
  virtual void OnSettled(int64_t first_row, int64_t rows,
                         const std::shared_ptr<const arrow::Status>& error,
                         FailureScope scope) = 0;
  /// Those rows of the batch, in its schema.
  virtual arrow::Result<std::shared_ptr<arrow::RecordBatch>> Rows(int64_t first_row,
                                                                  int64_t rows) const = 0;
  /// Whether rows that are not durable at the end are kept for TakeUnacknowledged.
  virtual bool kept_by_writer() const = 0;
};

/// A value; copies share the bytes.
struct Request {
  int64_t rows = 0;
  int64_t bytes = 0;  ///< encoded, counted against the window
  /// Record modes: the entries of a record batch, each tag 0x0A, varint length, bytes.
  std::shared_ptr<arrow::Buffer> records;
  /// Flight: the rows in the stream's schema, and their encoded form.
  std::shared_ptr<arrow::RecordBatch> batch;
  std::shared_ptr<const arrow::ipc::IpcPayload> payload;

  std::shared_ptr<Delivery> delivery;
  int64_t first_row = 0;  ///< in the delivery's count
};

}  // namespace arrowport::zerobus
