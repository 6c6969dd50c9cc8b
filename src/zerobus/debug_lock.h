// The right to write a set of files, among all processes.
#pragma once

#include <arrow/result.h>

#include <filesystem>
#include <memory>

namespace arrowport::zerobus {

/// Held while it lives; the process's end gives it back too.
class DebugLock {
 public:
  /// Makes the file at `path` when missing. Null: another has it. Errors: Configuration,
  /// the file cannot be made.
  static arrow::Result<std::unique_ptr<DebugLock>> Take(
      const std::filesystem::path& path);
  ~DebugLock();

 private:
  explicit DebugLock(int descriptor) : descriptor_(descriptor) {}
  const int descriptor_;
};

}  // namespace arrowport::zerobus
