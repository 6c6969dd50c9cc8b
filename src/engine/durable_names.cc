#include "engine/durable_names.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.h"

namespace arrowport::engine {

DurableNames::Files DurableNames::Look() const {
  Files files;
  for (size_t i = 0; i < files.size(); ++i) {
    struct statx facts = {};
    const std::string path = path_ + kSuffixes[i];
    if (statx(AT_FDCWD, path.c_str(), AT_STATX_SYNC_AS_STAT,
              STATX_INO | STATX_SIZE | STATX_BTIME, &facts) != 0) {
      continue;
    }
    files[i].inode = facts.stx_ino;
    files[i].bytes = facts.stx_size;
    if (facts.stx_mask & STATX_BTIME) {
      files[i].born_ns = facts.stx_btime.tv_sec * 1'000'000'000 + facts.stx_btime.tv_nsec;
    }
  }
  return files;
}

// A file system may give a new file the number of one just deleted: then its time of
// birth tells, or that it is shorter, as logs only grow.
bool DurableNames::AnyNew(const Files& before, const Files& now) {
  for (size_t i = 0; i < now.size(); ++i) {
    if (now[i].inode == 0) continue;
    if (now[i].inode != before[i].inode || now[i].born_ns != before[i].born_ns ||
        now[i].bytes < before[i].bytes) {
      return true;
    }
  }
  return false;
}

arrow::Status DurableNames::SyncFolder() const {
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  const int opened =
      open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = opened >= 0 && fsync(opened) == 0;
  const int error = errno;
  if (opened >= 0) close(opened);
  // Some network file systems cannot sync a folder, and keep names by themselves.
  if (synced || error == EINVAL) return {};
  return Error(ErrorCode::kStorageUnavailable, "sync of the folder failed: ", folder,
               ": ", std::strerror(error));
}

arrow::Status DurableNames::Sync() {
  MutexLock lock(mutex_);
  ARROW_RETURN_NOT_OK(failure_);
  const Files now = Look();
  if (AnyNew(synced_, now)) {
    failure_ = SyncFolder();
    ARROW_RETURN_NOT_OK(failure_);
  }
  synced_ = now;
  return {};
}

void DurableNames::Forget() {
  MutexLock lock(mutex_);
  synced_ = {};
  failure_ = {};
}

}  // namespace arrowport::engine
