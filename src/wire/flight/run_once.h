// Statements without rows, run when their outcome is asked about.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <memory>

#include "query/service.h"

namespace arrowport::wire::flight {

/// Runs `request` to its end and returns the number of rows it touched, 0 when it says
/// none. Blocks the worker for as long as the statement takes. Errors: the statement's.
arrow::Result<int64_t> RunOnce(query::Service& query, query::Request request);

/// The schema and the one row that such a statement answers with.
const std::shared_ptr<arrow::Schema>& CountSchema();
arrow::Result<std::shared_ptr<arrow::RecordBatch>> MakeCountBatch(int64_t count);

}  // namespace arrowport::wire::flight
