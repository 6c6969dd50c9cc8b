// Group commit: jobs queue in lanes, one lane for everything that commits one after the
// other (a DuckDB file, a Delta table). While a lane's commit runs, arrivals queue; its next
// group takes everything that waits, up to a bound. An idle lane commits at once, unless its
// jobs ask for a spacing of commits and no credit is left.
#pragma once

#include <arrow/status.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "ingest/commit_credits.h"
#include "sink/table_sink.h"

namespace arrowport::ingest {

struct CommitterOptions {
  int threads = 1;  ///< lanes that commit at a time
  int64_t group_rows_max = 245760;
  int64_t group_bytes_max = 64 << 20;
  size_t queue_jobs_max = 16384;
  int64_t queue_bytes_max = int64_t{1} << 30;
  /// Batches of a unit smaller than this are joined into one before they are inserted.
  int64_t coalesce_rows_max = 16384;
  size_t idle_lanes_max = 4096;  ///< lanes kept for their credits
};

struct CommitJob {
  std::string lane;
  std::chrono::milliseconds spacing{0};  ///< sustained, between commits of the lane
  sink::WriteUnit unit;
  int64_t rows = 0;
  int64_t bytes = 0;
  /// Instead of the unit: commits by itself, in a group of its own. Runs on the committer's
  /// thread and may block on storage.
  std::function<sink::WriteOutcome()> commit_alone;
  /// Called on the committer's thread; must not block on storage. May Submit.
  std::function<void(const sink::WriteUnit&, sink::WriteOutcome)> done;
};

/// Thread-safe. First in, first out within a lane.
class Committer {
 public:
  using OnGroup = std::function<void(int64_t jobs, int64_t rows, double seconds)>;

  Committer(std::shared_ptr<sink::TableSink> sink, CommitterOptions options,
            OnGroup on_group);
  ~Committer() { Stop(); }

  void Start();
  /// Commits what is queued at once, then joins. Idempotent; not from a callback.
  void Stop();

  /// Errors: kOverloaded (the queue is full), kDraining; `done` is then not called.
  arrow::Status Submit(CommitJob job);

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Lane;
  using Waiting = std::multimap<Time, Lane*>;
  struct Lane {
    std::string name;
    std::deque<CommitJob> queue;
    int64_t rows = 0;
    int64_t bytes = 0;
    bool running = false;
    bool overdue = false;  ///< its last group was cut by the bounds: the rest goes on
    CommitCredits credits;
    std::optional<Waiting::iterator> waiting;
  };

  void Run();
  Lane* AwaitLane(MutexLock& lock) REQUIRES(mutex_);
  Time DueTime(const Lane& lane, Time now) const REQUIRES(mutex_);
  void Schedule(Lane* lane) REQUIRES(mutex_);
  std::vector<CommitJob> TakeGroup(Lane* lane) REQUIRES(mutex_);
  void EndGroup(Lane* lane) REQUIRES(mutex_);
  void DropIdleLanes() REQUIRES(mutex_);
  void Commit(std::vector<CommitJob> group);

  const std::shared_ptr<sink::TableSink> sink_;
  const CommitterOptions options_;
  const OnGroup on_group_;

  Mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, Lane> lanes_ GUARDED_BY(mutex_);
  Waiting waiting_ GUARDED_BY(mutex_);  ///< lanes with jobs that do not run, by due time
  size_t queued_jobs_ GUARDED_BY(mutex_) = 0;
  int64_t queued_bytes_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace arrowport::ingest
