// Which incoming column is which column of the table.
#pragma once

#include <arrow/result.h>
#include <arrow/type.h>

#include <string>
#include <string_view>
#include <vector>

namespace arrowport::schema {

/// ASCII letters folded, as the storages compare names.
std::string FoldCase(std::string_view name);

}  // namespace arrowport::schema

namespace arrowport::schema::internal {

struct ColumnMatch {
  std::vector<int> target;     ///< per incoming column: index in the table, -1: none
  std::vector<int> unmatched;  ///< incoming columns without a target, ascending
};

/// Exact names first, then ASCII case ignored where that leaves one candidate.
/// Errors: kSchemaMismatch when two incoming columns claim one column, or a name fits
/// several columns.
arrow::Result<ColumnMatch> MatchColumns(const std::vector<std::string_view>& incoming,
                                        const std::vector<std::string_view>& table);
arrow::Result<ColumnMatch> MatchColumns(const arrow::FieldVector& incoming,
                                        const arrow::FieldVector& table);

}  // namespace arrowport::schema::internal
