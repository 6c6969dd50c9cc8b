// The compiled plan of an encoder: which Arrow column becomes which field, by what rule.
#pragma once

#include <arrow/result.h>
#include <arrow/type.h>
#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "zerobus/encode/row_encoder.h"
#include "zerobus/encode/table_schema.h"

namespace arrowport::zerobus::encode::internal {

/// What a null cell means.
enum class NullRule : uint8_t { kOmit, kFail };

/// One field of a message, the element of a list, or the key or value of a map.
struct FieldPlan {
  std::string name;
  std::string path;      ///< "address.city", for messages
  int child_index = 0;   ///< which column of the batch, or child of the struct
  /// The type of the Arrow array, and of its values behind dictionary, run-end encoding
  /// and extension.
  std::shared_ptr<arrow::DataType> arrow_type;
  const arrow::DataType* value_type = nullptr;
  bool is_null_type = false;  ///< every cell is null; `target` means nothing
  TypeId target = TypeId::kString;
  int32_t precision = 0;
  int32_t scale = 0;
  NullRule nulls = NullRule::kOmit;
  NullElements null_elements = NullElements::kFail;
  int field_number = 0;  ///< 0 in JSON plans; of a list element: the list's
  /// kStruct: members; kArray: the element; kMap: key, value.
  std::vector<FieldPlan> children;
};

enum class RowFormat : uint8_t { kProtobuf, kJson, kFlight };

struct RecordPlan {
  std::shared_ptr<arrow::Schema> schema;
  RowFormat format = RowFormat::kProtobuf;
  EncodeOptions options;
  std::vector<FieldPlan> fields;
};

/// `message` (kProtobuf only) or `table` may be null, not both; with both they must agree.
/// Keeps nothing of them. In kFlight a VARIANT may come as struct{metadata, value}, which is
/// planned as a struct. Errors: kColumnNotFound (no field of a column's name, or a required
/// one without column), kSchemaMismatch, kUnsupportedType.
arrow::Result<std::unique_ptr<RecordPlan>> CompilePlan(
    RowFormat format, const arrow::Schema& schema,
    const google::protobuf::Descriptor* message, const TableSchema* table,
    const EncodeOptions& options);

}  // namespace arrowport::zerobus::encode::internal
