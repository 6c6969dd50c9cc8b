// How many bytes of request data the process may hold, as one number shared by all.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <utility>

#include "base/mutex.h"

namespace arrowport {

/// Counts bytes held against a limit. Thread-safe.
///
/// Two ways in. Charge() always succeeds and may exceed the limit: for bytes that are
/// already on their way (the caller then withholds flow-control credit while over()).
/// TryReserve() refuses what does not fit, except that one reservation is always admitted
/// when nothing is held, however large, so that a single big message cannot wait for
/// ever.
class ByteBudget {
 public:
  explicit ByteBudget(int64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  void Charge(int64_t bytes);
  bool TryReserve(int64_t bytes);
  /// Gives back; runs the waiters whose time has come, on this thread, outside the lock.
  void Release(int64_t bytes);

  bool over() const;
  int64_t used_bytes() const;
  int64_t limit_bytes() const;
  void set_limit_bytes(int64_t limit_bytes);

  /// Calls `resume` once, from the thread of a later Release, when the budget is no
  /// longer over its limit; at once on this thread when it is not over now. Returns an id
  /// for Forget, 0 when it ran at once. `resume` must not block.
  uint64_t WhenBelow(std::function<void()> resume);
  /// Drops a waiter; false when it already ran or is running.
  bool Forget(uint64_t id);

 private:
  mutable Mutex mutex_;
  int64_t limit_bytes_ GUARDED_BY(mutex_);
  int64_t used_bytes_ GUARDED_BY(mutex_) = 0;
  uint64_t next_id_ GUARDED_BY(mutex_) = 1;
  std::list<std::pair<uint64_t, std::function<void()>>> waiters_ GUARDED_BY(mutex_);
};

/// Bytes charged to a budget for as long as this lives. Movable, not copyable.
class BudgetHold {
 public:
  BudgetHold() = default;
  /// Takes over `bytes` that are already charged.
  BudgetHold(std::shared_ptr<ByteBudget> budget, int64_t bytes)
      : budget_(std::move(budget)), bytes_(bytes) {}
  BudgetHold(BudgetHold&& other) noexcept
      : budget_(std::move(other.budget_)), bytes_(std::exchange(other.bytes_, 0)) {}
  BudgetHold& operator=(BudgetHold&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~BudgetHold() {
    if (budget_ && bytes_ > 0) budget_->Release(bytes_);
  }
  int64_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<ByteBudget> budget_;
  int64_t bytes_ = 0;
};

}  // namespace arrowport
