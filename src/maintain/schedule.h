// Housekeeping beside the writers: tables with many small files are optimized, files that
// no version needs are removed. Off unless the settings ask for it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"
#include "maintain/service.h"
#include "maintain/table_source.h"

namespace arrowport::maintain {

struct ScheduleOptions {
  std::shared_ptr<TableSource> tables;
  /// Runs an operation on a table, on the calling thread.
  std::function<arrow::Result<std::string>(const Request&)> run;
  /// Whether a table is optimized / vacuumed.
  std::function<bool(const schema::TableName&)> optimizes, vacuums;
  int64_t target_file_bytes = int64_t{128} << 20;
  /// Small files (under three quarters of the target) that a table must gain before it is
  /// optimized again.
  int64_t small_files_min = 16;
  std::chrono::seconds look_every{600};
  std::chrono::hours vacuum_every{24};
  const Clock* clock = &SystemClock();
};

/// Thread-safe. A failure is logged by what runs the operation and tried again later.
class Schedule {
 public:
  explicit Schedule(ScheduleOptions options) : options_(std::move(options)) {}
  ~Schedule() { Stop(); }

  void Start();
  /// Lets the operation that runs end. Idempotent.
  void Stop();

  /// One look at every table, on the calling thread.
  void RunOnce();

 private:
  struct Seen {
    int64_t small_files = 0;  ///< after the last look that changed nothing or optimized
    Clock::Steady vacuumed_at;
  };

  void Loop();
  void LookAt(const schema::TableName& name) REQUIRES(round_mutex_);
  bool stopping();

  const ScheduleOptions options_;
  Mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  Mutex round_mutex_;  ///< one round at a time
  std::map<schema::TableName, Seen> seen_ GUARDED_BY(round_mutex_);
  std::thread thread_;
};

/// Files of `snapshot` under three quarters of `target_file_bytes`.
int64_t CountSmallFiles(const delta::Snapshot& snapshot, int64_t target_file_bytes);

}  // namespace arrowport::maintain
