// Which files of a source a filter leaves: decided from constants and statistics, never
// from the files. What is not certain stays in.
#pragma once

#include <cstdint>
#include <duckdb/common/multi_file/multi_file_list.hpp>
#include <duckdb/planner/expression.hpp>
#include <duckdb/planner/table_filter.hpp>
#include <vector>

#include "lake/scan_source.h"

namespace arrowport::lake {

/// Indexes into ScanSource::files, ascending.
using FileIndexes = std::vector<uint32_t>;

/// Conjuncts of a WHERE clause. Those that only read constant columns are decided for
/// every file of `files` and taken out of `filters`: left in, they would reach DuckDB's
/// own evaluation of constants, which is wrong for IS DISTINCT FROM. The others drop files
/// by statistics and stay. Throws what DuckDB throws.
FileIndexes PruneByPredicates(
    duckdb::ClientContext& context, const ScanSource& source, const FileIndexes& files,
    duckdb::MultiFilePushdownInfo& info,
    duckdb::vector<duckdb::unique_ptr<duckdb::Expression>>& filters);

/// Filters that a join or a top-N found while running, by position in `column_ids`.
FileIndexes PruneByTableFilters(const ScanSource& source, const FileIndexes& files,
                                const duckdb::vector<duckdb::column_t>& column_ids,
                                const duckdb::TableFilterSet& filters);

/// `filter` so that DuckDB may check it against statistics of a file; nullptr when nothing
/// is left. DuckDB takes (NOT) DISTINCT FROM for a comparison that NULL never passes.
duckdb::unique_ptr<duckdb::TableFilter> CheckablePart(const duckdb::TableFilter& filter,
                                                      const duckdb::LogicalType& type);

/// `filter` without its optional parts and those that an operator above checks again;
/// nullptr when nothing is left.
duckdb::unique_ptr<duckdb::TableFilter> RequiredPart(const duckdb::TableFilter& filter);

/// `filter` as an expression over the column, which has `type`.
duckdb::unique_ptr<duckdb::TableFilter> AsExpression(const duckdb::TableFilter& filter,
                                                     const duckdb::LogicalType& type);

}  // namespace arrowport::lake
