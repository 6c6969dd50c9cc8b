#include "ingest/committer.h"

#include <span>
#include <utility>

#include "base/error.h"
#include "ingest/row_groups.h"

namespace arrowport::ingest {

Committer::Committer(std::shared_ptr<sink::TableSink> sink, CommitterOptions options,
                     OnGroup on_group)
    : sink_(std::move(sink)), options_(options), on_group_(std::move(on_group)) {}

void Committer::Start() {
  for (int i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this] { Run(); });
  }
}

void Committer::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

arrow::Status Committer::Submit(CommitJob job) {
  {
    MutexLock lock(mutex_);
    if (stopping_) return Error(ErrorCode::kDraining, "server is shutting down");
    const bool full =
        queued_jobs_ >= options_.queue_jobs_max ||
        (queued_bytes_ + job.bytes > options_.queue_bytes_max && queued_jobs_ > 0);
    if (full) {
      return MakeError(ErrorCode::kOverloaded, "commit queue is full", 1);
    }
    ++queued_jobs_;
    queued_bytes_ += job.bytes;
    auto [at, is_new] = lanes_.try_emplace(job.lane);
    Lane& lane = at->second;
    if (is_new) lane.name = job.lane;
    lane.rows += job.rows;
    lane.bytes += job.bytes;
    lane.queue.push_back(std::move(job));
    if (!lane.running) Schedule(&lane);
  }
  wake_.notify_one();
  return {};
}

Committer::Time Committer::DueTime(const Lane& lane, Time now) const {
  const bool full_group =
      lane.rows >= options_.group_rows_max || lane.bytes >= options_.group_bytes_max;
  if (lane.overdue || full_group) return now;
  return lane.credits.NextAt(now, lane.queue.back().spacing);
}

void Committer::Schedule(Lane* lane) {
  if (lane->waiting) waiting_.erase(*lane->waiting);
  lane->waiting = waiting_.emplace(DueTime(*lane, std::chrono::steady_clock::now()), lane);
}

/// A lane whose time has come, taken out of the waiting ones; null at the end.
Committer::Lane* Committer::AwaitLane(MutexLock& lock) {
  for (;;) {
    if (waiting_.empty()) {
      if (stopping_) return nullptr;
      lock.Wait(wake_);
      continue;
    }
    const auto first = waiting_.begin();
    if (!stopping_ && first->first > std::chrono::steady_clock::now()) {
      const Time due = first->first;
      lock.WaitUntil(wake_, due);
      continue;
    }
    Lane* lane = first->second;
    waiting_.erase(first);
    lane->waiting.reset();
    return lane;
  }
}

std::vector<CommitJob> Committer::TakeGroup(Lane* lane) {
  lane->credits.Take(std::chrono::steady_clock::now(), lane->queue.back().spacing);
  std::vector<CommitJob> group;
  int64_t rows = 0, bytes = 0;
  bool cut = false;
  while (!lane->queue.empty() && !cut) {
    CommitJob& job = lane->queue.front();
    const bool fits = rows + job.rows <= options_.group_rows_max &&
                      bytes + job.bytes <= options_.group_bytes_max && !job.commit_alone;
    cut = !group.empty() && !fits;
    if (cut) break;
    cut = job.commit_alone != nullptr;
    rows += job.rows;
    bytes += job.bytes;
    group.push_back(std::move(job));
    lane->queue.pop_front();
  }
  lane->rows -= rows;
  lane->bytes -= bytes;
  lane->overdue = !lane->queue.empty() && lane->rows + rows >= options_.group_rows_max;
  lane->overdue |= !lane->queue.empty() && lane->bytes + bytes >= options_.group_bytes_max;
  queued_jobs_ -= group.size();
  queued_bytes_ -= bytes;
  return group;
}

void Committer::EndGroup(Lane* lane) {
  lane->running = false;
  if (!lane->queue.empty()) {
    Schedule(lane);
    wake_.notify_one();
  } else if (lanes_.size() > options_.idle_lanes_max) {
    DropIdleLanes();
  }
}

void Committer::DropIdleLanes() {
  const Time now = std::chrono::steady_clock::now();
  std::erase_if(lanes_, [now](const auto& entry) {
    const Lane& lane = entry.second;
    return !lane.running && lane.queue.empty() && lane.credits.full(now);
  });
}

void Committer::Commit(std::vector<CommitJob> group) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<sink::WriteUnit> units;
  units.reserve(group.size());
  int64_t rows = 0;
  for (CommitJob& job : group) {
    job.unit.batches = JoinSmall(std::move(job.unit.batches), options_.coalesce_rows_max);
    rows += job.rows;
    units.push_back(std::move(job.unit));
  }
  std::vector<sink::WriteOutcome> outcomes;
  if (group.front().commit_alone) {
    outcomes.push_back(group.front().commit_alone());
  } else {
    outcomes = sink_->CommitGroup(units);
  }
  ARROWPORT_CHECK(outcomes.size() == group.size());
  if (on_group_) {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    on_group_(static_cast<int64_t>(group.size()), rows, took.count());
  }
  for (size_t i = 0; i < group.size(); ++i) {
    group[i].done(units[i], std::move(outcomes[i]));
  }
}

void Committer::Run() {
  MutexLock lock(mutex_);
  while (Lane* lane = AwaitLane(lock)) {
    std::vector<CommitJob> group = TakeGroup(lane);
    lane->running = true;
    lock.Unlock();
    Commit(std::move(group));
    group.clear();
    lock.Lock();
    EndGroup(lane);
  }
}

}  // namespace arrowport::ingest
