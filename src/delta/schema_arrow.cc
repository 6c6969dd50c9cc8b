// The Arrow side of schema.h.
#include <arrow/extension_type.h>
#include <arrow/util/key_value_metadata.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "base/error.h"
#include "delta/schema.h"

namespace arrowport::delta {
namespace {

constexpr std::string_view kForbiddenInNames = " ,;{}()\n\t=";
constexpr int kPrecisionMax = 38;
constexpr int kDepthMax = 64;

std::shared_ptr<arrow::Field> ToArrowField(const StructField& field, NameStyle names) {
  auto type = ToArrowType(*field.type, names);
  const bool physical = names == NameStyle::kPhysical;
  std::shared_ptr<const arrow::KeyValueMetadata> metadata;
  if (physical && field.field_id) {
    metadata = arrow::key_value_metadata({"PARQUET:field_id"},
                                         {std::to_string(*field.field_id)});
  }
  return arrow::field(physical ? field.physical_name() : field.name, std::move(type),
                      field.nullable, std::move(metadata));
}

std::shared_ptr<const DataType> Simple(TypeKind kind) {
  auto type = std::make_shared<DataType>();
  type->kind = kind;
  return type;
}

std::shared_ptr<const DataType> Decimal(int precision, int scale) {
  auto type = std::make_shared<DataType>();
  type->kind = TypeKind::kDecimal;
  type->precision = precision;
  type->scale = scale;
  return type;
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

arrow::Status CheckNames(const arrow::FieldVector& fields) {
  std::set<std::string> seen;
  for (const auto& field : fields) {
    const std::string& name = field->name();
    if (name.empty()) {
      return Error(ErrorCode::kInvalidName, "a column of a Delta table must have a name");
    }
    if (name.find_first_of(kForbiddenInNames) != std::string::npos) {
      return Error(ErrorCode::kInvalidName,
                   "a column name of a Delta table may hold none of ' ,;{}()=', tab and ",
                   "line break: ", name);
    }
    if (!seen.insert(Lower(name)).second) {
      return Error(ErrorCode::kInvalidName,
                   "column names of a Delta table must differ in more than case: ", name);
    }
  }
  return {};
}

class FromArrow {
 public:
  explicit FromArrow(const std::string& column) : column_(column) {}

  arrow::Result<std::shared_ptr<const DataType>> Convert(const arrow::DataType& type,
                                                         int depth) {
    if (depth > kDepthMax) return Unsupported(type);
    switch (type.id()) {
      case arrow::Type::DICTIONARY:
        return Convert(*static_cast<const arrow::DictionaryType&>(type).value_type(),
                       depth + 1);
      case arrow::Type::RUN_END_ENCODED:
        return Convert(*static_cast<const arrow::RunEndEncodedType&>(type).value_type(),
                       depth + 1);
      case arrow::Type::EXTENSION: {
        const auto& extension = static_cast<const arrow::ExtensionType&>(type);
        // JSON is text; every other extension means more than its storage says.
        if (extension.extension_name() != "arrow.json") return Unsupported(type);
        return Convert(*extension.storage_type(), depth + 1);
      }
      case arrow::Type::STRUCT:
        return Struct(type, depth);
      case arrow::Type::LIST:
      case arrow::Type::LARGE_LIST:
      case arrow::Type::LIST_VIEW:
      case arrow::Type::LARGE_LIST_VIEW:
      case arrow::Type::FIXED_SIZE_LIST:
        return Array(*type.field(0), depth);
      case arrow::Type::MAP:
        return Map(static_cast<const arrow::MapType&>(type), depth);
      case arrow::Type::DECIMAL32:
      case arrow::Type::DECIMAL64:
      case arrow::Type::DECIMAL128:
      case arrow::Type::DECIMAL256: {
        const auto& decimal = static_cast<const arrow::DecimalType&>(type);
        if (decimal.precision() > kPrecisionMax || decimal.scale() < 0 ||
            decimal.scale() > decimal.precision()) {
          return Unsupported(type);
        }
        return Decimal(decimal.precision(), decimal.scale());
      }
      default:
        return Primitive(type);
    }
  }

 private:
  arrow::Status Unsupported(const arrow::DataType& type) const {
    return Error(ErrorCode::kUnsupportedType, "a Delta table cannot hold this type: column ",
                 column_, " of type ", type.ToString());
  }

  arrow::Result<std::shared_ptr<const DataType>> Primitive(const arrow::DataType& type) {
    switch (type.id()) {
      case arrow::Type::BOOL: return Simple(TypeKind::kBoolean);
      case arrow::Type::INT8: return Simple(TypeKind::kByte);
      case arrow::Type::INT16:
      case arrow::Type::UINT8: return Simple(TypeKind::kShort);
      case arrow::Type::INT32:
      case arrow::Type::UINT16: return Simple(TypeKind::kInteger);
      case arrow::Type::INT64:
      case arrow::Type::UINT32: return Simple(TypeKind::kLong);
      case arrow::Type::UINT64: return Decimal(20, 0);
      case arrow::Type::HALF_FLOAT:
      case arrow::Type::FLOAT: return Simple(TypeKind::kFloat);
      case arrow::Type::DOUBLE: return Simple(TypeKind::kDouble);
      case arrow::Type::STRING:
      case arrow::Type::LARGE_STRING:
      case arrow::Type::STRING_VIEW: return Simple(TypeKind::kString);
      case arrow::Type::BINARY:
      case arrow::Type::LARGE_BINARY:
      case arrow::Type::BINARY_VIEW:
      case arrow::Type::FIXED_SIZE_BINARY: return Simple(TypeKind::kBinary);
      case arrow::Type::DATE32:
      case arrow::Type::DATE64: return Simple(TypeKind::kDate);
      case arrow::Type::TIMESTAMP:
        return Simple(static_cast<const arrow::TimestampType&>(type).timezone().empty()
                          ? TypeKind::kTimestampNtz
                          : TypeKind::kTimestamp);
      default: return Unsupported(type);
    }
  }

  arrow::Result<std::shared_ptr<const DataType>> Struct(const arrow::DataType& type,
                                                        int depth) {
    if (type.num_fields() == 0) return Unsupported(type);
    ARROW_RETURN_NOT_OK(CheckNames(type.fields()));
    auto converted = std::make_shared<DataType>();
    converted->kind = TypeKind::kStruct;
    for (const auto& child : type.fields()) {
      StructField field;
      field.name = child->name();
      field.nullable = child->nullable();
      ARROW_ASSIGN_OR_RAISE(field.type, Convert(*child->type(), depth + 1));
      converted->fields.push_back(std::move(field));
    }
    return converted;
  }

  arrow::Result<std::shared_ptr<const DataType>> Array(const arrow::Field& element,
                                                       int depth) {
    auto converted = std::make_shared<DataType>();
    converted->kind = TypeKind::kArray;
    converted->contains_null = element.nullable();
    ARROW_ASSIGN_OR_RAISE(converted->element, Convert(*element.type(), depth + 1));
    return converted;
  }

  arrow::Result<std::shared_ptr<const DataType>> Map(const arrow::MapType& map, int depth) {
    auto converted = std::make_shared<DataType>();
    converted->kind = TypeKind::kMap;
    converted->contains_null = map.item_field()->nullable();
    ARROW_ASSIGN_OR_RAISE(converted->key, Convert(*map.key_type(), depth + 1));
    ARROW_ASSIGN_OR_RAISE(converted->element, Convert(*map.item_type(), depth + 1));
    return converted;
  }

  const std::string& column_;
};

}  // namespace

std::shared_ptr<arrow::DataType> ToArrowType(const DataType& type, NameStyle names) {
  switch (type.kind) {
    case TypeKind::kString: return arrow::utf8();
    case TypeKind::kLong: return arrow::int64();
    case TypeKind::kInteger: return arrow::int32();
    case TypeKind::kShort: return arrow::int16();
    case TypeKind::kByte: return arrow::int8();
    case TypeKind::kFloat: return arrow::float32();
    case TypeKind::kDouble: return arrow::float64();
    case TypeKind::kBoolean: return arrow::boolean();
    case TypeKind::kBinary: return arrow::binary();
    case TypeKind::kDate: return arrow::date32();
    case TypeKind::kTimestamp: return arrow::timestamp(arrow::TimeUnit::MICRO, "UTC");
    case TypeKind::kTimestampNtz: return arrow::timestamp(arrow::TimeUnit::MICRO);
    case TypeKind::kDecimal: return arrow::decimal128(type.precision, type.scale);
    case TypeKind::kVoid: return arrow::null();
    case TypeKind::kArray:
      return arrow::list(
          arrow::field("element", ToArrowType(*type.element, names), type.contains_null));
    case TypeKind::kMap:
      return arrow::map(
          ToArrowType(*type.key, names),
          arrow::field("value", ToArrowType(*type.element, names), type.contains_null));
    case TypeKind::kStruct: {
      arrow::FieldVector fields;
      fields.reserve(type.fields.size());
      for (const StructField& field : type.fields) {
        fields.push_back(ToArrowField(field, names));
      }
      return arrow::struct_(std::move(fields));
    }
  }
  return arrow::null();
}

std::shared_ptr<arrow::Schema> ToArrowSchema(const TableSchema& schema, NameStyle names) {
  arrow::FieldVector fields;
  fields.reserve(schema.fields.size());
  for (const StructField& field : schema.fields) {
    fields.push_back(ToArrowField(field, names));
  }
  return arrow::schema(std::move(fields));
}

arrow::Result<StructField> FromArrowField(const arrow::Field& field) {
  StructField converted;
  converted.name = field.name();
  converted.nullable = field.nullable();
  ARROW_ASSIGN_OR_RAISE(converted.type, FromArrow(field.name()).Convert(*field.type(), 0));
  return converted;
}

arrow::Result<std::shared_ptr<const TableSchema>> FromArrowSchema(
    const arrow::Schema& schema) {
  ARROW_RETURN_NOT_OK(CheckNames(schema.fields()));
  auto converted = std::make_shared<DataType>();
  converted->kind = TypeKind::kStruct;
  for (const auto& field : schema.fields()) {
    ARROW_ASSIGN_OR_RAISE(StructField column, FromArrowField(*field));
    converted->fields.push_back(std::move(column));
  }
  return converted;
}

}  // namespace arrowport::delta
