// The threads that run handlers.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace arrowport::wire::net {

/// Work that must not run twice at a time: whoever schedules it sees to it that it is
/// queued at most once.
class Strand {
 public:
  virtual ~Strand() = default;
  /// Does a bounded part of the work; true when more is left and it is to be queued
  /// again.
  virtual bool RunSome() = 0;
};

/// First in, first out over all strands. The queue is bounded by the number of strands,
/// that is by open calls. Thread-safe.
class WorkerPool {
 public:
  explicit WorkerPool(int threads) : thread_count_(threads) {}
  ~WorkerPool() { Stop(); }

  void Start();
  /// Runs what is queued, then joins. Later schedules are dropped. Idempotent.
  void Stop();
  void Schedule(std::shared_ptr<Strand> strand);

 private:
  void Run();

  const int thread_count_;
  Mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Strand>> queue_ GUARDED_BY(mutex_);
  int idle_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace arrowport::wire::net
