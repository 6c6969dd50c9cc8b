// What writes the files of one format of one table: the active file and its rotation.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/status.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "zerobus/debug_names.h"
#include "zerobus/debug_output.h"

namespace arrowport::zerobus {

/// The stamps of one table. Thread-safe.
class DebugStamps {
 public:
  explicit DebugStamps(DebugStamp newest) : newest_(std::move(newest)) {}
  DebugStamp Next() {
    MutexLock lock(mutex_);
    newest_ = NextStamp(SystemClock().WallNow(), newest_);
    return newest_;
  }

 private:
  Mutex mutex_;
  DebugStamp newest_ GUARDED_BY(mutex_);
};

struct DebugLaneOptions {
  std::filesystem::path zerobus_folder;
  std::string stem;
  std::optional<int64_t> file_bytes_max;
  std::optional<int64_t> rotated_files_max;
  std::shared_ptr<DebugStamps> stamps;
};

/// The active file of a format. A file that an earlier writer left is rotated, never
/// added to. Caller-locked.
class DebugFile {
 public:
  DebugFile(const DebugLaneOptions& options, std::string_view folder,
            std::string_view extension, std::string_view end_marker);

  /// Nothing was written to the active file yet.
  bool empty() const { return !output_; }
  /// True when `unit_bytes` more would exceed the limit.
  bool Exceeds(int64_t unit_bytes) const;
  arrow::Status Append(std::string_view unit);
  arrow::Status Flush();
  /// Ends the active file and gives it its rotated name, if there is one, also one that
  /// an earlier writer left; the oldest beyond the limit go. A failure to end the file
  /// does not stop it from being moved.
  arrow::Status Rotate(const DebugStamp& stamp);
  arrow::Status Rotate() { return Rotate(options_.stamps->Next()); }
  arrow::Status Close();

 private:
  arrow::Status Prune();

  const DebugLaneOptions options_;
  const std::filesystem::path folder_;
  const std::string extension_;
  const std::string end_marker_;
  const std::filesystem::path active_;
  std::unique_ptr<DebugOutput> output_;
};

/// Batches as an Arrow IPC stream. Caller-locked.
class ArrowLane {
 public:
  explicit ArrowLane(const DebugLaneOptions& options);
  ~ArrowLane();
  /// Another schema than before begins a new file.
  arrow::Status Write(const arrow::RecordBatch& batch);
  /// What follows a failure goes into another file.
  arrow::Status Flush();
  arrow::Status Close() { return file_.Close(); }

 private:
  class Encoder;
  arrow::Status WriteRows(const arrow::RecordBatch& batch);
  arrow::Status Rotate();

  DebugFile file_;
  std::shared_ptr<arrow::Schema> schema_;
  std::unique_ptr<Encoder> encoder_;  ///< of the active file
};

/// Rows as varint size and message, and their descriptor. Caller-locked.
class ProtoLane {
 public:
  explicit ProtoLane(const DebugLaneOptions& options);
  /// Of the rows that follow. Another than before begins new files.
  arrow::Status SetDescriptor(std::string_view descriptor);
  /// As WriterObserver::OnEncoded. Errors: kInvalidArgument without a descriptor.
  arrow::Status Write(std::string_view records);
  /// What follows a failure goes into another file.
  arrow::Status Flush();
  arrow::Status Close() { return file_.Close(); }

 private:
  arrow::Status StoreDescriptor();

  const DebugLaneOptions options_;
  DebugFile file_;
  std::string descriptor_;
  bool stored_ = false;  ///< descriptor_ is in the active descriptor file
};

}  // namespace arrowport::zerobus
