// Rows grouped by their partition values.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <memory>
#include <string>
#include <vector>

#include "delta/actions.h"
#include "delta/schema.h"

namespace arrowport::delta {

struct PartitionRows {
  PartitionValues values;
  /// The rows of one partition in their order, partition columns left out.
  std::shared_ptr<arrow::RecordBatch> rows;
};

/// Immutable; thread-safe.
class PartitionSplitter {
 public:
  /// Batches come as ToArrowSchema says.
  /// Errors: kUnsupportedType for a partition column that is binary, nested or unknown.
  static arrow::Result<PartitionSplitter> Make(
      const TableSchema& schema, NameStyle names,
      const std::vector<std::string>& partition_columns);

  /// One entry per distinct combination of values in order of first appearance; the whole
  /// batch, shared, when there is but one. Errors: kTooLarge above `partitions_max`;
  /// kBadData for text that is not UTF-8, kConstraintViolation for NULL (or "", which is
  /// NULL here) in a column that is not nullable.
  arrow::Result<std::vector<PartitionRows>> Split(
      const std::shared_ptr<arrow::RecordBatch>& batch, int64_t partitions_max) const;

 private:
  struct Key {
    int column = 0;
    std::string name;
    bool nullable = true;
  };
  std::vector<Key> keys_;
  std::vector<int> kept_columns_;
};

/// The folder of a partition below the table, ending in '/', "" without partition columns:
/// "day=2024-01-31/kind=a%20b/", escaped as Hive does and times spelled as Spark does: values
/// come from the log, but Polars takes them from here. Where a part would be too long it is
/// a neutral "partition-<16 hex digits>/". `order`: the table's partition columns.
std::string PartitionFolder(const TableSchema& schema, const std::vector<std::string>& order,
                            const PartitionValues& values);

/// The text of one value as the log holds it; nothing for NULL (and for ""). `array` has
/// the table's Arrow type. Errors: kUnsupportedType.
arrow::Result<std::optional<std::string>> PartitionText(const arrow::Array& array,
                                                        int64_t row);

}  // namespace arrowport::delta
