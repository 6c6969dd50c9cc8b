// What an Arrow field becomes in DuckDB (1.5): the SQL type of its column, and the Arrow
// type that batches carry into it. docs/reference/types.md is the same table for people;
// the sink's tests insert and read back every line of it.
#pragma once

#include <arrow/result.h>
#include <arrow/type.h>

#include <memory>
#include <string>

namespace arrowport::schema {

struct DuckDbType {
  std::string sql;  ///< as written in CREATE TABLE
  /// What batches must be cast to, exactly. Its nested fields are all nullable, with
  /// Arrow's default child names.
  std::shared_ptr<arrow::DataType> stored;
};

/// Pure. Dictionaries and run-end encoding stand for their values. A type that DuckDB
/// holds with less range or precision is taken (values are checked when they come); one
/// it cannot hold at all is refused. The field's own nullability is ignored: columns made
/// from it are nullable.
/// Errors: kUnsupportedType naming column and type, kInvalidName for struct members.
arrow::Result<DuckDbType> DuckDbTypeOf(const arrow::Field& field);

/// DuckDB's limit on a fixed-size list; longer ones (and empty ones) become lists.
inline constexpr int kDuckDbArraySizeMax = 100000;
/// DuckDB's widest decimal.
inline constexpr int kDuckDbDecimalDigitsMax = 38;
/// Nesting deeper than this is refused.
inline constexpr int kNestingDepthMax = 64;

}  // namespace arrowport::schema
