// INSERT of Arrow record batches, planned once and run many times. The rows come from a
// table function of ours that reads batches handed to the connection, so no statement
// ever carries a pointer, nothing is left in the catalog, and arrays are read where they
// are.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/database.h"
#include "schema/names.h"

namespace arrowport::engine {

/// Rows of one DuckDB row group: from here on an insert writes compressed blocks instead
/// of logging rows, and a second thread helps.
inline constexpr int64_t kRowGroupRows = 122880;

enum class InsertPlan {
  kRows,       ///< one thread, rows in the order given: for less than a row group
  kRowGroups,  ///< all threads, each takes a row group at a time, order kept
};

struct ArrowInsertTarget {
  std::string catalog;
  schema::TableName table;
  /// Columns to fill, by name, and the Arrow types batches carry.
  std::shared_ptr<arrow::Schema> columns;
};

/// Caller-locked, together with its connection, which must outlive it.
class ArrowInsert {
 public:
  /// Errors as TranslateError: kTableNotFound, kColumnNotFound, kBadQuery ...
  static arrow::Result<std::unique_ptr<ArrowInsert>> Prepare(Connection& connection,
                                                             ArrowInsertTarget target,
                                                             InsertPlan plan);
  ~ArrowInsert();

  /// Inserts the rows of `batches` (validated, columns as the target's) in the
  /// connection's current transaction. With kRowGroups some of the work may go on behind
  /// the call, and rows short of a row group are held: Settle before anything else is
  /// done in the transaction. Plans again by itself when the catalog has changed.
  arrow::Status Run(const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches);

  /// Everything given to Run is in the transaction, or this says why not.
  arrow::Status Settle();

  /// Forgets what is not settled; for a transaction that is rolled back.
  void Drop();

 private:
  struct Impl;
  explicit ArrowInsert(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Makes the table function known to a new instance. Called by Database.
arrow::Status RegisterArrowInsert(duckdb::DuckDB& instance);

}  // namespace arrowport::engine
