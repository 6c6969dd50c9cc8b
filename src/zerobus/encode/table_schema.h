// The columns of a table as Zerobus sees them, and where they come from: the Unity Catalog
// table API (`GET /api/2.1/unity-catalog/tables/<name>`, its `columns` array; nested types
// stand in `type_json`, Spark's JSON form of a data type) or an Arrow schema.
#pragma once

#include <arrow/result.h>
#include <arrow/type_fwd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace arrowport::zerobus::encode {

enum class TypeId : uint8_t {
  kBoolean,
  kTinyInt,
  kSmallInt,
  kInt,
  kBigInt,
  kFloat,
  kDouble,
  kDecimal,
  kString,  ///< also VARCHAR and CHAR
  kBinary,
  kDate,
  kTimestamp,
  kTimestampNtz,
  kVariant,
  kStruct,
  kArray,
  kMap,
};

/// "BIGINT": the SQL name, without parameters.
std::string_view NameOf(TypeId id);

struct TableField;

/// A column type. A value; compares by content.
struct TableType {
  TypeId id = TypeId::kString;
  int32_t precision = 0;  ///< kDecimal: 1..38, up to 76 when derived from Arrow
  int32_t scale = 0;      ///< kDecimal: 0..precision
  /// kStruct: the members; kArray: `element`; kMap: `key`, `value`; else empty.
  std::vector<TableField> children;

  bool operator==(const TableType& other) const;
  /// "STRUCT<a: INT NOT NULL, b: ARRAY<STRING>>", for messages.
  std::string ToString() const;
};

struct TableField {
  std::string name;
  TableType type;
  bool nullable = true;

  bool operator==(const TableField& other) const = default;
};

struct TableColumn {
  std::string name;
  TableType type;
  bool nullable = true;
  int32_t position = 0;  ///< from 0; the protobuf field number follows from it

  bool operator==(const TableColumn& other) const = default;
};

/// Nesting of types; deeper ones are refused, so that every walk over a type may recurse.
inline constexpr int kTypeDepthMax = 100;
/// Members of one struct and columns of one table.
inline constexpr int kFieldsMax = 2000;

/// The columns of one table, by ascending position; names and positions are distinct.
/// A value.
class TableSchema {
 public:
  TableSchema() = default;
  /// Errors: kSchemaMismatch for a duplicate name or position, a negative position or too
  /// many columns.
  static arrow::Result<TableSchema> Make(std::vector<TableColumn> columns);

  /// From the `columns` array of a Unity Catalog table (JSON text). A column without a
  /// position takes its index; a negative position leaves the column out.
  /// Errors: kInvalidArgument (not such JSON), kUnsupportedType (a type name that has no
  /// place in a record), kSchemaMismatch as Make.
  static arrow::Result<TableSchema> FromUnityCatalogJson(std::string_view columns_json);

  /// What a table for this Arrow schema looks like: positions are the indices. A nullable
  /// column of type null has no table type and is left out. Errors: kUnsupportedType,
  /// kSchemaMismatch.
  static arrow::Result<TableSchema> FromArrow(const arrow::Schema& schema);

  const std::vector<TableColumn>& columns() const { return columns_; }
  /// Null when there is none. Names are compared exactly.
  const TableColumn* Find(std::string_view name) const;
  bool operator==(const TableSchema& other) const = default;

 private:
  explicit TableSchema(std::vector<TableColumn> columns) : columns_(std::move(columns)) {}

  std::vector<TableColumn> columns_;
};

/// The table type of an Arrow type. Extension types count by their storage, dictionary and
/// run-end encoded ones by their values. Errors: kUnsupportedType for what has none (null,
/// time, duration, interval, union, and what holds them).
arrow::Result<TableType> TableTypeOf(const arrow::DataType& type);

/// `type` without extension, dictionary and run-end encoding, which do not change values.
/// The result lives as long as `type`.
const arrow::DataType& ValueTypeOf(const arrow::DataType& type);

}  // namespace arrowport::zerobus::encode
