// What the parts of the DuckDB sink share.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "engine/database.h"
#include "sink/duckdb/duckdb_sink.h"
#include "sink/duckdb/table_cache.h"
#include "sink/duckdb/writer.h"

namespace arrowport::sink {

class DuckDbBulkWrite;

/// A commit whose outcome the failing storage did not tell.
struct UncertainCommit {
  int64_t version = 0;
  std::vector<LedgerEntry> entries;
};

struct SinkState {
  SinkState(std::shared_ptr<engine::Database> database, DuckDbSinkOptions options)
      : database(std::move(database)),
        options(options),
        tables(this->database->catalog()) {}

  const std::shared_ptr<engine::Database> database;
  const DuckDbSinkOptions options;
  TableCache tables;

  // Held from BEGIN to COMMIT of a group, around the COMMIT of a bulk load and around
  // DDL: one COMMIT at a time.
  Mutex commit_mutex;
  std::unique_ptr<Writer> writer GUARDED_BY(commit_mutex);
  std::vector<UncertainCommit> uncertain GUARDED_BY(commit_mutex);
  std::vector<LedgerEntry> settled GUARDED_BY(commit_mutex);
  std::atomic<int64_t> version{0};

  // Looks tables up, so that this waits for no running commit; made anew after a
  // reopening.
  Mutex lookup_mutex;
  std::unique_ptr<engine::Connection> lookup GUARDED_BY(lookup_mutex);
  uint64_t lookup_epoch GUARDED_BY(lookup_mutex) = 0;

  // Bulk loads and changes of a table exclude each other.
  struct Latch {
    int bulk_writes = 0;
    bool changing = false;
  };
  Mutex latch_mutex;
  std::condition_variable latch_changed;
  std::map<std::string, Latch> latches GUARDED_BY(latch_mutex);
  std::vector<DuckDbBulkWrite*> bulk_writes GUARDED_BY(latch_mutex);

  // The background thread's orders.
  Mutex keeper_mutex;
  std::condition_variable keeper_wake;
  std::condition_variable keeper_done;
  bool stop GUARDED_BY(keeper_mutex) = false;
  bool checkpoint_wanted GUARDED_BY(keeper_mutex) = false;
  bool bulk_since_checkpoint GUARDED_BY(keeper_mutex) = false;
  Clock::Steady last_commit GUARDED_BY(keeper_mutex){};
  arrow::Status failure GUARDED_BY(keeper_mutex);
  std::thread keeper;

  std::atomic<int64_t> checkpoints{0};
  std::atomic<int64_t> checkpoint_failures{0};
  std::atomic<int64_t> commits_with_failed_checkpoint{0};
  std::atomic<int64_t> group_splits{0};
  std::atomic<int64_t> reopenings{0};

  /// OK, or why the storage cannot be used now.
  arrow::Status Healthy();
  /// After any failed statement: when the storage itself is broken, hands it to the
  /// background thread and gives the status callers should get.
  arrow::Status NoteFailure(const arrow::Status& status);
  /// The table as it is now, on the lookup connection.
  arrow::Result<std::shared_ptr<const Table>> Lookup(const schema::TableName& name);
  /// The writer, made anew when there is none.
  arrow::Result<Writer*> GetWriter() REQUIRES(commit_mutex);
  /// Waits while the log is over its cap. Errors: kOverloaded.
  arrow::Status AwaitLogRoom();
  /// Ends a transaction of `writer` that wrote `entries`: ledger, COMMIT, reconciling.
  /// The new version.
  arrow::Result<int64_t> CommitVersion(Writer& writer,
                                       const std::vector<const LedgerEntry*>& entries)
      REQUIRES(commit_mutex);
  /// Version of a request whose outcome became clear only after a reopening.
  std::optional<std::string> SettledVersion(const std::optional<LedgerEntry>& entry)
      REQUIRES(commit_mutex);
  void WantCheckpoint() EXCLUDES(keeper_mutex);
  void NoteCommit(bool bulk);

  arrow::Status RunCheckpoint();
  arrow::Status ReopenStorage();
  void KeeperLoop();
  void StopKeeper();

  arrow::Status EnterChange(const std::string& table);
  void LeaveChange(const std::string& table);
  arrow::Status EnterBulk(const std::string& table, DuckDbBulkWrite* bulk);
  void LeaveBulk(const std::string& table, DuckDbBulkWrite* bulk);
};

/// Key of a table's latch: DuckDB's names do not tell letter cases apart.
std::string LatchKey(const schema::TableName& name);

}  // namespace arrowport::sink
