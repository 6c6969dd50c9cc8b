// Deleted rows of a data file, left out (or alone read) while it is scanned.
#pragma once

#include <arrow/result.h>

#include <duckdb/common/multi_file/multi_file_data.hpp>

#include "lake/scan_source.h"

namespace arrowport::lake {

/// nullptr when every row is read. The filter is stateless: several threads scan one file.
/// Errors: those of delta::ReadDeletionVector.
arrow::Result<duckdb::unique_ptr<duckdb::DeleteFilter>> MakeDeletionFilter(
    const ScanSource& source, const ScanFile& file);

}  // namespace arrowport::lake
