// Connections ready for statements, kept between them.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "engine/database.h"

namespace arrowport::query {

class Datasets;

/// A connection and the epoch of the storage it was made in.
struct PooledConnection {
  std::unique_ptr<engine::Connection> connection;
  uint64_t epoch = 0;
};

/// Thread-safe.
class ConnectionPool {
 public:
  ConnectionPool(std::shared_ptr<engine::Database> database,
                 std::shared_ptr<Datasets> datasets, int idle_max);

  /// An idle connection or a new one. Unqualified names are looked up in the storage, then
  /// among the data sets. Errors: kStorageUnavailable.
  arrow::Result<PooledConnection> Take();
  /// Keeps a connection that is as good as new; one of an earlier epoch is dropped.
  void Give(PooledConnection connection);
  /// Drops the idle connections that a reopened storage left behind, and all while the
  /// storage is failed: they would hold it open.
  void DropStale();

 private:
  arrow::Result<PooledConnection> Make();

  const std::shared_ptr<engine::Database> database_;
  const std::shared_ptr<Datasets> datasets_;
  const size_t idle_max_;
  Mutex mutex_;
  std::vector<PooledConnection> idle_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::query
