#include "zerobus/debug_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "zerobus/failure.h"

namespace arrowport::zerobus {

arrow::Result<std::unique_ptr<DebugLock>> DebugLock::Take(
    const std::filesystem::path& path) {
  const int descriptor =
      open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (descriptor < 0) {
    return MakeFailure(ErrorKind::kConfiguration,
                       "cannot write files into " + path.parent_path().string());
  }
  auto lock = std::unique_ptr<DebugLock>(new DebugLock(descriptor));
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) return nullptr;
  return lock;
}

DebugLock::~DebugLock() { close(descriptor_); }

}  // namespace arrowport::zerobus
