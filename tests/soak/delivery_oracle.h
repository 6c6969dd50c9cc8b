// Judges a run of the Zerobus writer by the emulator's log and by what the writer said.
#pragma once

#include <arrow/status.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "arrowport/zerobus/observer.h"
#include "base/mutex.h"

namespace arrowport::zerobus {

/// Row ids are dense: producer, then batch, then row.
struct IdPlan {
  int64_t producers = 8;
  int64_t batches_max = 0;  ///< of one producer
  int64_t rows = 1;         ///< of a batch

  int64_t total() const { return producers * batches_max * rows; }
  int64_t FirstId(int64_t producer, int64_t batch) const {
    return (producer * batches_max + batch) * rows;
  }
  int64_t ProducerOf(int64_t id) const { return id / rows / batches_max; }
};

/// What a producer was told of a row. Thread-safe as long as each id has one writer.
class Outcomes {
 public:
  explicit Outcomes(int64_t ids) : told_(static_cast<size_t>(ids)) {}
  enum class Told : uint8_t { kNothing, kDurable, kFailed };
  /// False when the row had been told of before.
  bool Tell(int64_t id, Told told) {
    Told& place = told_[static_cast<size_t>(id)];
    if (place != Told::kNothing) return false;
    place = told;
    return true;
  }
  Told Of(int64_t id) const { return told_[static_cast<size_t>(id)]; }

 private:
  std::vector<Told> told_;
};

/// Sees on the I/O thread that no durable request is sent again and that durability is told
/// in order, once.
class ReplayWatch : public WriterObserver {
 public:
  void OnRequestSent(const RequestEvent& request, bool replay) override {
    if (!replay) return;
    MutexLock lock(mutex_);
    ++replays_;
    replayed_rows_ += request.rows;
    if (request.offset <= durable_) ++durable_replayed_;
  }
  /// For Options::on_durable.
  void OnDurable(int64_t first_offset, int64_t last_offset) {
    MutexLock lock(mutex_);
    if (first_offset <= durable_ || last_offset < first_offset) ++out_of_order_;
    durable_ = last_offset;
  }
  int64_t replays() const { return Read(&ReplayWatch::replays_); }
  int64_t replayed_rows() const { return Read(&ReplayWatch::replayed_rows_); }
  int64_t durable_replayed() const { return Read(&ReplayWatch::durable_replayed_); }
  int64_t out_of_order() const { return Read(&ReplayWatch::out_of_order_); }

 private:
  int64_t Read(int64_t ReplayWatch::* value) const {
    MutexLock lock(mutex_);
    return this->*value;
  }
  mutable Mutex mutex_;
  int64_t durable_ GUARDED_BY(mutex_) = -1;
  int64_t replays_ GUARDED_BY(mutex_) = 0;
  int64_t replayed_rows_ GUARDED_BY(mutex_) = 0;
  int64_t durable_replayed_ GUARDED_BY(mutex_) = 0;
  int64_t out_of_order_ GUARDED_BY(mutex_) = 0;
};

/// What the log says of a run.
struct LogVerdict {
  int64_t requests = 0;
  int64_t streams = 0;
  int64_t rows = 0;        ///< logged in all
  int64_t lost = 0;        ///< told durable and not in the log
  int64_t duplicates = 0;  ///< logged rows beyond the first of their id
  int64_t untold = 0;      ///< in the log, and nobody was told anything
  int64_t gaps = 0;        ///< wire offsets of a connection that do not count up from 0
  int64_t overtaken = 0;   ///< rows of a producer that are out of order on a connection
  std::string ToString() const;
};

/// Reads the emulator's log file at `path`. Errors: the file, or a line that is not ours.
arrow::Status JudgeLog(const std::string& path, const IdPlan& plan,
                       const Outcomes& outcomes, LogVerdict* verdict);

}  // namespace arrowport::zerobus
