// A result written batch by batch in one of the output formats.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <memory>
#include <string>

namespace arrowport::cli {

enum class OutputFormat { kCsv, kParquet, kArrow, kJson };

/// Caller-locked. What was not closed leaves no file behind.
class ResultFile {
 public:
  /// `path` "-" is standard output. A file appears under its name only when it is whole:
  /// until then it is "<path>.partial". Errors: kNoSpace, kNotFound (folder).
  static arrow::Result<std::unique_ptr<ResultFile>> Create(
      const std::string& path, OutputFormat format,
      const std::shared_ptr<arrow::Schema>& schema);
  virtual ~ResultFile() = default;
  virtual arrow::Status Write(const std::shared_ptr<arrow::RecordBatch>& batch) = 0;
  virtual arrow::Status Close() = 0;
};

}  // namespace arrowport::cli
