// Keys along a z-curve: rows near each other in several columns get keys near each other.
// Values are ranked by the quantiles of a sample, so that the curve is even whatever their
// distribution; the bits of the ranks are interleaved.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace arrowport::delta {

/// Immutable, thread-safe.
class ZOrderCurve {
 public:
  /// `samples`: batches of exactly the curve's columns. Errors: kInvalidArgument for a
  /// column of a nested type, or more than 16 columns.
  static arrow::Result<ZOrderCurve> Make(
      const std::vector<std::shared_ptr<arrow::RecordBatch>>& samples,
      const std::shared_ptr<arrow::Schema>& columns);

  /// One key per row of `columns` (of the same schema as the samples) into `keys`. NULL
  /// ranks below all values.
  arrow::Status Keys(const arrow::RecordBatch& columns, std::vector<uint64_t>* keys) const;

 private:
  /// One column: its rank is the number of cuts at or below the value.
  struct Column {
    std::vector<uint64_t> numbers;   ///< ascending cuts of a type of fixed width
    std::vector<std::string> texts;  ///< of another type
    /// By rank: the column's share of the bits of a key.
    std::vector<uint64_t> bits;
  };
  std::vector<Column> columns_;
};

}  // namespace arrowport::delta
