// One connection that writes: transactions, planned inserts, and what a COMMIT came to.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "engine/arrow_insert.h"
#include "engine/database.h"
#include "sink/table_sink.h"

namespace arrowport::sink {

enum class CommitResult {
  kCommitted,
  kCommittedCheckpointFailed,  ///< durable; the storage needs reopening
  kRolledBack,
  kUnknown,  ///< the storage failed while committing: only reopening tells
};

/// Caller-locked. Destroying it rolls back.
class Writer {
 public:
  static arrow::Result<std::unique_ptr<Writer>> Make(engine::Database& database);

  engine::Connection& connection() { return *connection_; }

  arrow::Status Begin();
  void Rollback();
  /// `status` says why when nothing was committed for sure.
  CommitResult Commit(arrow::Status* status);

  /// Inserts batches that all have the schema of the first, as the table's columns.
  /// Errors: kSchemaMismatch for a batch that does not carry the table's types or a value
  /// the column's own cast refuses; kConstraintViolation; else as TranslateError.
  arrow::Status Insert(const Table& table,
                       const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches);

  /// A part of a large insert: as Insert, but work may go on behind the call and a
  /// failure may show later. Settle before COMMIT.
  arrow::Status InsertPart(
      const Table& table,
      const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches);
  /// All parts are in the transaction. Errors as Insert.
  arrow::Status Settle();

 private:
  using PlanKey = std::tuple<schema::TableName, uint64_t, std::vector<std::string>,
                             engine::InsertPlan>;
  arrow::Status CheckStorage() const;
  arrow::Status CheckBatches(
      const Table& table,
      const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) const;
  Writer(engine::Database& database, std::unique_ptr<engine::Connection> connection);
  arrow::Result<engine::ArrowInsert*> PlanFor(const Table& table,
                                              const arrow::Schema& schema,
                                              engine::InsertPlan shape);

  engine::Database& database_;
  std::unique_ptr<engine::Connection> connection_;
  std::map<PlanKey, std::unique_ptr<engine::ArrowInsert>> plans_;
  engine::ArrowInsert* unsettled_ = nullptr;  ///< of plans_
};

}  // namespace arrowport::sink
