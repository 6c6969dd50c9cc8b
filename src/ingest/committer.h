// Group commit: one thread per sink. While a commit runs, arrivals queue; the next group
// takes everything that waits, up to a bound. No timer: an idle sink commits at once.
#pragma once

#include <arrow/status.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "sink/table_sink.h"

namespace arrowport::ingest {

struct CommitterOptions {
  int64_t group_rows_max = 245760;
  int64_t group_bytes_max = 64 << 20;
  size_t queue_jobs_max = 16384;
  int64_t queue_bytes_max = int64_t{1} << 30;
  /// Batches of a unit smaller than this are joined into one before they are inserted.
  int64_t coalesce_rows_max = 16384;
};

struct CommitJob {
  sink::WriteUnit unit;
  int64_t rows = 0;
  int64_t bytes = 0;
  /// Called on the committer's thread; must not block on storage. May Submit.
  std::function<void(const sink::WriteUnit&, sink::WriteOutcome)> done;
};

/// Thread-safe. First in, first out.
class Committer {
 public:
  using OnGroup = std::function<void(int64_t jobs, int64_t rows, double seconds)>;

  Committer(std::shared_ptr<sink::TableSink> sink, CommitterOptions options,
            OnGroup on_group);
  ~Committer() { Stop(); }

  void Start();
  /// Commits what is queued, then joins. Idempotent; not from a callback.
  void Stop();

  /// Errors: kOverloaded (the queue is full), kDraining; `done` is then not called.
  arrow::Status Submit(CommitJob job);

 private:
  void Run();
  std::vector<CommitJob> TakeGroup() REQUIRES(mutex_);
  void Commit(std::vector<CommitJob> group);

  const std::shared_ptr<sink::TableSink> sink_;
  const CommitterOptions options_;
  const OnGroup on_group_;

  Mutex mutex_;
  std::condition_variable wake_;
  std::deque<CommitJob> queue_ GUARDED_BY(mutex_);
  int64_t queue_bytes_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace arrowport::ingest
