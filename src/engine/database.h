// The one DuckDB instance of the process. Its storage (a file or :memory:) is ATTACHed to
// an in-memory instance, so that a poisoned or replaced file can be detached and attached
// again without ending the process. Exceptions of DuckDB end in this folder.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace duckdb {
class Connection;
class DuckDB;
}  // namespace duckdb

namespace arrowport::engine {

struct DatabaseOptions {
  std::string path = "arrowport.duckdb";     ///< or ":memory:"
  int64_t memory_limit_bytes = 0;            ///< 0: DuckDB's default
  int threads = 0;                           ///< 0: all cores
  std::string temp_directory;                ///< empty: beside the file
  std::vector<std::string> extension_paths;  ///< files to LOAD
};

/// A DuckDB connection whose default catalog is the storage. Caller-locked.
class Connection {
 public:
  ~Connection();
  duckdb::Connection& duckdb() { return *connection_; }
  /// Runs statements whose rows nobody wants. Errors as TranslateError.
  arrow::Status Run(const std::string& sql);

  /// A transaction without the cost of statements (parsing BEGIN and COMMIT and waking an
  /// executor for each took 0.25 ms). REQUIRES: none is open / one is open.
  arrow::Status Begin();
  struct CommitOutcome {
    bool committed = false;  ///< durable, also with a failed checkpoint behind it
    arrow::Status status;    ///< why not, or what failed after it
  };
  CommitOutcome Commit();
  /// OK also when none is open.
  arrow::Status Rollback();
  bool InTransaction() const;

 private:
  friend class Database;
  explicit Connection(std::unique_ptr<duckdb::Connection> connection);
  std::unique_ptr<duckdb::Connection> connection_;
};

/// Thread-safe.
class Database {
 public:
  /// Errors: kStorageUnavailable naming the process that holds the file, kStorageCorrupt
  /// saying what failed (the file is left untouched), kNoSpace.
  static arrow::Result<std::shared_ptr<Database>> Open(DatabaseOptions options);
  ~Database();

  arrow::Result<std::unique_ptr<Connection>> Connect();

  /// Runs `install` on the instance now and on each one that replaces it, before that one
  /// serves connections; for catalogs and functions that other folders add. Errors: what
  /// `install` returns; it is then not kept.
  arrow::Status Install(std::function<arrow::Status(duckdb::DuckDB&)> install);

  bool in_memory() const;
  const std::string& path() const;
  /// Name of the catalog that the storage is attached as.
  const std::string& catalog() const;
  /// Size of the write-ahead log beside the file now, 0 in memory.
  int64_t wal_bytes() const;

  /// After each commit, before it is acknowledged: the names of the file and of its log are
  /// durable (DurableNames). Nothing to do but to look, unless a checkpoint has begun
  /// another log. Errors: kStorageUnavailable; the storage is then invalidated.
  arrow::Status SyncNames();

  /// Grows each time the storage was detached and attached again; connections made before
  /// then are to be dropped.
  uint64_t epoch() const;
  /// True after a fatal error of the storage: every statement fails until Reattach.
  bool invalidated() const;
  /// Detaches and attaches the storage after a fatal error of it. Blocks until all
  /// connections have let go of it (their statements are interrupted), at most 30 s, then
  /// kStorageUnavailable: call again. Statements that arrive meanwhile are refused.
  arrow::Status Reattach();

 private:
  struct Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace arrowport::engine
