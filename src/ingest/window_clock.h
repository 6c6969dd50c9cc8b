// The present, for deciding what is older than a window: a wall clock set forward would
// make every key of the window old at once, and the next retry a second application.
#pragma once

#include <chrono>

#include "base/clock.h"
#include "base/mutex.h"

namespace arrowport::ingest {

/// Thread-safe.
class WindowClock {
 public:
  /// `clock` outlives it.
  WindowClock(const Clock& clock, std::chrono::microseconds window);

  /// The wall clock; where that has jumped ahead of the steady one, the time without the
  /// jump until the new time has lasted a window: by then nothing from before it counts.
  Clock::Wall Now();

 private:
  const Clock& clock_;
  const std::chrono::microseconds window_;
  Mutex mutex_;
  /// The last moment both clocks agreed on.
  Clock::Wall wall_ GUARDED_BY(mutex_);
  Clock::Steady steady_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::ingest
