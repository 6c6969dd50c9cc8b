// Stops sending for a while when too many rows fail.
#pragma once

#include <arrow/status.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>

#include "arrowport/zerobus/options.h"
#include "base/mutex.h"

namespace arrowport::zerobus {

/// Thread-safe. `uniform` gives numbers in [0, 1) and is called under the lock.
class CircuitBreaker {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  CircuitBreaker(CircuitBreakerOptions options, std::function<double()> uniform);

  /// Errors: Transmission with the time to wait, while the breaker is open.
  arrow::Status Check(TimePoint now);
  /// A send is over. Opens when the share of failed rows in the window is too high; the
  /// window then begins anew.
  void Record(TimePoint now, int64_t rows, int64_t failed_rows);
  /// The service blocks new pipelines (code 6006).
  void OnBlocked(TimePoint now);

 private:
  struct Slot {
    int64_t number = -1;
    int64_t rows = 0;
    int64_t failed_rows = 0;
  };
  static constexpr int64_t kSlots = 30;

  void Open(TimePoint now, std::chrono::milliseconds least,
            std::chrono::milliseconds most) REQUIRES(mutex_);

  const CircuitBreakerOptions options_;
  const std::function<double()> uniform_;
  Mutex mutex_;
  std::array<Slot, kSlots> slots_ GUARDED_BY(mutex_);
  TimePoint open_until_ GUARDED_BY(mutex_){};
};

}  // namespace arrowport::zerobus
