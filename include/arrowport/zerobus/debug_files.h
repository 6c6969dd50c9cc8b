// Files of what a writer is given and what it encodes, for people and for tests: an
// observer like any other. docs/formats/zerobus-debug.md describes the files.
//
//   ARROW_ASSIGN_OR_RAISE(auto files, DebugFiles::Make(options.table, options.mode, {...}));
//   options.observers.push_back(files);
#pragma once

#include <arrow/result.h>
#include <arrow/status.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "arrowport/zerobus/observer.h"
#include "arrowport/zerobus/options.h"

namespace arrowport::zerobus {

struct DebugFileOptions {
  std::string output_folder;  ///< made when missing
  bool arrow = false;         ///< zerobus/arrow/<table>.arrow
  /// zerobus/proto/<table>.proto and zerobus/descriptors/<table>.pb. Mode::kProto alone
  /// has such rows; in the other modes this writes nothing.
  bool protobuf = false;
  std::chrono::milliseconds flush_interval{5'000};
  /// A file is rotated before it would exceed this. A single row may. None: no rotation.
  std::optional<int64_t> file_bytes_max;
  /// Rotated files kept per format and table; none: all.
  std::optional<int64_t> rotated_files_max = 10;
};

/// Thread-safe. What cannot be written is dropped and counted; a send never fails by it.
/// It owns one thread, which flushes.
class DebugFiles : public WriterObserver {
 public:
  /// Errors: Configuration: no format or folder, an interval or limit below 1, a table
  /// name of other characters, a folder that cannot be written, files of this table that
  /// another writer (of any process) has open.
  static arrow::Result<std::shared_ptr<DebugFiles>> Make(const std::string& table,
                                                         Mode mode,
                                                         const DebugFileOptions& options);
  /// Writes everything and the end markers and ends the files; nothing is written
  /// afterwards. Idempotent. Errors: of the last writes. The destructor does it too.
  virtual arrow::Status Close() = 0;
  /// Batches, blocks of rows, descriptors and files that failed to be written or moved.
  virtual int64_t write_errors() const = 0;
  /// Why, the latest; OK when there was none.
  virtual arrow::Status last_error() const = 0;
};

}  // namespace arrowport::zerobus
