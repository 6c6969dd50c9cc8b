#include "client/backoff.h"

#include <algorithm>

#include "base/error.h"

namespace arrowport::client {

Backoff::Backoff(const RetryOptions& options, uint64_t seed)
    : options_(options), random_(seed) {}

bool Backoff::Next(const arrow::Status& failure, std::chrono::milliseconds* delay) {
  if (attempts_ >= options_.attempts_max || !InfoOf(CodeOf(failure)).retriable ||
      CodeOf(failure) == ErrorCode::kCancelled) {
    return false;
  }
  const int doublings = std::min(attempts_ - 1, 30);
  ++attempts_;
  const int64_t longest = std::min<int64_t>(
      options_.delay_max.count(), std::max<int64_t>(options_.delay_base.count(), 0)
                                      << doublings);
  std::uniform_int_distribution<int64_t> jitter(0, std::max<int64_t>(longest, 0));
  *delay = std::chrono::milliseconds(jitter(random_));
  if (const auto wish = RetryAfterSeconds(failure)) {
    *delay = std::min<std::chrono::milliseconds>(
        std::max<std::chrono::milliseconds>(*delay, std::chrono::seconds(*wish)),
        options_.delay_max);
  }
  return true;
}

}  // namespace arrowport::client
