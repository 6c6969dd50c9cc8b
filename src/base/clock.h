// Time as a dependency, so that tests can bend it.
#pragma once

#include <chrono>

namespace arrowport {

/// Thread-safe.
class Clock {
 public:
  using Steady = std::chrono::steady_clock::time_point;
  using Wall = std::chrono::system_clock::time_point;
  virtual ~Clock() = default;
  virtual Steady SteadyNow() const = 0;
  virtual Wall WallNow() const = 0;
};

/// The machine's clock; lives as long as the process.
const Clock& SystemClock();

}  // namespace arrowport
