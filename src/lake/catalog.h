// Delta tables as the read-only catalog `delta` of the process's DuckDB.
#pragma once

#include <arrow/status.h>

#include <memory>

#include "engine/database.h"
#include "lake/log_source.h"

namespace arrowport::lake {

inline constexpr char kCatalogName[] = "delta";

/// Attaches `source` as catalog `delta`, with the table functions delta_read and
/// delta_changes, now and whenever the database gets a new instance. A statement, or a
/// transaction, sees one version of each table: the newest when it first names it. Once
/// per database. Errors: kNotBuilt for a DuckDB of another version than this was built
/// with; what DuckDB says of ATTACH.
arrow::Status Attach(engine::Database& database, std::shared_ptr<LogSource> source);

}  // namespace arrowport::lake
