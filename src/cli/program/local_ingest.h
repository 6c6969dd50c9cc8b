// `ingest --local`: the landing service in this process.
#pragma once

#include <arrow/result.h>

#include <memory>

#include "cli/context.h"

namespace arrowport::cli {

/// Errors: kStorageUnavailable when a server holds the file.
arrow::Result<std::unique_ptr<LocalIngest>> OpenLocalIngest(
    const config::Settings& settings);

}  // namespace arrowport::cli
