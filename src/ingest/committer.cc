#include "ingest/committer.h"

#include <chrono>
#include <span>
#include <utility>

#include "base/error.h"
#include "ingest/row_groups.h"

namespace arrowport::ingest {

Committer::Committer(std::shared_ptr<sink::TableSink> sink, CommitterOptions options,
                     OnGroup on_group)
    : sink_(std::move(sink)), options_(options), on_group_(std::move(on_group)) {}

void Committer::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Committer::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

arrow::Status Committer::Submit(CommitJob job) {
  {
    MutexLock lock(mutex_);
    if (stopping_) return Error(ErrorCode::kDraining, "server is shutting down");
    const bool full =
        queue_.size() >= options_.queue_jobs_max ||
        (queue_bytes_ + job.bytes > options_.queue_bytes_max && !queue_.empty());
    if (full) {
      return MakeError(ErrorCode::kOverloaded, "commit queue is full", 1);
    }
    queue_bytes_ += job.bytes;
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
  return {};
}

std::vector<CommitJob> Committer::TakeGroup() {
  std::vector<CommitJob> group;
  int64_t rows = 0, bytes = 0;
  while (!queue_.empty()) {
    CommitJob& job = queue_.front();
    const bool fits = rows + job.rows <= options_.group_rows_max &&
                      bytes + job.bytes <= options_.group_bytes_max;
    if (!group.empty() && !fits) break;
    rows += job.rows;
    bytes += job.bytes;
    queue_bytes_ -= job.bytes;
    group.push_back(std::move(job));
    queue_.pop_front();
  }
  return group;
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
  std::vector<sink::WriteOutcome> outcomes = sink_->CommitGroup(units);
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
  for (;;) {
    while (queue_.empty() && !stopping_) lock.Wait(wake_);
    if (queue_.empty()) return;
    std::vector<CommitJob> group = TakeGroup();
    lock.Unlock();
    Commit(std::move(group));
    lock.Lock();
  }
}

}  // namespace arrowport::ingest
