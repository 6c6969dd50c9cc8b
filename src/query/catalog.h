// Tables and views as listings show them.
#pragma once

#include <arrow/result.h>

#include <optional>
#include <vector>

#include "query/service.h"

namespace arrowport::query {

struct Core;

/// All tables and views of the storage and the data sets, or those that `only` may mean,
/// best first: exact spelling before another case, the storage before the data sets.
/// Hidden: DuckDB's own and the schema `_arrowport`. Ordered by catalog, schema, table.
arrow::Result<std::vector<TableInfo>> ListTables(Core& core,
                                                 const std::optional<TableRef>& only);

}  // namespace arrowport::query
