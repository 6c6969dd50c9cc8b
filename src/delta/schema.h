// The type system of Delta tables: the schema JSON of metaData and its Arrow form.
// Source: Delta protocol, "Schema Serialization Format".
#pragma once

#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace arrowport::delta {

enum class TypeKind {
  kString, kLong, kInteger, kShort, kByte, kFloat, kDouble, kBoolean, kBinary, kDate,
  kTimestamp, kTimestampNtz, kDecimal, kStruct, kArray, kMap,
  kVoid,  ///< a column of Spark's without values; read only
};

struct StructField;

/// Immutable once shared.
struct DataType {
  TypeKind kind = TypeKind::kString;
  int precision = 0, scale = 0;                      ///< kDecimal
  std::vector<StructField> fields;                   ///< kStruct
  std::shared_ptr<const DataType> element, key;      ///< kArray: element; kMap: key, element
  bool contains_null = true;                         ///< kArray elements, kMap values

  bool Equals(const DataType& other) const;  ///< metadata aside
  /// "long", "decimal(10,2)", "struct<a:long,...>": for messages and typeChanges.
  std::string ToString() const;
};

struct StructField {
  std::string name;
  std::shared_ptr<const DataType> type;
  bool nullable = true;
  /// Values as JSON text, keys as found ("delta.columnMapping.id", "comment", ...).
  std::map<std::string, std::string> metadata;
  /// Of column mapping, taken from the metadata by ParseSchema; mapped_name may be empty.
  std::string mapped_name;
  std::optional<int32_t> field_id;

  /// The name in data files, statistics and partition values under column mapping by
  /// name or id ("delta.columnMapping.physicalName"), else `name`.
  const std::string& physical_name() const;
};

using TableSchema = DataType;  ///< kind kStruct

/// Bounded in depth. Errors: kUnsupportedType naming an unknown type, kStorageCorrupt.
arrow::Result<std::shared_ptr<const TableSchema>> ParseSchema(std::string_view json);
std::string SchemaToJson(const TableSchema& schema);

/// The field called `name`: exact, else the only one equal ignoring case, else nullptr.
const StructField* FindField(const TableSchema& schema, std::string_view name);

enum class NameStyle { kLogical, kPhysical };

/// string -> utf8, timestamp -> timestamp[us, UTC], timestamp_ntz -> timestamp[us], date ->
/// date32, decimal(p,s) -> decimal128, array -> list of "element", map -> map, void -> null.
/// With kPhysical the field ids of column mapping go into the metadata Parquet uses
/// ("PARQUET:field_id").
std::shared_ptr<arrow::Schema> ToArrowSchema(const TableSchema& schema, NameStyle names);
std::shared_ptr<arrow::DataType> ToArrowType(const DataType& type, NameStyle names);

/// The Delta type an Arrow field is stored as: u8 short, u16 integer, u32 long, u64
/// decimal(20,0), half float float, decimals to precision 38 (32/64/256 too when they
/// fit), date64 date, timestamps of any unit micros, large and view forms as the plain
/// ones, dictionary and run-end as their values, fixed-size lists as arrays.
/// Errors: kUnsupportedType naming the column: null, time, duration, interval, union,
/// decimal above 38, empty struct, binary-like extension types unknown here.
arrow::Result<StructField> FromArrowField(const arrow::Field& field);
/// Errors: also kInvalidName (Delta names without column mapping: none of " ,;{}()\n\t="),
/// and names equal ignoring case, in structs too.
arrow::Result<std::shared_ptr<const TableSchema>> FromArrowSchema(
    const arrow::Schema& schema);

}  // namespace arrowport::delta
