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

  /// One binary key per row of `columns` (of the same schema as the samples), to be
  /// compared byte by byte. NULL ranks below all values.
  arrow::Result<std::shared_ptr<arrow::Array>> Keys(const arrow::RecordBatch& columns) const;

 private:
  /// Ascending cuts of one column as comparable text.
  using Cuts = std::vector<std::string>;
  std::vector<Cuts> cuts_;
};

}  // namespace arrowport::delta
