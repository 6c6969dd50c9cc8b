// Arrow batches to Zerobus records: one protobuf message or one JSON object per row. A plan
// is compiled once per schema; it then reads Arrow's buffers and writes the bytes of the
// rows directly, a block of rows at a time and column by column inside a block.
//
// Value rules: integers are checked against the column's range, decimals become plain text
// at the column's scale and are checked against its precision, timestamps are microseconds
// (nanoseconds by floor), dates are days (milliseconds by floor), text must be UTF-8, a
// VARIANT is the text of a JSON document. A null is left out; of equal map keys the last
// stays. JSON rows: binary is base64, decimals are text, dates and timestamps integers, map
// keys text, NaN and infinities the strings "NaN", "Infinity", "-Infinity".
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <google/protobuf/descriptor.pb.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "zerobus/encode/table_schema.h"

namespace arrowport::zerobus::encode {

/// What becomes of a null in a list and of a map entry whose value is null: records can
/// hold neither.
enum class NullElements { kFail, kDrop };

struct EncodeOptions {
  /// A row above it fails alone. At most 2^31 - 1.
  int64_t row_bytes_max = 10'420'224;
  /// A batch whose rows take more fails as a whole (kTooLarge).
  int64_t batch_bytes_max = int64_t{2} << 30;
  NullElements null_elements = NullElements::kFail;
  /// Not 0: each row stands behind the tag and length of this field of a message, so that
  /// any run of rows is what a repeated field of that number is on the wire. 1 to 15.
  int entry_field_number = 0;
};

struct FailedRow {
  int64_t row;           ///< index in the batch
  arrow::Status status;  ///< names the column
};

/// The rows of one batch. Movable and copyable; copies share the bytes.
struct EncodedRows {
  /// One per row of the batch. A failed row has data() == nullptr; a row of zero bytes
  /// (all null) has not.
  std::vector<std::string_view> rows;
  std::vector<FailedRow> failed_rows;  ///< ascending
  int64_t bytes = 0;                   ///< sum over rows
  /// What `rows` points into: the rows that did not fail, back to back but for what
  /// entry_field_number puts before each.
  std::shared_ptr<arrow::Buffer> buffer;
};

namespace internal {
struct RecordPlan;
}

/// Immutable, thread-safe: one encoder serves any number of concurrent Encode calls.
class RowEncoder {
 public:
  /// Protobuf rows for `proto` (self-contained; made by MakeDescriptor or given by a user).
  /// Columns meet fields by name. `table` may be null; the ranges, precisions and scales of
  /// its columns are then those of the Arrow types. Errors: as CheckDescriptor,
  /// kInvalidArgument for an option out of range.
  static arrow::Result<std::shared_ptr<const RowEncoder>> MakeProtobuf(
      const arrow::Schema& schema, const google::protobuf::DescriptorProto& proto,
      const TableSchema* table, const EncodeOptions& options = {});

  /// JSON rows, UTF-8, no line breaks. Errors: kColumnNotFound, kSchemaMismatch,
  /// kUnsupportedType, kInvalidArgument.
  static arrow::Result<std::shared_ptr<const RowEncoder>> MakeJson(
      const arrow::Schema& schema, const TableSchema& table,
      const EncodeOptions& options = {});

  ~RowEncoder();

  /// Encodes every row it can; the others are in failed_rows, each with its reason:
  /// kConstraintViolation (null where none may be), kSchemaMismatch (a value outside the
  /// column's type), kBadData (text that is not UTF-8, VARIANT that is not JSON, offsets
  /// outside their buffers), kTooLarge (row_bytes_max).
  /// REQUIRES: buffers do not change meanwhile. Errors of the whole call: kSchemaMismatch
  /// (not the schema of the plan), kBadData (structurally invalid), kTooLarge, kOutOfMemory.
  arrow::Result<EncodedRows> Encode(const arrow::RecordBatch& batch) const;

 private:
  explicit RowEncoder(std::unique_ptr<const internal::RecordPlan> plan);

  std::unique_ptr<const internal::RecordPlan> plan_;
};

}  // namespace arrowport::zerobus::encode
