#include "zerobus/circuit_breaker.h"

#include <algorithm>
#include <string>
#include <utility>

#include "zerobus/failure.h"

namespace arrowport::zerobus {

using std::chrono::milliseconds;

CircuitBreaker::CircuitBreaker(CircuitBreakerOptions options,
                               std::function<double()> uniform)
    : options_(options), uniform_(std::move(uniform)) {}

arrow::Status CircuitBreaker::Check(TimePoint now) {
  if (!options_.enabled) return {};
  MutexLock lock(mutex_);
  if (now >= open_until_) return {};
  const auto left = std::chrono::ceil<std::chrono::seconds>(open_until_ - now).count();
  ErrorFacts facts;
  facts.kind = ErrorKind::kTransmission;
  return MakeFailure(std::move(facts),
                     "the circuit breaker is open after too many failed rows; sends are "
                     "taken again in " +
                         std::to_string(left) + " s",
                     static_cast<int>(left));
}

void CircuitBreaker::Open(TimePoint now, milliseconds least, milliseconds most) {
  const auto range = static_cast<double>((most - least).count());
  open_until_ = std::max(
      open_until_, now + least + milliseconds(static_cast<int64_t>(uniform_() * range)));
}

void CircuitBreaker::Record(TimePoint now, int64_t rows, int64_t failed_rows) {
  if (!options_.enabled || rows == 0) return;
  MutexLock lock(mutex_);
  const auto slot_length = std::max<std::chrono::nanoseconds>(
      std::chrono::nanoseconds(options_.window) / kSlots, std::chrono::nanoseconds(1));
  const int64_t number = now.time_since_epoch() / slot_length;
  Slot& current = slots_[static_cast<size_t>(number % kSlots)];
  if (current.number != number) current = Slot{number, 0, 0};
  current.rows += rows;
  current.failed_rows += failed_rows;
  int64_t all_rows = 0;
  int64_t all_failed = 0;
  for (const Slot& slot : slots_) {
    if (slot.number <= number - kSlots) continue;
    all_rows += slot.rows;
    all_failed += slot.failed_rows;
  }
  const double limit = options_.failed_rows_ratio_max * static_cast<double>(all_rows);
  if (all_rows < options_.rows_min || static_cast<double>(all_failed) <= limit) return;
  Open(now, options_.pause_min, options_.pause_max);
  slots_.fill(Slot{});
}

void CircuitBreaker::OnBlocked(TimePoint now) {
  if (!options_.enabled) return;
  MutexLock lock(mutex_);
  Open(now, options_.blocked_pause_min, options_.blocked_pause_max);
}

}  // namespace arrowport::zerobus
