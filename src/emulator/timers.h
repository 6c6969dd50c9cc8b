// Things to do later, on one thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <thread>

#include "base/mutex.h"

namespace arrowport::emulator {

/// Runs tasks at their time, in the order they are due; equal times in the order given.
/// Tasks must be quick and must not throw. Thread-safe.
class Timers {
 public:
  /// Every delay is multiplied by `scale`, so that a script of minutes runs in
  /// milliseconds.
  explicit Timers(double scale);
  ~Timers() { Stop(); }

  void After(std::chrono::milliseconds delay, std::function<void()> task);
  /// `delay` as it will be.
  std::chrono::milliseconds Scaled(std::chrono::milliseconds delay) const;
  /// Drops what is waiting and joins. Later tasks are dropped. Idempotent.
  void Stop();

 private:
  void Run();

  const double scale_;
  Mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ GUARDED_BY(mutex_) = false;
  std::multimap<std::chrono::steady_clock::time_point, std::function<void()>> waiting_
      GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace arrowport::emulator
