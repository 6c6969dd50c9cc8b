#include "sink/free_space.h"

#include <sys/statvfs.h>

#include <cerrno>
#include <filesystem>

#include "base/error.h"

namespace arrowport::sink {

arrow::Status CheckFreeSpace(const std::string& path, int64_t bytes_min) {
  if (bytes_min <= 0) return {};
  std::filesystem::path place = path;
  struct statvfs space = {};
  while (statvfs(place.empty() ? "." : place.c_str(), &space) != 0) {
    if ((errno != ENOENT && errno != ENOTDIR) || !place.has_relative_path()) return {};
    place = place.parent_path();
  }
  // Pseudo file systems count no blocks.
  if (space.f_blocks == 0) return {};
  const auto free_bytes =
      static_cast<int64_t>(space.f_bavail) * static_cast<int64_t>(space.f_frsize);
  if (free_bytes >= bytes_min) return {};
  return Error(ErrorCode::kNoSpace, "the disk is nearly full: ", free_bytes,
               " bytes are free at ", path, ", limits.free_space_min keeps ", bytes_min);
}

}  // namespace arrowport::sink
