// The user's callbacks of one writer: in order, on the client's callback thread, never
// more pending than there are ranges.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "arrowport/zerobus/options.h"
#include "base/mutex.h"
#include "zerobus/rpc/task_pool.h"

namespace arrowport::zerobus {

/// Thread-safe.
class CallbackQueue : public std::enable_shared_from_this<CallbackQueue> {
 public:
  /// `thread` outlives the queue's use: no call after Finish.
  CallbackQueue(rpc::TaskPool* thread,
                std::function<void(const DurableRange&)> on_durable,
                std::function<void(const FailedRange&)> on_failed)
      : thread_(thread),
        on_durable_(std::move(on_durable)),
        on_failed_(std::move(on_failed)) {}

  /// The next offset is settled; `error` null: durable. Neighbours of one kind become one
  /// range while they wait.
  void Add(int64_t offset, const std::shared_ptr<const arrow::Status>& error);
  /// Runs `task` behind what was added before. Unlike a callback it is never dropped.
  void Run(std::function<void()> task);

  /// Waits until everything added before has run, at most `wait` (none: without end).
  /// What then still waits is dropped; returns how much that is.
  int64_t Finish(std::optional<std::chrono::milliseconds> wait);

 private:
  struct Range {
    int64_t first = 0;
    int64_t last = 0;
    std::shared_ptr<const arrow::Status> error;
  };
  void Deliver();

  rpc::TaskPool* const thread_;
  const std::function<void(const DurableRange&)> on_durable_;
  const std::function<void(const FailedRange&)> on_failed_;
  Mutex mutex_;
  std::condition_variable idle_;
  std::deque<Range> ranges_ GUARDED_BY(mutex_);
  bool posted_ GUARDED_BY(mutex_) = false;
};

}  // namespace arrowport::zerobus
