#include "emulator/batch_check.h"

#include <arrow/array.h>
#include <arrow/type.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "emulator/value_rules.h"

namespace arrowport::emulator {
namespace {

using arrow::Type;
using zerobus::encode::TableColumn;
using zerobus::encode::TableField;
using zerobus::encode::TableSchema;
using zerobus::encode::TableType;
using zerobus::encode::TypeId;

bool IsText(const arrow::DataType& type, bool near_types) {
  return type.id() == Type::LARGE_STRING ||
         (near_types && (type.id() == Type::STRING || type.id() == Type::STRING_VIEW));
}

bool IsBytes(const arrow::DataType& type, bool near_types) {
  return type.id() == Type::LARGE_BINARY ||
         (near_types && (type.id() == Type::BINARY || type.id() == Type::BINARY_VIEW ||
                         type.id() == Type::FIXED_SIZE_BINARY));
}

bool IsTimestamp(const arrow::DataType& type, bool with_zone) {
  if (type.id() != Type::TIMESTAMP) return false;
  const auto& timestamp = static_cast<const arrow::TimestampType&>(type);
  return timestamp.unit() == arrow::TimeUnit::MICRO &&
         timestamp.timezone().empty() != with_zone;
}

bool IsVariant(const arrow::DataType& type, bool near_types) {
  return type.id() == Type::STRUCT && type.num_fields() == 2 &&
         type.field(0)->name() == "metadata" && type.field(1)->name() == "value" &&
         IsBytes(*type.field(0)->type(), near_types) &&
         IsBytes(*type.field(1)->type(), near_types);
}

bool Fits(const arrow::DataType& type, const TableType& wanted, bool near_types);

bool MembersFit(const arrow::DataType& type, const TableType& wanted, bool near_types) {
  if (type.num_fields() != static_cast<int>(wanted.children.size())) return false;
  for (int i = 0; i < type.num_fields(); ++i) {
    const TableField& member = wanted.children[static_cast<size_t>(i)];
    if (type.field(i)->name() != member.name ||
        !Fits(*type.field(i)->type(), member.type, near_types)) {
      return false;
    }
  }
  return true;
}

Type::type NumberOf(TypeId id) {
  switch (id) {
    case TypeId::kBoolean:
      return Type::BOOL;
    case TypeId::kTinyInt:
      return Type::INT8;
    case TypeId::kSmallInt:
      return Type::INT16;
    case TypeId::kInt:
      return Type::INT32;
    case TypeId::kBigInt:
      return Type::INT64;
    case TypeId::kFloat:
      return Type::FLOAT;
    case TypeId::kDouble:
      return Type::DOUBLE;
    default:
      return Type::DATE32;
  }
}

bool Fits(const arrow::DataType& type, const TableType& wanted, bool near_types) {
  switch (wanted.id) {
    case TypeId::kString:
    case TypeId::kDecimal:
      return IsText(type, near_types);
    case TypeId::kBinary:
      return IsBytes(type, near_types);
    case TypeId::kTimestamp:
      return IsTimestamp(type, true);
    case TypeId::kTimestampNtz:
      return IsTimestamp(type, false);
    case TypeId::kVariant:
      return IsVariant(type, near_types);
    case TypeId::kStruct:
      return type.id() == Type::STRUCT && MembersFit(type, wanted, near_types);
    case TypeId::kArray:
      return (type.id() == Type::LIST || (near_types && type.id() == Type::LARGE_LIST)) &&
             Fits(*type.field(0)->type(), wanted.children[0].type, near_types);
    case TypeId::kMap: {
      if (type.id() != Type::MAP) return false;
      const auto& map = static_cast<const arrow::MapType&>(type);
      return Fits(*map.key_type(), wanted.children[0].type, near_types) &&
             Fits(*map.item_type(), wanted.children[1].type, near_types);
    }
    default:
      return type.id() == NumberOf(wanted.id);
  }
}

void AddCause(SchemaVerdict* verdict, const std::string& cause, const std::string& detail) {
  if (std::find(verdict->causes.begin(), verdict->causes.end(), cause) ==
      verdict->causes.end()) {
    verdict->causes.push_back(cause);
  }
  verdict->details += (verdict->details.empty() ? "" : "; ") + detail;
}

arrow::Status BadValue(const std::string& path, std::string_view what) {
  return Error(ErrorCode::kBadData, "bad value in ", path, ": ", what);
}

arrow::Status CheckArray(const arrow::Array& array, const TableType& type,
                         const std::string& path);

template <typename TextArray>
arrow::Status CheckDecimals(const TextArray& array, const TableType& type,
                            const std::string& path) {
  for (int64_t row = 0; row < array.length(); ++row) {
    if (array.IsNull(row)) continue;
    if (!IsDecimalText(array.GetView(row), type.precision, type.scale)) {
      return BadValue(path, "not a value of " + type.ToString());
    }
  }
  return {};
}

/// No null in `child` where `parent` has a value.
arrow::Status CheckNotNull(const arrow::Array& parent, const arrow::Array& child,
                           const std::string& path) {
  if (child.null_count() == 0) return {};
  for (int64_t row = 0; row < child.length(); ++row) {
    if (child.IsNull(row) && parent.IsValid(row)) return BadValue(path, "null in NOT NULL");
  }
  return {};
}

arrow::Status CheckStruct(const arrow::StructArray& array, const TableType& type,
                          const std::string& path) {
  for (int i = 0; i < array.num_fields(); ++i) {
    const TableField& member = type.children[static_cast<size_t>(i)];
    const std::string member_path = path + "." + member.name;
    const auto child = array.field(i);
    if (!member.nullable) ARROW_RETURN_NOT_OK(CheckNotNull(array, *child, member_path));
    ARROW_RETURN_NOT_OK(CheckArray(*child, member.type, member_path));
  }
  return {};
}

arrow::Status CheckArray(const arrow::Array& array, const TableType& type,
                         const std::string& path) {
  switch (array.type_id()) {
    case Type::LARGE_STRING:
      if (type.id != TypeId::kDecimal) return {};
      return CheckDecimals(static_cast<const arrow::LargeStringArray&>(array), type, path);
    case Type::STRING:
      if (type.id != TypeId::kDecimal) return {};
      return CheckDecimals(static_cast<const arrow::StringArray&>(array), type, path);
    case Type::STRUCT: {
      const auto& parts = static_cast<const arrow::StructArray&>(array);
      if (type.id == TypeId::kStruct) return CheckStruct(parts, type, path);
      for (const int i : {0, 1}) {
        ARROW_RETURN_NOT_OK(CheckNotNull(array, *parts.field(i), path));
      }
      return {};
    }
    case Type::LIST: {
      const auto& list = static_cast<const arrow::ListArray&>(array);
      ARROW_ASSIGN_OR_RAISE(const auto values, list.Flatten());
      return CheckArray(*values, type.children[0].type, path + "[]");
    }
    case Type::MAP: {
      const auto& map = static_cast<const arrow::MapArray&>(array);
      ARROW_RETURN_NOT_OK(CheckArray(*map.keys(), type.children[0].type, path + ".key"));
      return CheckArray(*map.items(), type.children[1].type, path + ".value");
    }
    default:
      return {};
  }
}

template <typename NumberArray>
std::string NumberIds(const arrow::Array& array) {
  const auto& numbers = static_cast<const NumberArray&>(array);
  std::string ids;
  ids.reserve(static_cast<size_t>(array.length()) * 8);
  char text[24];
  for (int64_t row = 0; row < numbers.length(); ++row) {
    if (row > 0) ids += ',';
    if (numbers.IsNull(row)) {
      ids += "null";
      continue;
    }
    const auto end = std::to_chars(text, text + sizeof text, numbers.Value(row)).ptr;
    ids.append(text, end);
  }
  return ids;
}

template <typename TextArray>
std::string TextIds(const arrow::Array& array) {
  const auto& texts = static_cast<const TextArray&>(array);
  std::string ids;
  for (int64_t row = 0; row < texts.length(); ++row) {
    if (row > 0) ids += ',';
    if (texts.IsNull(row)) {
      ids += "null";
    } else {
      AppendJsonText(texts.GetView(row), &ids);
    }
  }
  return ids;
}

}  // namespace

SchemaVerdict JudgeSchema(const arrow::Schema& schema, const TableSchema& table,
                          const FlightRules& rules) {
  SchemaVerdict verdict;
  int32_t last_position = -1;
  for (const auto& field : schema.fields()) {
    const TableColumn* column = table.Find(field->name());
    if (!column) {
      AddCause(&verdict, "FIELD_NOT_IN_TABLE", field->name() + " is not in the table");
      continue;
    }
    if (schema.GetAllFieldIndices(field->name()).size() > 1) {
      AddCause(&verdict, "FIELD_COUNT_MISMATCH", field->name() + " comes twice");
    }
    if (column->position < last_position && !rules.reordered) {
      AddCause(&verdict, "FIELD_OUT_OF_ORDER", field->name() + " is out of order");
    }
    last_position = column->position;
    if (!Fits(*field->type(), column->type, rules.near_types)) {
      AddCause(&verdict, "TYPE_INCOMPATIBLE",
               field->name() + " is " + field->type()->ToString() + ", the column is " +
                   column->type.ToString());
    }
  }
  for (const TableColumn& column : table.columns()) {
    if (schema.GetFieldIndex(column.name) >= 0) continue;
    if (!schema.GetAllFieldIndices(column.name).empty()) continue;
    if (!column.nullable) {
      AddCause(&verdict, "MISSING_REQUIRED_COLUMN", column.name + " is missing");
    } else if (!rules.missing_nullable) {
      AddCause(&verdict, "FIELD_COUNT_MISMATCH", column.name + " is missing");
    }
  }
  if (schema.num_fields() > static_cast<int>(table.columns().size())) {
    AddCause(&verdict, "FIELD_COUNT_MISMATCH",
             std::to_string(schema.num_fields()) + " fields for " +
                 std::to_string(table.columns().size()) + " columns");
  }
  return verdict;
}

arrow::Status CheckBatch(const arrow::RecordBatch& batch, const TableSchema& table) {
  if (const auto sound = batch.ValidateFull(); !sound.ok()) {
    return WithCode(ErrorCode::kBadData, sound);
  }
  for (int i = 0; i < batch.num_columns(); ++i) {
    const TableColumn* column = table.Find(batch.column_name(i));
    if (!column) continue;
    const auto& array = *batch.column(i);
    if (!column->nullable && array.null_count() > 0) {
      return BadValue(column->name, "null in NOT NULL");
    }
    ARROW_RETURN_NOT_OK(CheckArray(array, column->type, column->name));
  }
  return {};
}

std::string RowIds(const arrow::RecordBatch& batch, const std::string& column) {
  const int index = column.empty() ? 0 : batch.schema()->GetFieldIndex(column);
  const auto array = index >= 0 && index < batch.num_columns() ? batch.column(index) : nullptr;
  switch (array ? array->type_id() : Type::NA) {
    case Type::INT64:
      return NumberIds<arrow::Int64Array>(*array);
    case Type::INT32:
      return NumberIds<arrow::Int32Array>(*array);
    case Type::INT16:
      return NumberIds<arrow::Int16Array>(*array);
    case Type::DATE32:
      return NumberIds<arrow::Date32Array>(*array);
    case Type::TIMESTAMP:
      return NumberIds<arrow::TimestampArray>(*array);
    case Type::LARGE_STRING:
      return TextIds<arrow::LargeStringArray>(*array);
    case Type::STRING:
      return TextIds<arrow::StringArray>(*array);
    default:
      break;
  }
  std::string ids;
  for (int64_t row = 0; row < batch.num_rows(); ++row) ids += row == 0 ? "null" : ",null";
  return ids;
}

}  // namespace arrowport::emulator
