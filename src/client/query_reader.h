// A query's rows as a RecordBatchReader, across all endpoints of its FlightInfo.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <memory>
#include <string>

#include "arrowport/options.h"
#include "client/connection.h"

namespace arrowport::client {

/// Returns once the schema is known. Errors: the server's, kUnreachable.
arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> OpenQuery(
    std::shared_ptr<Connection> connection, const std::string& sql, QueryRoute route);

}  // namespace arrowport::client
