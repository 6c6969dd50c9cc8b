// What became of the rows of one batch.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/status.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "arrowport/zerobus/error.h"

namespace arrowport::zerobus {

/// A row that was not delivered. Rows that failed together share their error.
struct FailedRow {
  int64_t index = 0;  ///< in the batch given to the writer
  std::shared_ptr<const arrow::Status> error;
};

struct ErrorStatistics {
  int64_t total_rows = 0;
  int64_t successful_count = 0;
  int64_t failed_count = 0;
  double success_rate = 1.0;  ///< of the rows; 1 for an empty batch
  double failure_rate = 0.0;
  std::map<ErrorKind, int64_t> error_type_counts;
};

/// Immutable once returned. Every row is either in failed_rows() or successful (durable):
/// total_rows() == successful_count() + failed_count() in every case. A batch-level
/// failure puts each row that is not durable into failed_rows() with that error.
class TransmissionResult {
 public:
  TransmissionResult() = default;
  /// `failed_rows` in ascending order of index, each index once and below `total_rows`.
  /// `error`: the batch-level failure or OK.
  TransmissionResult(int64_t total_rows, std::vector<FailedRow> failed_rows,
                     arrow::Status error = {});

  /// No failed rows and no batch-level error. An empty batch is a success.
  bool success() const { return error_.ok() && failed_rows_.empty(); }
  /// Batch-level failure, or OK.
  const arrow::Status& error() const { return error_; }
  /// How often the rows (or what was left of them) were handed to a stream.
  int attempts() const { return attempts_; }
  double latency_ms() const { return latency_ms_; }
  /// Arrow memory of the batch.
  int64_t batch_size_bytes() const { return batch_size_bytes_; }
  int64_t total_rows() const { return total_rows_; }
  int64_t successful_count() const { return total_rows_ - failed_count(); }
  int64_t failed_count() const { return static_cast<int64_t>(failed_rows_.size()); }
  const std::vector<FailedRow>& failed_rows() const { return failed_rows_; }
  /// Ascending; made on each call, 8 bytes a row.
  std::vector<int64_t> successful_rows() const;

  bool IsPartialSuccess() const { return failed_count() > 0 && successful_count() > 0; }
  bool HasFailedRows() const { return failed_count() > 0; }
  bool HasSuccessfulRows() const { return successful_count() > 0; }
  std::vector<int64_t> GetFailedRowIndices() const;
  std::vector<int64_t> GetSuccessfulRowIndices() const { return successful_rows(); }
  std::vector<int64_t> GetFailedRowIndicesByErrorType(ErrorKind kind) const;
  std::map<ErrorKind, std::vector<int64_t>> GroupErrorsByType() const;
  ErrorStatistics GetErrorStatistics() const;
  /// One text per failed row, in order of index.
  std::vector<std::string> GetErrorMessages() const;

  /// The rows of `batch`, the batch that was sent, that failed (or succeeded), in their
  /// order; null when there are none. Runs of rows are sliced, not copied, when they
  /// are one run. Errors: kInvalidArgument when `batch` has another number of rows.
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> ExtractFailedBatch(
      const std::shared_ptr<arrow::RecordBatch>& batch) const;
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> ExtractSuccessfulBatch(
      const std::shared_ptr<arrow::RecordBatch>& batch) const;

  /// For the one who makes the result.
  void set_measures(int attempts, double latency_ms, int64_t batch_size_bytes) {
    attempts_ = attempts;
    latency_ms_ = latency_ms;
    batch_size_bytes_ = batch_size_bytes;
  }

 private:
  int64_t total_rows_ = 0;
  std::vector<FailedRow> failed_rows_;
  arrow::Status error_;
  int attempts_ = 0;
  double latency_ms_ = 0;
  int64_t batch_size_bytes_ = 0;
};

}  // namespace arrowport::zerobus
