// Statistics of one data file as the log has them (the JSON of add.stats), read column by
// column when a query asks. Source: Delta protocol, "Per-file Statistics".
#pragma once

#include <duckdb/common/types/value.hpp>
#include <duckdb/storage/statistics/base_statistics.hpp>
#include <cstdint>
#include <optional>
#include <string_view>

#include "delta/schema.h"

namespace arrowport::lake {

/// What is known of a column in one file; what is absent is unknown.
struct ColumnStatistics {
  std::optional<duckdb::Value> min, max;  ///< bounds of all values but NULL
  std::optional<int64_t> null_count;      ///< deleted rows are counted too
};

/// Column `physical_name` at the top level. Malformed text gives nothing.
ColumnStatistics ReadColumnStatistics(std::string_view stats_json,
                                      std::string_view physical_name,
                                      const delta::DataType& type);

/// For DuckDB's pruning. `rows`: of the file, delta::RecordCount.
duckdb::BaseStatistics ToDuckDb(const ColumnStatistics& column,
                                std::optional<int64_t> rows,
                                const duckdb::LogicalType& type);
/// Of a column with this one value.
duckdb::BaseStatistics ConstantStatistics(const duckdb::Value& value);

}  // namespace arrowport::lake
