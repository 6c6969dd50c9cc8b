// One file that grows by whole units and can always be ended for its readers.
#pragma once

#include <arrow/result.h>
#include <arrow/status.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace arrowport::zerobus {

/// Caller-locked. After a failed call the file ends after the last unit that was wholly
/// written, as far as the file system lets it; then the object can only be closed.
class DebugOutput {
 public:
  /// A new file; `end_marker` ends it for its readers, may be empty. Errors: it exists or
  /// cannot be made.
  static arrow::Result<std::unique_ptr<DebugOutput>> Create(
      const std::filesystem::path& path, std::string_view end_marker);
  ~DebugOutput();

  /// Buffers `unit`; writes when much is buffered.
  arrow::Status Append(std::string_view unit);
  /// Writes what is buffered and the end marker, which the next unit overwrites: the file
  /// is whole for a reader at this moment. Not synced to the disk.
  arrow::Status Flush();
  /// Flush, then close. Idempotent.
  arrow::Status Close();

  /// Size it has or will have, end marker included.
  int64_t bytes() const {
    return written_ + static_cast<int64_t>(buffer_.size() + end_marker_.size());
  }

 private:
  DebugOutput(int descriptor, std::filesystem::path path, std::string_view end_marker)
      : descriptor_(descriptor), path_(std::move(path)), end_marker_(end_marker) {}
  arrow::Status WriteAt(int64_t offset, std::string_view bytes);
  arrow::Status WriteBuffer();

  int descriptor_;
  const std::filesystem::path path_;
  const std::string end_marker_;
  std::string buffer_;
  int64_t written_ = 0;  ///< bytes of whole units in the file
  bool ended_ = false;   ///< the end marker follows them
  arrow::Status failed_;
};

}  // namespace arrowport::zerobus
