#pragma once

#include <memory>
#include <string>

#include "base/mutex.h"
#include "sink/duckdb/sink_state.h"

namespace arrowport::sink {

/// A bulk load on a connection of its own. Caller-locked, but for Abandon.
class DuckDbBulkWrite final : public BulkWrite {
 public:
  static arrow::Result<std::unique_ptr<BulkWrite>> Begin(
      std::shared_ptr<SinkState> state, std::shared_ptr<const Table> table,
      TableChange change);
  ~DuckDbBulkWrite() override;

  arrow::Status Append(std::vector<std::shared_ptr<arrow::RecordBatch>> batches) override;
  WriteOutcome Commit(std::optional<LedgerEntry> ledger) override;

  /// Gives up the connection so that the failed storage can be closed; later calls fail.
  /// From any thread.
  void Abandon();

 private:
  DuckDbBulkWrite(std::shared_ptr<SinkState> state, std::shared_ptr<const Table> table);
  arrow::Status Start(TableChange change);
  arrow::Status Settle();
  arrow::Status Fail(const arrow::Status& status) REQUIRES(mutex_);

  const std::shared_ptr<SinkState> state_;
  const std::shared_ptr<const Table> table_;
  const std::string latch_key_;
  bool latched_ = false;
  Mutex mutex_;
  std::unique_ptr<Writer> writer_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::sink
