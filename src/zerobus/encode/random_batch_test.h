// Random Arrow batches for tests: every type with a table column, nested, sliced, with nulls,
// dictionaries and run ends.
#pragma once

#include <arrow/record_batch.h>

#include <cstdint>
#include <memory>

namespace arrowport::zerobus::encode {

struct RandomBatchOptions {
  uint32_t seed = 0;
  int64_t row_count = 0;
  bool null_elements = true;  ///< in lists, and as map values
};

/// 1..6 columns that MakeDescriptor accepts; Date64 values may lie between two days.
std::shared_ptr<arrow::RecordBatch> RandomBatch(const RandomBatchOptions& options);

}  // namespace arrowport::zerobus::encode
