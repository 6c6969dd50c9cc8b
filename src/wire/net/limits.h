// Counts the listener holds against its limits: open calls, connections, and the rate of
// frames that cost us more than the peer.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/mutex.h"
#include "wire/net/call.h"

namespace arrowport::wire::net {

using TimePoint = std::chrono::steady_clock::time_point;

/// Slots for calls in flight, handed on first come first served. Thread-safe.
class CallSlots {
 public:
  enum class Answer { kTaken, kQueued, kRefused };

  /// At most `queued_max` callers wait; more are refused.
  CallSlots(int slots_max, int queued_max)
      : slots_max_(slots_max), queued_max_(queued_max) {}

  /// kQueued: `granted` is called once, from the thread of a later Release, unless
  /// Forget(*ticket) comes first; the slot is then taken.
  Answer Acquire(std::function<void()> granted, uint64_t* ticket);
  /// Takes a slot beyond the limit, for calls that must be answered under any load.
  void AcquireExempt();
  /// True: the wait is over and no slot is held. False: `granted` ran or is running.
  bool Forget(uint64_t ticket);
  void Release();

  int64_t taken() const;
  /// Blocks until no slot is taken.
  void WaitNone();

 private:
  const int slots_max_;
  const int queued_max_;
  mutable Mutex mutex_;
  std::condition_variable none_;
  int64_t taken_ GUARDED_BY(mutex_) = 0;
  uint64_t next_ticket_ GUARDED_BY(mutex_) = 1;
  std::list<std::pair<uint64_t, std::function<void()>>> queue_ GUARDED_BY(mutex_);
};

/// Open connections, in all and by address. Thread-safe.
class ConnectionCounts {
 public:
  ConnectionCounts(int connections_max, int per_address_max)
      : connections_max_(connections_max), per_address_max_(per_address_max) {}

  /// Empty: counted. Else the reason of the refusal. Loopback peers count only in all.
  std::string_view Open(const Peer& peer);
  void Close(const Peer& peer);
  int64_t open() const;
  /// Blocks until no connection is open, at most until `deadline`.
  void WaitNone(TimePoint deadline);

 private:
  const int connections_max_;
  const int per_address_max_;
  mutable Mutex mutex_;
  std::condition_variable none_;
  int64_t open_ GUARDED_BY(mutex_) = 0;
  std::unordered_map<std::string, int> by_address_ GUARDED_BY(mutex_);
};

/// A token bucket. Not thread-safe.
class RateLimit {
 public:
  RateLimit(double burst, double per_second)
      : burst_(burst), per_second_(per_second), tokens_(burst) {}

  /// False when the rate is exceeded.
  bool Take(TimePoint now);
  void Refill() { tokens_ = burst_; }

 private:
  const double burst_;
  const double per_second_;
  double tokens_;
  TimePoint last_{};
};

}  // namespace arrowport::wire::net
