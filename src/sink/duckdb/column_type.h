// The other direction of schema/duckdb_types.h: what batches must carry into a column of
// an existing DuckDB table.
#pragma once

#include <arrow/type.h>

#include <memory>

namespace duckdb {
struct LogicalType;
}  // namespace duckdb

namespace arrowport::sink {

/// For types an Arrow field can become: exactly schema::DuckDbTypeOf(field).stored. For
/// others: the Arrow type DuckDB casts from without losing anything (decimals for HUGEINT,
/// text for ENUM, BIT, TIMETZ ...: DuckDB checks each value). The null type stands for
/// columns that cannot be filled from Arrow at all (UNION, VARIANT ...).
std::shared_ptr<arrow::DataType> ColumnTypeOf(const duckdb::LogicalType& type);

}  // namespace arrowport::sink
