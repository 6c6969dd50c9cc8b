#include "wire/http/spool.h"

#include <arrow/io/file.h>
#include <arrow/io/memory.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace arrowport::wire::http {
namespace {

arrow::Status FileError(std::string_view what, const std::string& folder, int error) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return Error(full ? ErrorCode::kNoSpace : ErrorCode::kInternal, what, " in ", folder,
               ": ", std::strerror(error));
}

}  // namespace

Spool::Spool(std::string folder, int64_t memory_bytes, int64_t bytes_max)
    : folder_(folder.empty() ? "/tmp" : std::move(folder)),
      memory_bytes_(memory_bytes),
      bytes_max_(bytes_max) {}

Spool::~Spool() {
  if (descriptor_ >= 0) close(descriptor_);
}

arrow::Status Spool::Append(std::span<const uint8_t> bytes) {
  if (static_cast<int64_t>(bytes.size()) > bytes_max_ - size_) {
    return Error(ErrorCode::kTooLarge,
                 "the body is over what may be kept on disk, bytes: ", bytes_max_);
  }
  size_ += static_cast<int64_t>(bytes.size());
  if (descriptor_ < 0 && size_ <= memory_bytes_) {
    memory_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  if (descriptor_ < 0) {
    descriptor_ = open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor_ < 0) return FileError("open a temporary file", folder_, errno);
    ARROW_RETURN_NOT_OK(
        WriteFile({reinterpret_cast<const uint8_t*>(memory_.data()), memory_.size()}));
    std::string().swap(memory_);
  }
  return WriteFile(bytes);
}

arrow::Status Spool::WriteFile(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError("write a temporary file", folder_, errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

arrow::Result<std::shared_ptr<arrow::io::RandomAccessFile>> Spool::Finish() {
  if (descriptor_ < 0) {
    return std::make_shared<arrow::io::BufferReader>(
        arrow::Buffer::FromString(std::move(memory_)));
  }
  return arrow::io::ReadableFile::Open(std::exchange(descriptor_, -1));
}

}  // namespace arrowport::wire::http
