// Where rows land. One TableSink per storage (a DuckDB file, a folder of Delta tables);
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

#include "schema/cast_plan.h"
#include "schema/names.h"

namespace arrowport::sink {

struct Column {
  std::string name;
  std::shared_ptr<arrow::DataType> type;  ///< what an inserted batch must carry, exactly
  bool nullable = true;
  bool has_default = false;
};

enum class Standing {
  kPresent,    ///< the table is like that
  kInCommit,   ///< it will be, by the commit of the first unit that names this Table
  kToPrepare,  ///< it will be, once TableSink::Prepare has made or changed it
};

/// A table as it was at `generation`, or as it will be; immutable. Given back only to the
/// sink it came from.
struct Table {
  virtual ~Table() = default;

  schema::TableName name;
  std::vector<Column> columns;
  uint64_t generation = 0;  ///< grows with every DDL the sink did or saw on this table
  Standing standing = Standing::kPresent;
};

/// How a request wants its rows stored; a sink ignores what it has no use for.
struct WriteOptions {
  schema::SchemaMode schema_mode = schema::SchemaMode::kStrict;
  std::vector<std::string> partition_by;  ///< of a table that is made
  bool type_widening = false;             ///< kWiden may change the type of a column
  std::string compression = "snappy";     ///< of data files
  int64_t target_file_bytes = int64_t{128} << 20;

  bool operator==(const WriteOptions&) const = default;
};

/// What makes a retry recognisable; written in the transaction of the rows it stands for.
struct LedgerEntry {
  std::string table;           ///< TableName::ToString()
  std::string key;             ///< idempotency key, or empty
  std::string sha256;          ///< 32 bytes, content of the request; with key
  std::string producer;        ///< or empty
  int64_t sequence = 0;        ///< with producer: the last sequence covered
  int64_t first_sequence = 0;  ///< with producer: the first; not stored
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
  std::shared_ptr<const WriteOptions> options;  ///< those the table was planned with
};

struct WriteOutcome {
  arrow::Status status;
  std::string version;  ///< "duckdb:<n>", "delta:<table>:<n>" when committed
  /// The ledger held the unit's key or sequence already, by another process: nothing was
  /// written.
  bool replayed = false;
  int64_t rows = 0;  ///< of the first commit, when replayed by a key
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

/// What commits one after the other: everything, or the writes of one table.
enum class CommitScope { kStorage, kTable };

/// What tells tables of different names apart.
enum class NameCase { kIgnored, kSignificant };

/// How a storage likes the rows of BulkWrite::Append.
struct BulkShape {
  int64_t piece_rows = 2 * 122880;  ///< of one call, as long as there are more
  bool joined = true;  ///< small batches joined to row groups, which copies them
};

/// Thread-safe. Every call may block on the storage.
class TableSink {
 public:
  virtual ~TableSink() = default;

  virtual std::string_view backend() const = 0;     ///< "duckdb"
  virtual std::string_view durability() const = 0;  ///< "file" or "memory"
  virtual CommitScope commit_scope() const { return CommitScope::kStorage; }
  virtual NameCase name_case() const { return NameCase::kIgnored; }
  virtual BulkShape bulk_shape() const { return {}; }

  /// Rules for table names beyond those of schema::ParseRoutedTable. Errors:
  /// kInvalidName.
  virtual arrow::Status CheckName(const schema::TableName& name) const { return {}; }

  /// The table as cached or read now. Errors: kTableNotFound, kStorageUnavailable.
  virtual arrow::Result<std::shared_ptr<const Table>> Open(
      const schema::TableName& name) = 0;

  /// Whether there is room for more; asked before an upload is taken in. Errors:
  /// kNoSpace.
  virtual arrow::Status CheckRoom() const { return {}; }

  /// The table that takes rows of `incoming`: as it is, or as it will be where it has to
  /// be made or, if `options` allow it, changed. Changes nothing itself: what is refused
  /// later must not have made a table. Errors: kSchemaMismatch, kUnsupportedType naming
  /// the column, kInvalidName, kStorageUnavailable, kNotBuilt.
  virtual arrow::Result<std::shared_ptr<const Table>> Plan(
      const schema::TableName& name, const std::shared_ptr<arrow::Schema>& incoming,
      const WriteOptions& options) = 0;

  /// As Plan, on the table read afresh, and never kToPrepare: makes or changes the table
  /// where that is not part of the commit.
  virtual arrow::Result<std::shared_ptr<const Table>> Prepare(
      const schema::TableName& name, const std::shared_ptr<arrow::Schema>& incoming,
      const WriteOptions& options) = 0;

  /// Applies all units in one transaction; when one breaks it, the others still go
  /// through and only the culprit gets the error. outcomes[i] belongs to units[i]. A unit
  /// whose table has changed since (generation) so that it no longer fits fails with
  /// kCommitConflict: the caller prepares it again. With CommitScope::kTable each table
  /// has a transaction of its own.
  virtual std::vector<WriteOutcome> CommitGroup(std::span<const WriteUnit> units) = 0;

  /// kOverwrite: the rows of the table are deleted in the same transaction.
  virtual arrow::Result<std::unique_ptr<BulkWrite>> BeginBulk(
      std::shared_ptr<const Table> table, TableChange change,
      const WriteOptions& options) = 0;

  /// Ledger entries not older than `since_us`, oldest first; called once at start. A sink
  /// whose ledger lies with each table gives none and answers the Recalls.
  virtual arrow::Result<std::vector<LedgerEntry>> LoadLedger(int64_t since_us) = 0;
  /// The entry of a key, or the newest one of a producer, that LoadLedger did not give.
  virtual arrow::Result<std::optional<LedgerEntry>> RecallKey(
      const schema::TableName& name, const std::string& key) {
    return std::nullopt;
  }
  virtual arrow::Result<std::optional<LedgerEntry>> RecallProducer(
      const schema::TableName& name, const std::string& producer) {
    return std::nullopt;
  }
  /// Drops ledger entries older than `before_us`, but never the newest one of a producer.
  virtual arrow::Status PruneLedger(int64_t before_us) = 0;

  /// Makes the storage compact and restart quick; blocks until done.
  virtual arrow::Status Checkpoint() = 0;
};

}  // namespace arrowport::sink
