// More rows than memory holds, in the order of a key: cut into ranges of the key, each range
// spilled to a file without a name and sorted by itself.
#pragma once

#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace arrowport::delta {

struct RowOrdering {
  /// One key per row, into `keys`, which has the batch's length.
  std::function<arrow::Status(const arrow::RecordBatch& rows, std::vector<uint64_t>* keys)>
      keys_of;
  /// Keys of some of the rows, in any order: the ranges are cut by them.
  std::vector<uint64_t> sample;
  int64_t rows_expected = 0;  ///< about; decides how many ranges there are
  /// For spilled rows; nothing is left in it, whatever happens. Not used while all rows fit.
  std::string folder;
  int64_t memory_bytes = int64_t{256} << 20;
  arrow::MemoryPool* pool = arrow::default_memory_pool();
};

/// Reads all of `rows`, then gives them back by ascending key. A range that is far larger
/// than the sample foretold is sorted in pieces: then rows of one range come in several
/// ascending runs. The reader is caller-locked. Errors: those of `rows`, kNoSpace,
/// kStorageUnavailable.
arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> OrderRows(
    arrow::RecordBatchReader& rows, RowOrdering ordering);

}  // namespace arrowport::delta
