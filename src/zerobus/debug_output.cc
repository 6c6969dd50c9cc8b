#include "zerobus/debug_output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace arrowport::zerobus {
namespace {

constexpr size_t kBufferBytes = 1 << 20;

arrow::Status SystemError(const char* phrase, const std::filesystem::path& path) {
  const int number = errno;
  return Error(number == ENOSPC || number == EDQUOT ? ErrorCode::kNoSpace
                                                    : ErrorCode::kStorageUnavailable,
               phrase, path.string(), ": ", std::strerror(number));
}

}  // namespace

arrow::Result<std::unique_ptr<DebugOutput>> DebugOutput::Create(
    const std::filesystem::path& path, std::string_view end_marker) {
  const int descriptor =
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (descriptor < 0) return SystemError("cannot make the debug file ", path);
  return std::unique_ptr<DebugOutput>(new DebugOutput(descriptor, path, end_marker));
}

DebugOutput::~DebugOutput() {
  // Whoever wants to know calls Close.
  static_cast<void>(Close());
}

arrow::Status DebugOutput::Append(std::string_view unit) {
  ARROW_RETURN_NOT_OK(failed_);
  buffer_ += unit;
  return buffer_.size() >= kBufferBytes ? WriteBuffer() : arrow::Status::OK();
}

arrow::Status DebugOutput::WriteAt(int64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError("cannot write the debug file ", path_);
    if (count == 0) errno = EIO;
    if (count == 0) return SystemError("cannot write the debug file ", path_);
    bytes.remove_prefix(static_cast<size_t>(count));
    offset += count;
  }
  return {};
}

arrow::Status DebugOutput::WriteBuffer() {
  if (buffer_.empty()) return {};
  ended_ = false;
  failed_ = WriteAt(written_, buffer_);
  if (failed_.ok()) {
    written_ += static_cast<int64_t>(buffer_.size());
  } else if (ftruncate(descriptor_, written_) == 0) {
    ended_ = WriteAt(written_, end_marker_).ok();
  }
  buffer_.clear();
  return failed_;
}

arrow::Status DebugOutput::Flush() {
  ARROW_RETURN_NOT_OK(failed_);
  ARROW_RETURN_NOT_OK(WriteBuffer());
  if (ended_) return {};
  failed_ = WriteAt(written_, end_marker_);
  ended_ = failed_.ok();
  return failed_;
}

arrow::Status DebugOutput::Close() {
  if (descriptor_ < 0) return {};
  const arrow::Status flushed = failed_.ok() ? Flush() : arrow::Status::OK();
  if (close(std::exchange(descriptor_, -1)) != 0 && flushed.ok()) {
    return SystemError("cannot close the debug file ", path_);
  }
  return flushed;
}

}  // namespace arrowport::zerobus
