// A body kept until it is complete: in memory while small, else in an unlinked temporary
// file that vanishes with its last user, also after a crash.
#pragma once

#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace arrowport::wire::http {

/// Not thread-safe.
class Spool {
 public:
  /// `folder` empty: "/tmp".
  Spool(std::string folder, int64_t memory_bytes, int64_t bytes_max);
  ~Spool();

  /// Errors: kTooLarge, kNoSpace, kInternal.
  arrow::Status Append(std::span<const uint8_t> bytes);
  /// The whole content for reading; nothing may be appended after.
  arrow::Result<std::shared_ptr<arrow::io::RandomAccessFile>> Finish();
  int64_t size() const { return size_; }

 private:
  arrow::Status WriteFile(std::span<const uint8_t> bytes);

  const std::string folder_;
  const int64_t memory_bytes_;
  const int64_t bytes_max_;
  std::string memory_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

}  // namespace arrowport::wire::http
