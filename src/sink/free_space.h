// Room on a file system.
#pragma once

#include <arrow/status.h>

#include <cstdint>
#include <string>

namespace arrowport::sink {

/// OK while at least `bytes_min` bytes are free for us where `path` lies, or will lie:
/// the nearest folder above it that is there counts. OK, too, when the file system cannot
/// tell. Errors: kNoSpace, retriable, naming the place and both figures.
arrow::Status CheckFreeSpace(const std::string& path, int64_t bytes_min);

}  // namespace arrowport::sink
