// When to try again.
#pragma once

#include <arrow/status.h>

#include <chrono>
#include <functional>
#include <random>

#include "arrowport/options.h"

namespace arrowport::client {

/// Delays of one call's attempts: full jitter, or the server's wish. Caller-locked.
class Backoff {
 public:
  explicit Backoff(const RetryOptions& options, uint64_t seed = std::random_device{}());

  /// Whether another attempt follows `failure`, and after what delay. False when the
  /// attempts are used up or the failure is not retriable.
  bool Next(const arrow::Status& failure, std::chrono::milliseconds* delay);

 private:
  const RetryOptions options_;
  std::mt19937_64 random_;
  int attempts_ = 1;
};

/// Runs `attempt` until it succeeds, fails for good, the attempts are used up, or
/// `may_repeat` says no.
template <typename Result>
Result WithRetries(const RetryOptions& options,
                   const std::function<void(std::chrono::milliseconds)>& wait,
                   const std::function<bool(const arrow::Status&)>& may_repeat,
                   const std::function<Result()>& attempt) {
  Backoff backoff(options);
  while (true) {
    Result result = attempt();
    std::chrono::milliseconds delay{0};
    if (result.ok() || !may_repeat(result.status()) ||
        !backoff.Next(result.status(), &delay)) {
      return result;
    }
    wait(delay);
  }
}

}  // namespace arrowport::client
