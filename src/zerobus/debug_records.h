// Reads the protobuf debug files back: docs/formats/zerobus-debug.md.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "zerobus/encode/compiled_descriptor.h"

namespace arrowport::zerobus {

/// Caller-locked. Holds one row in memory.
class DebugRecordReader {
 public:
  /// `descriptor`: its file, or empty for the one that goes with `rows`. Errors:
  /// kNotFound (either file), kBadData (no descriptor in its file).
  static arrow::Result<std::unique_ptr<DebugRecordReader>> Open(
      const std::filesystem::path& rows, const std::filesystem::path& descriptor);

  /// The next row as one JSON object with a member per column, in the descriptor's order:
  /// absent ones are null, bytes are base64, NaN and infinities null. False at the end.
  /// Errors: kIncompleteStream: the last row is cut (its writer was killed); kBadData: no
  /// message of this descriptor, or of another one.
  arrow::Result<bool> Next(std::string* json);

 private:
  DebugRecordReader() = default;
  /// Of the next row; false at the end.
  arrow::Result<bool> ReadSize(uint64_t* size);

  std::shared_ptr<const encode::CompiledDescriptor> descriptor_;
  std::unique_ptr<google::protobuf::MessageFactory> factory_;
  std::unique_ptr<google::protobuf::Message> message_;
  std::ifstream file_;
  uint64_t bytes_left_ = 0;  ///< of the file
  int64_t row_ = 0;          ///< read so far
  std::string buffer_;
};

}  // namespace arrowport::zerobus
