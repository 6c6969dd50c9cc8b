// Checkpoints and log clean-up beside the writers.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"
#include "sink/delta/open_table.h"

namespace arrowport::sink {

struct UpkeepCounters {
  int64_t checkpoints = 0;
  int64_t failures = 0;
  int64_t log_files_removed = 0;
};

/// Thread-safe. One thread for all tables; a failure is logged and counted, and tried again
/// when the table is queued next.
class Upkeep {
 public:
  explicit Upkeep(const Clock* clock) : clock_(clock), thread_([this] { Run(); }) {}
  /// Ends what runs and drops what waits: the next writer finds it due again.
  ~Upkeep();

  /// After a commit: queues the table when a checkpoint is due.
  void Look(const std::shared_ptr<OpenTable>& table);
  UpkeepCounters counters() const;

 private:
  void Run();
  void Keep(OpenTable& table);

  const Clock* const clock_;
  mutable Mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<OpenTable>> queue_ GUARDED_BY(mutex_);
  UpkeepCounters counters_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace arrowport::sink
