// The Writer of the public interface: one upload in `batch` commit mode with a window of
// unacknowledged batches, re-opened and replayed after a break.
#pragma once

#include <arrow/result.h>

#include <memory>
#include <string>

#include "arrowport/client.h"
#include "client/connection.h"

namespace arrowport::client {

arrow::Result<std::unique_ptr<Writer>> OpenBatchWriter(
    std::shared_ptr<Connection> connection, const std::string& stream,
    const std::shared_ptr<arrow::Schema>& schema, const WriterOptions& options);

}  // namespace arrowport::client
