// How the batches of one upload become batches of its table.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace arrowport::schema {

enum class SchemaMode {
  kStrict,  ///< a column the table does not have is a mismatch
  kMerge,   ///< it is added to the table, nullable
  kWiden,   ///< as kMerge; types are widened where the storage can
};

struct SchemaLimits {
  int columns_max = 5000;  ///< at the top level
  int nesting_max = 64;
  int64_t identifier_bytes_max = 255;
};

/// Whether a stream's schema may become or enter a table at all: names, duplicates (ASCII
/// case ignored), number of columns, nesting; nested fields too.
/// Errors: kInvalidName, kTooLarge, kInvalidArgument.
arrow::Status CheckIncomingSchema(const arrow::Schema& incoming,
                                  const SchemaLimits& limits);

/// A column of the table, as the plan needs it.
struct TargetColumn {
  std::string name;
  std::shared_ptr<arrow::DataType> type;
  bool nullable = true;
  bool has_default = false;
};

/// Immutable; thread-safe.
class CastPlan {
 public:
  /// REQUIRES: CheckIncomingSchema passed. Errors: kSchemaMismatch naming the column.
  static arrow::Result<CastPlan> Make(const std::shared_ptr<arrow::Schema>& incoming,
                                      std::vector<TargetColumn> columns, SchemaMode mode);

  /// Incoming fields the table lacks (never in strict mode). While there are any, Apply
  /// may not be called: add them to the table and plan again.
  const arrow::FieldVector& columns_to_add() const { return columns_to_add_; }

  /// Every batch passes as it is.
  bool identity() const { return identity_; }

  /// Columns of the table in the order they came in, each of exactly the table's type.
  /// `first_row`: rows of the upload before this batch, for messages. Columns that need
  /// no cast share the buffers of `batch`.
  /// Errors: kSchemaMismatch naming column, row (from 0) and value.
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Apply(
      const std::shared_ptr<arrow::RecordBatch>& batch, int64_t first_row) const;

  const std::shared_ptr<arrow::Schema>& output_schema() const { return output_; }

 private:
  std::vector<TargetColumn> targets_;  ///< per incoming column
  std::vector<bool> casts_;            ///< per incoming column: not an identity
  std::shared_ptr<arrow::Schema> output_;
  arrow::FieldVector columns_to_add_;
  bool identity_ = false;
};

}  // namespace arrowport::schema
