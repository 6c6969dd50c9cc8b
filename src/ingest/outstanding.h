// What has been accepted and is not settled yet, so that Flush can wait for it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <set>

#include "base/mutex.h"

namespace arrowport::ingest {

/// Thread-safe.
class Outstanding {
 public:
  uint64_t Begin() {
    MutexLock lock(mutex_);
    open_.insert(open_.end(), next_);
    return next_++;
  }
  void End(uint64_t ticket) {
    MutexLock lock(mutex_);
    open_.erase(ticket);
    if (waiting_ > 0) settled_.notify_all();
  }
  /// Waits until everything begun before the call has ended; false at `deadline`.
  bool WaitUntil(std::chrono::steady_clock::time_point deadline) {
    MutexLock lock(mutex_);
    const uint64_t end = next_;
    ++waiting_;
    bool in_time = true;
    while (!open_.empty() && *open_.begin() < end && in_time) {
      in_time = lock.WaitUntil(settled_, deadline) == std::cv_status::no_timeout;
    }
    --waiting_;
    return open_.empty() || *open_.begin() >= end;
  }

 private:
  Mutex mutex_;
  std::condition_variable settled_;
  std::set<uint64_t> open_ GUARDED_BY(mutex_);
  uint64_t next_ GUARDED_BY(mutex_) = 1;
  int waiting_ GUARDED_BY(mutex_) = 0;
};

}  // namespace arrowport::ingest
