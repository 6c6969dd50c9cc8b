// A few threads for work that blocks on storage.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace arrowport::ingest {

/// Runs tasks in order of arrival. Thread-safe. The queue is bounded by its users: each
/// upload posts at most one task at a time.
class WorkerPool {
 public:
  explicit WorkerPool(int threads);
  ~WorkerPool() { Stop(); }

  /// False after Stop: the task will not run.
  bool Post(std::function<void()> task);
  /// Runs what is queued, then joins. Idempotent; not from a task.
  void Stop();

 private:
  void Run();

  Mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace arrowport::ingest
