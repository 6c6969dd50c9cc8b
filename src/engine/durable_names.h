// The names of a database file and of its log. DuckDB syncs what is in its files but not
// the folder that lists them: a file made since, a new log after a checkpoint above all,
// may be gone after a power cut with every commit in it (POSIX; fsync(2)). ext4, XFS and
// btrfs keep the name of a synced file, other file systems need not.
#pragma once

#include <arrow/status.h>

#include <array>
#include <cstdint>
#include <string>

#include "base/mutex.h"

namespace arrowport::engine {

/// Thread-safe.
class DurableNames {
 public:
  /// `path`: of the database file.
  explicit DurableNames(std::string path) : path_(std::move(path)) {}

  /// Every file there now has a durable name. Syncs the folder only when one is new since
  /// the last call. Errors: kStorageUnavailable; so does every call after that until
  /// Forget, as a sync is not to be tried again.
  arrow::Status Sync();
  /// Before the storage is opened: the next Sync syncs.
  void Forget();

  bool failed() const {
    MutexLock lock(mutex_);
    return !failure_.ok();
  }

 private:
  struct File {
    uint64_t inode = 0;   ///< 0: not there
    int64_t born_ns = 0;  ///< 0 where the file system does not tell
    uint64_t bytes = 0;
  };
  static constexpr std::array<const char*, 3> kSuffixes = {"", ".wal", ".wal.checkpoint"};
  using Files = std::array<File, kSuffixes.size()>;

  Files Look() const;
  static bool AnyNew(const Files& before, const Files& now);
  arrow::Status SyncFolder() const;

  const std::string path_;
  mutable Mutex mutex_;  ///< held while syncing: nobody passes on a sync under way
  Files synced_ GUARDED_BY(mutex_);
  arrow::Status failure_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::engine
