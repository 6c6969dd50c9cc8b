// Where rows land. One TableSink per storage (a DuckDB file; later one per Delta root);
// the ingest side owns batching across requests, the sink owns one transaction at a time.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "schema/names.h"

namespace arrowport::sink {

struct Column {
  std::string name;
  std::shared_ptr<arrow::DataType> type;  ///< what an inserted batch must carry, exactly
  bool nullable = true;
  bool has_default = false;
};

/// A table as it was at `generation`; immutable.
struct Table {
  schema::TableName name;
  std::vector<Column> columns;
  uint64_t generation = 0;  ///< grows with every DDL the sink did or saw on this table
};

/// What makes a retry recognisable; written in the transaction of the rows it stands for.
struct LedgerEntry {
  std::string table;     ///< TableName::ToString()
  std::string key;       ///< idempotency key, or empty
  std::string sha256;    ///< 32 bytes, content of the request; with key
  std::string producer;  ///< or empty
  int64_t sequence = 0;  ///< with producer: the last sequence covered
  int64_t rows = 0;
  int64_t bytes = 0;
  int64_t batches = 0;
  int64_t committed_at_us = 0;  ///< wall clock, set by the sink
  std::string version;          ///< set by the sink
};

/// One request (or one message of a batch-mode stream): applied wholly or not at all.
struct WriteUnit {
  std::shared_ptr<const Table> table;
  /// Columns: a subset of table->columns, by name, each of exactly that column's type,
  /// validated (ValidateFull). Columns left out take their DEFAULT or NULL.
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
  std::optional<LedgerEntry> ledger;
};

struct WriteOutcome {
  arrow::Status status;
  std::string version;  ///< "duckdb:<n>" when committed
};

/// A large upload in its own transaction, appended piece by piece. Caller-locked; its
/// calls block on the storage. Destroying it rolls back.
class BulkWrite {
 public:
  virtual ~BulkWrite() = default;
  /// As WriteUnit::batches. After a failure only the destructor may follow.
  virtual arrow::Status Append(
      std::vector<std::shared_ptr<arrow::RecordBatch>> batches) = 0;
  /// Commits rows and ledger together. An OK outcome is durable at durability().
  virtual WriteOutcome Commit(std::optional<LedgerEntry> ledger) = 0;
};

enum class TableChange { kAppend, kOverwrite };

/// Thread-safe. Every call may block on the storage.
class TableSink {
 public:
  virtual ~TableSink() = default;

  virtual std::string_view backend() const = 0;     ///< "duckdb"
  virtual std::string_view durability() const = 0;  ///< "file" or "memory"

  /// The table as cached or read now. Errors: kTableNotFound, kStorageUnavailable.
  virtual arrow::Result<std::shared_ptr<const Table>> Open(
      const schema::TableName& name) = 0;

  /// Creates schema and table from `fields`; when another writer made it first, returns
  /// that one. Errors: kUnsupportedType naming the column, kInvalidName.
  virtual arrow::Result<std::shared_ptr<const Table>> Create(
      const schema::TableName& name, const arrow::Schema& fields) = 0;

  /// Adds nullable columns; ones that exist by now are left alone.
  virtual arrow::Result<std::shared_ptr<const Table>> AddColumns(
      const schema::TableName& name, const arrow::FieldVector& fields) = 0;

  /// The Arrow type a column made from `field` has (and batches must be cast to), or
  /// kUnsupportedType. Pure.
  virtual arrow::Result<std::shared_ptr<arrow::DataType>> StoredType(
      const arrow::Field& field) const = 0;

  /// Applies all units in one transaction; when one breaks it, the others still go
  /// through and only the culprit gets the error. outcomes[i] belongs to units[i]. A unit
  /// whose table has changed since (generation) fails with kCommitConflict: the caller
  /// plans it again.
  virtual std::vector<WriteOutcome> CommitGroup(std::span<const WriteUnit> units) = 0;

  /// kOverwrite: the rows of the table are deleted in the same transaction.
  virtual arrow::Result<std::unique_ptr<BulkWrite>> BeginBulk(
      std::shared_ptr<const Table> table, TableChange change) = 0;

  /// Ledger entries not older than `since_us`, oldest first; called once at start.
  virtual arrow::Result<std::vector<LedgerEntry>> LoadLedger(int64_t since_us) = 0;
  /// Drops ledger entries older than `before_us`, but never the newest one of a producer.
  virtual arrow::Status PruneLedger(int64_t before_us) = 0;

  /// Makes the storage compact and restart quick; blocks until done.
  virtual arrow::Status Checkpoint() = 0;
};

}  // namespace arrowport::sink
