#include "schema/duckdb_types.h"

#include <arrow/extension/uuid.h>
#include <arrow/extension_type.h>
#include <arrow/util/key_value_metadata.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "schema/names.h"

namespace arrowport::schema {
namespace {

using arrow::DataType;
using arrow::Type;

constexpr char kExtensionNameKey[] = "ARROW:extension:name";

arrow::Status Unsupported(const std::string& path, const DataType& type,
                          std::string_view why) {
  return Error(ErrorCode::kUnsupportedType, "DuckDB cannot hold this type exactly (", why,
               "): column ", path, ": ", type.ToString());
}

arrow::Result<DuckDbType> Map(const arrow::Field& field, const std::string& path,
                              int depth);

DuckDbType Simple(const char* sql, std::shared_ptr<DataType> stored) {
  return {sql, std::move(stored)};
}

arrow::Result<DuckDbType> MapDecimal(const arrow::DecimalType& type,
                                     const std::string& path) {
  int precision = type.precision();
  int scale = type.scale();
  if (scale < 0) {
    precision -= scale;
    scale = 0;
  }
  precision = std::max(precision, scale);
  if (scale > kDuckDbDecimalDigitsMax) {
    return Unsupported(path, type, "more than 38 digits behind the point");
  }
  precision = std::min(precision, kDuckDbDecimalDigitsMax);
  return DuckDbType{
      "DECIMAL(" + std::to_string(precision) + "," + std::to_string(scale) + ")",
      arrow::decimal128(precision, scale)};
}

arrow::Result<DuckDbType> MapTimestamp(const arrow::TimestampType& type) {
  if (!type.timezone().empty()) {
    return Simple("TIMESTAMP WITH TIME ZONE",
                  arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"));
  }
  auto stored = arrow::timestamp(type.unit());
  switch (type.unit()) {
    case arrow::TimeUnit::SECOND:
      return Simple("TIMESTAMP_S", std::move(stored));
    case arrow::TimeUnit::MILLI:
      return Simple("TIMESTAMP_MS", std::move(stored));
    case arrow::TimeUnit::MICRO:
      return Simple("TIMESTAMP", std::move(stored));
    case arrow::TimeUnit::NANO:
      return Simple("TIMESTAMP_NS", std::move(stored));
  }
  return Error(ErrorCode::kInternal, "unknown time unit");
}

arrow::Result<DuckDbType> MapList(const DataType& type, const std::string& path,
                                  int depth) {
  const std::shared_ptr<arrow::Field>& child = type.field(0);
  ARROW_ASSIGN_OR_RAISE(DuckDbType value, Map(*child, path + "[]", depth + 1));
  if (type.id() == Type::FIXED_SIZE_LIST) {
    const int size = static_cast<const arrow::FixedSizeListType&>(type).list_size();
    if (size > 0 && size <= kDuckDbArraySizeMax) {
      return DuckDbType{value.sql + "[" + std::to_string(size) + "]",
                        arrow::fixed_size_list(std::move(value.stored), size)};
    }
  }
  return DuckDbType{value.sql + "[]", arrow::list(std::move(value.stored))};
}

std::string LowerAscii(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  }
  return text;
}

arrow::Result<DuckDbType> MapStruct(const DataType& type, const std::string& path,
                                    int depth) {
  if (type.num_fields() == 0) return Unsupported(path, type, "a struct without members");
  std::string sql = "STRUCT(";
  arrow::FieldVector stored;
  std::set<std::string> seen;
  for (const auto& member : type.fields()) {
    const std::string member_path = path + "." + member->name();
    arrow::Status name = CheckColumnName(member->name());
    if (!name.ok()) return WithContext("column " + member_path, name);
    if (!seen.insert(LowerAscii(member->name())).second) {
      return Error(ErrorCode::kInvalidName,
                   "two members of a struct have one name (letter case does not count): ",
                   member_path);
    }
    ARROW_ASSIGN_OR_RAISE(DuckDbType mapped, Map(*member, member_path, depth + 1));
    if (!stored.empty()) sql += ", ";
    sql += QuoteIdentifier(member->name()) + " " + mapped.sql;
    stored.push_back(arrow::field(member->name(), std::move(mapped.stored)));
  }
  return DuckDbType{sql + ")", arrow::struct_(std::move(stored))};
}

arrow::Result<DuckDbType> MapMap(const arrow::MapType& type, const std::string& path,
                                 int depth) {
  ARROW_ASSIGN_OR_RAISE(DuckDbType key, Map(*type.key_field(), path + ".key", depth + 1));
  ARROW_ASSIGN_OR_RAISE(DuckDbType item,
                        Map(*type.item_field(), path + ".value", depth + 1));
  return DuckDbType{"MAP(" + key.sql + ", " + item.sql + ")",
                    arrow::map(std::move(key.stored), std::move(item.stored))};
}

bool IsText(const DataType& type) {
  return arrow::is_base_binary_like(type.id()) ? arrow::is_string(type.id())
                                               : type.id() == Type::STRING_VIEW;
}

arrow::Result<DuckDbType> MapExtension(std::string_view name, const DataType& storage,
                                       const DataType& shown, const std::string& path) {
  if (name == "arrow.uuid" && storage.id() == Type::FIXED_SIZE_BINARY &&
      static_cast<const arrow::FixedSizeBinaryType&>(storage).byte_width() == 16) {
    return Simple("UUID", arrow::extension::uuid());
  }
  if (name == "arrow.json" && IsText(storage)) return Simple("JSON", arrow::utf8());
  if (name == "arrow.bool8" && storage.id() == Type::INT8) {
    return Simple("BOOLEAN", arrow::boolean());
  }
  return Unsupported(path, shown, "an extension type it does not know");
}

arrow::Result<DuckDbType> MapNested(const DataType& type, const std::string& path,
                                    int depth) {
  switch (type.id()) {
    case Type::LIST:
    case Type::LARGE_LIST:
    case Type::LIST_VIEW:
    case Type::LARGE_LIST_VIEW:
    case Type::FIXED_SIZE_LIST:
      return MapList(type, path, depth);
    case Type::STRUCT:
      return MapStruct(type, path, depth);
    case Type::MAP:
      return MapMap(static_cast<const arrow::MapType&>(type), path, depth);
    case Type::DICTIONARY:
      return Map(
          *arrow::field("", static_cast<const arrow::DictionaryType&>(type).value_type()),
          path, depth + 1);
    case Type::RUN_END_ENCODED:
      return Map(*arrow::field(
                     "", static_cast<const arrow::RunEndEncodedType&>(type).value_type()),
                 path, depth + 1);
    case Type::EXTENSION: {
      const auto& extension = static_cast<const arrow::ExtensionType&>(type);
      return MapExtension(extension.extension_name(), *extension.storage_type(), type,
                          path);
    }
    case Type::SPARSE_UNION:
    case Type::DENSE_UNION:
      return Unsupported(path, type, "a union");
    default:
      return Unsupported(path, type, "unknown");
  }
}

arrow::Result<DuckDbType> MapFlat(const DataType& type, const std::string& path) {
  switch (type.id()) {
    case Type::NA:
      return Simple("INTEGER", arrow::int32());
    case Type::BOOL:
      return Simple("BOOLEAN", arrow::boolean());
    case Type::INT8:
      return Simple("TINYINT", arrow::int8());
    case Type::INT16:
      return Simple("SMALLINT", arrow::int16());
    case Type::INT32:
      return Simple("INTEGER", arrow::int32());
    case Type::INT64:
      return Simple("BIGINT", arrow::int64());
    case Type::UINT8:
      return Simple("UTINYINT", arrow::uint8());
    case Type::UINT16:
      return Simple("USMALLINT", arrow::uint16());
    case Type::UINT32:
      return Simple("UINTEGER", arrow::uint32());
    case Type::UINT64:
      return Simple("UBIGINT", arrow::uint64());
    case Type::HALF_FLOAT:
    case Type::FLOAT:
      return Simple("FLOAT", arrow::float32());
    case Type::DOUBLE:
      return Simple("DOUBLE", arrow::float64());
    case Type::DECIMAL32:
    case Type::DECIMAL64:
    case Type::DECIMAL128:
    case Type::DECIMAL256:
      return MapDecimal(static_cast<const arrow::DecimalType&>(type), path);
    case Type::DATE32:
    case Type::DATE64:
      return Simple("DATE", arrow::date32());
    case Type::TIME32:
      return Simple("TIME", arrow::time64(arrow::TimeUnit::MICRO));
    case Type::TIME64:
      if (static_cast<const arrow::Time64Type&>(type).unit() == arrow::TimeUnit::NANO) {
        return Simple("TIME_NS", arrow::time64(arrow::TimeUnit::NANO));
      }
      return Simple("TIME", arrow::time64(arrow::TimeUnit::MICRO));
    case Type::TIMESTAMP:
      return MapTimestamp(static_cast<const arrow::TimestampType&>(type));
    case Type::DURATION:
    case Type::INTERVAL_MONTHS:
    case Type::INTERVAL_DAY_TIME:
    case Type::INTERVAL_MONTH_DAY_NANO:
      return Simple("INTERVAL", arrow::month_day_nano_interval());
    case Type::STRING:
    case Type::LARGE_STRING:
    case Type::STRING_VIEW:
      return Simple("VARCHAR", arrow::utf8());
    case Type::BINARY:
    case Type::LARGE_BINARY:
    case Type::BINARY_VIEW:
    case Type::FIXED_SIZE_BINARY:
      return Simple("BLOB", arrow::binary());
    default:
      return Unsupported(path, type, "unknown");
  }
}

arrow::Result<DuckDbType> Map(const arrow::Field& field, const std::string& path,
                              int depth) {
  const DataType& type = *field.type();
  if (depth > kNestingDepthMax) {
    return Error(ErrorCode::kUnsupportedType, "a column is nested deeper than ",
                 kNestingDepthMax, " levels: ", path.substr(0, 80));
  }
  // An extension type that this build of Arrow has no class for arrives as its storage.
  if (type.id() != Type::EXTENSION && field.metadata() != nullptr) {
    auto name = field.metadata()->Get(kExtensionNameKey);
    if (name.ok()) return MapExtension(*name, type, type, path);
  }
  const bool nested = type.num_fields() > 0 || type.id() == Type::STRUCT ||
                      type.id() == Type::DICTIONARY || type.id() == Type::EXTENSION ||
                      arrow::is_union(type.id());
  return nested ? MapNested(type, path, depth) : MapFlat(type, path);
}

}  // namespace

arrow::Result<DuckDbType> DuckDbTypeOf(const arrow::Field& field) {
  return Map(field, field.name(), 0);
}

}  // namespace arrowport::schema
