// Whole row groups appended to a table below DuckDB's planner, several at a time: each is
// built, and in a file compressed and written, by one thread while the next ones arrive.
// Against a planned INSERT for every piece of an upload this saves joining batches,
// waiting for a second row group before the first is begun, and the executor's busy
// waiting.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <memory>
#include <vector>

#include "engine/arrow_insert.h"

namespace arrowport::engine {

/// Caller-locked, together with its connection, which must outlive it. Uses the threads
/// of DuckDB's scheduler and the caller's own.
class RowGroupAppend {
 public:
  /// Nothing when the table needs a plan (as DirectAppend) or has an index or a
  /// constraint other than NOT NULL. REQUIRES: an open transaction. Errors as
  /// TranslateError.
  static arrow::Result<std::unique_ptr<RowGroupAppend>> Prepare(
      Connection& connection, const ArrowInsertTarget& target);

  /// Waits for the threads; what is not settled is given up, to be rolled back.
  ~RowGroupAppend();

  /// One row group: at most kRowGroupRows rows. Leaves it to DuckDB's threads, or works
  /// itself while more are unfinished than there are threads: memory is held for one row
  /// group a thread and one more, and no new one is begun over 64 MiB. A failure may show
  /// only in a later call; after one only the destructor may follow, and the transaction
  /// must be rolled back. Errors as TranslateError; kCommitConflict when the table has been
  /// altered.
  arrow::Status Add(std::vector<std::shared_ptr<arrow::RecordBatch>> row_group);

  /// All rows are in the transaction, in the order they were added. To be called before
  /// anything else writes to the table and before COMMIT. The transaction must have got a
  /// full row group in all: DuckDB writes less than that in another way.
  arrow::Status Settle();

 private:
  struct Impl;
  explicit RowGroupAppend(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace arrowport::engine
