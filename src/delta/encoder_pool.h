// The threads that encode data files, shared by every table of the process: as many files
// are encoded at a time as there are encoders, whoever asks.
#pragma once

#include <arrow/status.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace arrowport::delta {

/// Thread-safe. The destructor waits for what runs; no Run may be under way then.
class EncoderPool {
 public:
  /// `encoders` >= 1: files encoded at a time, the callers of Run included.
  explicit EncoderPool(int encoders);
  ~EncoderPool();
  EncoderPool(const EncoderPool&) = delete;
  EncoderPool& operator=(const EncoderPool&) = delete;

  using Task = std::function<arrow::Status()>;

  /// Runs the tasks, the first one on the calling thread, the others on idle encoders and,
  /// while there are none, on the calling thread too. Returns when all have ended, with
  /// the first failure in task order. Waits while all encoders are busy; a task may not
  /// call Run.
  arrow::Status Run(std::vector<Task> tasks);

  /// Whether an encoder beyond the caller's own would be free right now; a hint.
  bool HasIdle(int beside = 1) const;

  int encoders() const { return encoders_; }

 private:
  struct Batch;
  struct Item {
    Batch* batch;
    size_t index;
  };

  void WorkerLoop();
  static void RunItem(Batch* batch, size_t index);

  const int encoders_;
  mutable Mutex mutex_;
  std::condition_variable changed_;
  int busy_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::deque<Item> waiting_ GUARDED_BY(mutex_);
  std::vector<std::thread> workers_;
};

}  // namespace arrowport::delta
