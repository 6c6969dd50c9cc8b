// What a query service is made of.
#pragma once

#include <arrow/status.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/database.h"
#include "query/datasets.h"

namespace arrowport::query {

/// Held while a statement that writes runs: one writer owns a database file at a time.
/// Thread-safe.
class CommitLock {
 public:
  virtual ~CommitLock() = default;
  /// False when it is not free within `wait`.
  virtual bool LockFor(std::chrono::milliseconds wait) = 0;
  /// From the thread that locked.
  virtual void Unlock() = 0;
};

struct ServiceOptions {
  std::shared_ptr<engine::Database> database;
  int threads = 0;                   ///< 0: twice the cores, at least 4
  int queries_max = 256;             ///< statements waiting for a thread
  int connections_idle_max = 16;     ///< kept for reuse
  std::chrono::milliseconds query_timeout{0};   ///< from Execute to the end; 0: none
  std::chrono::milliseconds paused_max{60000};  ///< a pause longer ends with kTimeout
  int64_t result_bytes_max = 0;      ///< Arrow bytes of one result; 0: no limit
  std::vector<Dataset> datasets;
  std::shared_ptr<CommitLock> commit_lock;  ///< may be null
  /// Blocks until `version` of the storage is visible; may be null: what was acknowledged
  /// is visible.
  std::function<arrow::Status(int64_t version)> wait_for_version;
  const Clock* clock = &SystemClock();
  /// Told how long each statement took, from its arrival to the end of its result, well or
  /// not; before its consumer is. May be null, must not block.
  std::function<void(std::chrono::nanoseconds)> on_ended;
};

}  // namespace arrowport::query
