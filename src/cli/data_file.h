// Files of rows to send: Arrow stream, Arrow file, Parquet, CSV.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace arrowport::cli {

struct DataFile {
  std::shared_ptr<arrow::RecordBatchReader> reader;
  int64_t rows_total = 0;  ///< 0: not known before the end
};

/// "-" is standard input. The form is told by the first bytes, CSV being what is none of
/// the others. Files are memory-mapped and Arrow data is not copied; from standard input
/// Parquet and Arrow files, which are read from their end, go through a temporary file.
/// Errors: kNotFound (no such file), kBadData.
arrow::Result<DataFile> OpenDataFile(const std::string& path);

}  // namespace arrowport::cli
