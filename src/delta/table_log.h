// The end of one table's log as this process knows it, and the way to add to it: the cached
// snapshot, the keys, and the loop that commits against other writers.
#pragma once

#include <arrow/result.h>

#include <condition_variable>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "delta/actions.h"
#include "delta/commit.h"
#include "delta/idempotency.h"
#include "delta/snapshot.h"
#include "delta/table.h"
#include "store/store.h"

namespace arrowport::delta {

/// What a commit would hold on top of one certain version.
struct CommitDraft {
  CommitHeader header;  ///< operation, parameters, metrics, is_blind_append
  std::vector<Action> actions;
  std::vector<KeyEntry> keys;
};

class TableLog;

/// A commit that wants to happen; asked again after every lost race.
class CommitIntent {
 public:
  virtual ~CommitIntent() = default;
  /// The draft on top of `base` (nullptr: the table does not exist), or nothing when the
  /// plan no longer holds and has to be made again. Errors end the attempt.
  virtual arrow::Result<std::optional<CommitDraft>> Prepare(
      const TableLog& log, const std::shared_ptr<const Snapshot>& base) = 0;
};

struct CommitResult {
  enum class Kind {
    kCommitted,
    kReplan,
    kFailed,   ///< nothing was written
    kUnknown,  ///< the data files have to stay
  };
  Kind kind = Kind::kFailed;
  int64_t version = -1;
  arrow::Status status;
};

/// Thread-safe; commits of this process run one at a time.
class TableLog {
 public:
  /// Errors: as DeltaTable::Open.
  static arrow::Result<std::unique_ptr<TableLog>> Open(std::shared_ptr<store::Store> store,
                                                       const Clock& clock,
                                                       const TableOptions& options);

  std::shared_ptr<const Snapshot> snapshot() const EXCLUDES(mutex_);
  arrow::Result<std::shared_ptr<const Snapshot>> Refresh() EXCLUDES(commit_mutex_);
  CommitResult Commit(CommitIntent* intent) EXCLUDES(commit_mutex_);

  std::optional<CommittedKey> FindKey(std::string_view key) const EXCLUDES(mutex_);
  std::optional<int64_t> LastSequence(std::string_view app_id) const EXCLUDES(mutex_);

  /// Writes the key summary when enough keys have come since the last one.
  arrow::Status SummariseKeys() EXCLUDES(mutex_);
  /// The newest version whose keys are all in a summary, or that needs none: its commit
  /// file and those before it are not needed for keys.
  int64_t KeysSafeUpTo() const EXCLUDES(mutex_);

  const LogReader& reader() const { return reader_; }
  store::Store* store() const { return store_.get(); }
  int64_t NowMs() const { return Now().wall_ms; }

 private:
  TableLog(std::shared_ptr<store::Store> store, const Clock& clock,
           const TableOptions& options);

  Moment Now() const;
  arrow::Status Load() REQUIRES(commit_mutex_);
  arrow::Status LoadKeys(const Snapshot& snapshot, KeyIndex* keys) const;
  arrow::Status CatchUp() REQUIRES(commit_mutex_);
  arrow::Status Advance(const std::shared_ptr<const Snapshot>& base,
                        const std::vector<Action>& actions) REQUIRES(commit_mutex_);
  arrow::Status NoteTail(int64_t version) REQUIRES(commit_mutex_);
  bool BaseStands(const Snapshot& base) const REQUIRES(commit_mutex_);
  void Complete(const Snapshot* base, CommitDraft* draft) const REQUIRES(commit_mutex_);
  void BackOff(int lost_races) REQUIRES(commit_mutex_);

  const std::shared_ptr<store::Store> store_;
  const Clock& clock_;
  const TableOptions options_;
  const LogReader reader_;

  Mutex commit_mutex_;  ///< taken before mutex_
  /// The commit file of the snapshot as it was read or written; nothing when cleaned up.
  std::optional<store::FileInfo> tail_ GUARDED_BY(commit_mutex_);
  /// What that commit says of its own time: the next one says no less.
  int64_t tail_stamp_ms_ GUARDED_BY(commit_mutex_) = 0;
  mutable Mutex mutex_;
  std::shared_ptr<const Snapshot> snapshot_ GUARDED_BY(mutex_);
  KeyIndex keys_ GUARDED_BY(mutex_);
  std::condition_variable never_;
  std::minstd_rand jitter_ GUARDED_BY(commit_mutex_){std::random_device{}()};
};

}  // namespace arrowport::delta
