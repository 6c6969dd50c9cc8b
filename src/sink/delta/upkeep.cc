#include "sink/delta/upkeep.h"

#include <chrono>
#include <utility>

#include "base/log.h"

namespace arrowport::sink {
namespace {

constexpr int64_t kCleanUpEveryMs = 3600 * 1000;

}  // namespace

Upkeep::~Upkeep() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Upkeep::Look(const std::shared_ptr<OpenTable>& table) {
  if (!table->table().CheckpointDue() || table->upkeep_queued.exchange(true)) return;
  {
    MutexLock lock(mutex_);
    queue_.push_back(table);
  }
  wake_.notify_one();
}

UpkeepCounters Upkeep::counters() const {
  MutexLock lock(mutex_);
  return counters_;
}

void Upkeep::Keep(OpenTable& table) {
  int64_t removed = 0;
  arrow::Status status = table.table().WriteCheckpoint();
  const int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                             clock_->WallNow().time_since_epoch())
                             .count();
  if (status.ok() && now_ms - table.cleaned_at_ms >= kCleanUpEveryMs) {
    table.cleaned_at_ms = now_ms;
    auto report = table.table().CleanUpLog();
    status = report.status();
    if (report.ok()) removed = report->log_files_removed;
  }
  if (!status.ok()) {
    LogWarn("upkeep of a Delta table failed; its rows are safe",
            {{"table", table.name().ToString()}, {"reason", status.message()}});
  }
  MutexLock lock(mutex_);
  ++(status.ok() ? counters_.checkpoints : counters_.failures);
  counters_.log_files_removed += removed;
}

void Upkeep::Run() {
  MutexLock lock(mutex_);
  for (;;) {
    while (queue_.empty() && !stopping_) lock.Wait(wake_);
    if (stopping_) return;
    const std::shared_ptr<OpenTable> table = std::move(queue_.front());
    queue_.pop_front();
    lock.Unlock();
    Keep(*table);
    table->upkeep_queued = false;
    lock.Lock();
  }
}

}  // namespace arrowport::sink
