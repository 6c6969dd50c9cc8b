// Callbacks of one upload, one at a time and never under a lock.
#pragma once

#include <arrow/result.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <thread>

#include "base/mutex.h"
#include "ingest/session.h"

namespace arrowport::ingest {

/// Thread-safe. What is given while a callback runs is delivered by the thread that runs
/// it, after it returns; callbacks may therefore call back into the session. Nothing is
/// delivered after Done.
class Delivery {
 public:
  explicit Delivery(std::shared_ptr<SessionObserver> observer)
      : observer_(std::move(observer)) {}

  void Ready();
  void Acknowledge(Ack ack);
  void Done(arrow::Result<Receipt> result);
  /// Nothing is called after this returns; waits for a callback running on another
  /// thread.
  void Close();

 private:
  using Event = std::function<void(SessionObserver&)>;
  void Give(Event event);
  void Drain() REQUIRES(mutex_);

  Mutex mutex_;
  std::condition_variable idle_;
  std::shared_ptr<SessionObserver> observer_ GUARDED_BY(mutex_);  ///< null: closed
  std::deque<Event> events_ GUARDED_BY(mutex_);
  bool ended_ GUARDED_BY(mutex_) = false;
  bool delivering_ GUARDED_BY(mutex_) = false;
  std::thread::id deliverer_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::ingest
