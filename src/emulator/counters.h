// What the emulator has seen, in all and per table. Tests wait on these and read them
// over the control interface.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/mutex.h"

namespace arrowport::emulator {

enum class Counter {
  kConnections,               ///< calls that reached a method of the service
  kOpened,                    ///< calls whose open was answered
  kOpenNow,                   ///< gauge: opened and not ended
  kRefusedOpens,              ///< calls that ended with a status before they were open
  kTokenRequests,             ///< POSTs to the token endpoint
  kMints,                     ///< tokens issued
  kTableReads,                ///< table descriptions served
  kRequests,                  ///< ingest requests accepted: logged, or on their way there
  kRows,                      ///< rows of those
  kRequestBytes,              ///< of those, as received
  kLoggedRequests,            ///< requests that are in the log
  kRefusedRequests,           ///< requests that ended their call
  kAcks,                      ///< acknowledgements sent
  kCloseSignals,              ///< close signals sent
  kRequestsAfterCloseSignal,  ///< requests read after a close signal was sent
  kInFlightMax,               ///< largest number accepted and unacknowledged on one call
  kFaults,                    ///< scripted actions carried out
  kHalfCloses,                ///< calls the client ended in order
  kCancels,                   ///< calls the client reset with CANCEL
  kResets,                    ///< calls the client reset otherwise, or whose connection broke
  kServerEnds,                ///< calls the emulator ended: status, reset, close
};
constexpr size_t kCounters = static_cast<size_t>(Counter::kServerEnds) + 1;

/// The name on the control interface.
std::string_view NameOf(Counter counter);

using CounterValues = std::array<int64_t, kCounters>;

class Counters;

/// The counters of one table; every change also counts in all. Thread-safe.
class TableCounters {
 public:
  explicit TableCounters(Counters* all) : all_(all) {}

  void Add(Counter counter, int64_t change = 1);
  void Raise(Counter counter, int64_t at_least);
  CounterValues Read() const;

 private:
  friend class Counters;
  static void RaiseTo(std::atomic<int64_t>* value, int64_t at_least);
  void Clear();

  Counters* const all_;  ///< null for the sum itself
  std::array<std::atomic<int64_t>, kCounters> values_{};
};

/// Thread-safe.
class Counters {
 public:
  Counters() = default;

  /// Lives as long as this. At most 1,000 names are told apart, the rest share one.
  TableCounters& Of(const std::string& table);
  TableCounters& all() { return all_; }

  /// Of one table; of all for an empty name. Zeros for a name never seen.
  CounterValues Read(const std::string& table) const;
  /// {"all": {...}, "tables": {name: {...}}}
  std::string ToJson() const;
  /// Back to zero, but for gauges.
  void Clear();

  /// Waits until `holds` is true of Read(table); false once `deadline` has passed.
  bool WaitUntil(const std::string& table,
                 const std::function<bool(const CounterValues&)>& holds,
                 std::chrono::steady_clock::time_point deadline);

 private:
  friend class TableCounters;
  void Changed();

  TableCounters all_{nullptr};
  mutable Mutex mutex_;
  std::map<std::string, std::unique_ptr<TableCounters>> tables_ GUARDED_BY(mutex_);
  std::atomic<int> waiters_{0};
  std::condition_variable changed_;
};

}  // namespace arrowport::emulator
