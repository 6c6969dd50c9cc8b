// Small results, whole.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/database.h"

namespace arrowport::engine {

/// Runs one statement of our own and keeps all its rows: for catalogs and the like. Types
/// as ResultStream. Errors: as TranslateError.
arrow::Result<std::vector<std::shared_ptr<arrow::RecordBatch>>> ReadAll(
    Connection& connection, const std::string& sql);

}  // namespace arrowport::engine
