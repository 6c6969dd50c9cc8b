// DuckDB in this process, no network: the denominator of every ratio.
#pragma once

#include <arrow/result.h>

#include <memory>
#include <string>

#include "workloads.h"

namespace arrowport::bench {

enum class InsertOrder { kKept, kFree };

struct ExportTimes {
  int64_t rows = 0;
  double seconds = 0;
  double first_batch_seconds = 0;
};

/// One DuckDB database; not thread-safe.
class InProcess {
 public:
  /// `path` empty: in memory. Automatic checkpoints are off: they would only slow it down.
  static arrow::Result<std::unique_ptr<InProcess>> Open(const std::string& path);
  ~InProcess();

  arrow::Status Run(const std::string& sql);
  /// All batches in one transaction through `arrow_scan`, slices of at most 122,880 rows;
  /// creates the table at first. The fastest way in that DuckDB has (one transaction).
  arrow::Status Insert(const std::string& table, const Batches& batches, InsertOrder order);
  /// The same batch again and again, each time as its own transaction, for `seconds`;
  /// transactions a second. Relation over `arrow_scan`.
  arrow::Result<double> CommitRateByScan(const std::string& table,
                                         const std::shared_ptr<arrow::RecordBatch>& batch,
                                         double seconds);
  /// As above through the C API's appender and data chunks.
  arrow::Result<double> CommitRateByAppender(
      const std::string& table, const std::shared_ptr<arrow::RecordBatch>& batch,
      double seconds);
  /// Streams a query to Arrow batches of `batch_rows` and drops them.
  arrow::Result<ExportTimes> Export(const std::string& sql, int64_t batch_rows);

 private:
  struct Impl;
  explicit InProcess(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace arrowport::bench
