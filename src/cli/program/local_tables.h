// Operations on tables in the command line's own process.
#pragma once

#include <arrow/result.h>

#include <memory>

#include "cli/context.h"
#include "config/settings.h"

namespace arrowport::cli {

/// Errors: as server::LocalServices::Open.
arrow::Result<std::unique_ptr<LocalTables>> OpenLocalTables(
    const config::Settings& settings);

}  // namespace arrowport::cli
