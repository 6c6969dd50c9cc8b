// The Writer of the public interface: one upload in `batch` commit mode with a window of
// unacknowledged batches. It ends with its connection; who gives a producer and sequences
// can open the next one behind producer_last_sequence() and repeat from there.
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
