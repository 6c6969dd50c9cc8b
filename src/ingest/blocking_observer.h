// For callers that send an upload from a thread of their own and wait for it.
#pragma once

#include <condition_variable>
#include <optional>
#include <utility>

#include "base/mutex.h"
#include "ingest/session.h"

namespace arrowport::ingest {

/// Turns a session's callbacks into waits. One waiting thread; callbacks from any.
class BlockingObserver final : public SessionObserver {
 public:
  void OnReady() override {
    MutexLock lock(mutex_);
    ready_ = true;
    changed_.notify_all();
  }
  void OnAck(const Ack&) override {}
  void OnDone(arrow::Result<Receipt> result) override {
    MutexLock lock(mutex_);
    result_ = std::move(result);
    changed_.notify_all();
  }

  /// Before a Push, so that an OnReady from inside it is not lost.
  void ExpectPause() {
    MutexLock lock(mutex_);
    ready_ = false;
  }
  /// Until the session has room again or is over.
  void AwaitReady() {
    MutexLock lock(mutex_);
    while (!ready_ && !result_) lock.Wait(changed_);
  }
  /// Until the session is over.
  arrow::Result<Receipt> AwaitDone() {
    MutexLock lock(mutex_);
    while (!result_) lock.Wait(changed_);
    return *result_;
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  bool ready_ GUARDED_BY(mutex_) = false;
  std::optional<arrow::Result<Receipt>> result_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::ingest
