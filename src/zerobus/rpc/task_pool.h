// A few threads for what blocks: name resolution, token requests, callers' own code.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace arrowport::zerobus::rpc {

/// Thread-safe. Threads start when needed, up to the limit. Tasks must bound themselves:
/// the destructor waits for those that run, and drops those that wait.
class TaskPool {
 public:
  explicit TaskPool(int threads_max) : threads_max_(threads_max) {}
  ~TaskPool();
  /// False when no thread can be had or the pool is closing.
  bool Run(std::function<void()> task);
  int64_t waiting() const;

 private:
  void Work();

  const int threads_max_;
  mutable Mutex mutex_;
  std::condition_variable work_;
  bool closing_ GUARDED_BY(mutex_) = false;
  int idle_ GUARDED_BY(mutex_) = 0;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::zerobus::rpc
