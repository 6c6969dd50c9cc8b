// Inside of Statement, shared with ResultStream.
#pragma once

#include <duckdb/common/unique_ptr.hpp>
#include <duckdb/common/vector.hpp>
#include <duckdb/parser/sql_statement.hpp>

#include <memory>
#include <vector>

#include "engine/statement.h"

namespace arrowport::engine {

/// DuckDB rewrites some single statements into several (PIVOT into CREATE TYPE and
/// SELECT, IMPORT DATABASE into its script); the last one gives the result.
struct Statement::Parts {
  std::vector<duckdb::unique_ptr<duckdb::SQLStatement>> before;
  duckdb::unique_ptr<duckdb::SQLStatement> last;
};

}  // namespace arrowport::engine
