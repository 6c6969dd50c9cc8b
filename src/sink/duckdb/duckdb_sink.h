// The TableSink of a DuckDB storage, a file or in memory.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "engine/arrow_insert.h"
#include "engine/database.h"
#include "sink/ddl_table_sink.h"

namespace arrowport::sink {

struct SinkState;

struct DuckDbSinkOptions {
  /// A background CHECKPOINT runs when the write-ahead log is larger.
  int64_t checkpoint_wal_bytes = int64_t{64} << 20;
  /// Commits wait for a checkpoint when the log is larger: bounds the replay at start.
  int64_t wal_bytes_max = int64_t{512} << 20;
  /// How long they wait before kOverloaded.
  int64_t wal_wait_ms = 10000;
  /// After bulk loads, a CHECKPOINT runs once no commit came for this long: it returns
  /// freed blocks, which the log's size does not show.
  int64_t idle_checkpoint_ms = 5000;
  /// How long a change of a table waits for the bulk loads into it to end.
  int64_t ddl_wait_ms = 10000;
  /// How long an ordered checkpoint waits for the transactions under way.
  int64_t checkpoint_wait_ms = 30000;
  int64_t free_space_min = 0;  ///< bytes; CheckRoom fails below
  const Clock* clock = &SystemClock();
  /// Told how long each checkpoint that succeeded took; may be null, must not block.
  std::function<void(std::chrono::nanoseconds)> on_checkpoint;
};

struct DuckDbSinkCounters {
  int64_t checkpoints = 0;
  int64_t checkpoint_failures = 0;
  int64_t commits_with_failed_checkpoint = 0;
  int64_t group_splits = 0;  ///< groups tried again in parts to find a culprit
  int64_t reopenings = 0;
};

/// Thread-safe. One COMMIT runs at a time. After a fatal failure of the storage every
/// call is refused (kStorageUnavailable, kNoSpace) while a background thread reopens it;
/// what a failing COMMIT came to is read from the reopened storage. The database must
/// not be reopened by anyone else.
class DuckDbSink final : public DdlTableSink {
 public:
  /// Creates the ledger in a new storage and starts the background thread.
  static arrow::Result<std::unique_ptr<DuckDbSink>> Make(
      std::shared_ptr<engine::Database> database, DuckDbSinkOptions options = {});
  /// Stops the thread. REQUIRES: no call is running, no BulkWrite is left.
  ~DuckDbSink() override;

  std::string_view backend() const override;
  std::string_view durability() const override;
  BulkShape bulk_shape() const override { return {engine::kRowGroupRows, false}; }
  arrow::Status CheckRoom() const override;
  arrow::Result<std::shared_ptr<const Table>> Open(
      const schema::TableName& name) override;
  arrow::Result<std::shared_ptr<const Table>> Create(
      const schema::TableName& name, const arrow::Schema& fields) override;
  arrow::Result<std::shared_ptr<const Table>> AddColumns(
      const schema::TableName& name, const arrow::FieldVector& fields) override;
  arrow::Result<std::shared_ptr<arrow::DataType>> StoredType(
      const arrow::Field& field) const override;
  std::vector<WriteOutcome> CommitGroup(std::span<const WriteUnit> units) override;
  arrow::Result<std::unique_ptr<BulkWrite>> BeginBulk(
      std::shared_ptr<const Table> table, TableChange change,
      const WriteOptions& options = {}) override;
  /// Besides entries since `since_us`, the newest of each (producer, table).
  arrow::Result<std::vector<LedgerEntry>> LoadLedger(int64_t since_us) override;
  arrow::Status PruneLedger(int64_t before_us) override;
  /// Waits for transactions under way, at most DuckDbSinkOptions::checkpoint_wait_ms.
  /// Errors: kOverloaded when one is still there then.
  arrow::Status Checkpoint() override;

  /// For writers beside this sink (SQL): between the two no group commits. False when
  /// `wait` passed first. The thread that locked unlocks.
  bool LockCommitsFor(std::chrono::milliseconds wait);
  void UnlockCommits();

  /// The last committed version: every transaction that starts now sees it.
  int64_t version() const;
  DuckDbSinkCounters counters() const;

 private:
  explicit DuckDbSink(std::shared_ptr<SinkState> state);
  std::shared_ptr<SinkState> state_;
};

}  // namespace arrowport::sink
