// The rows that commits added and removed, as one more thing to scan. Source: Delta
// protocol, "Change Data Files".
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <memory>

#include "lake/log_source.h"
#include "lake/scan_source.h"

namespace arrowport::lake {

/// Columns of `table` (the newest version read) and _change_type, _commit_version,
/// _commit_timestamp, over the commits first..table.snapshot->version(). A commit's change
/// files are read when it has them, else its added and removed files; commits that moved
/// rows without changing data give none. Errors: kNotFound for commits no longer kept,
/// kBadQuery where rows were removed or rewritten without the table keeping a change feed,
/// or where the schema's meaning changed, kTooLarge for too many commits.
arrow::Result<std::shared_ptr<const ScanSource>> ChangesOf(LogSource& log,
                                                           const TableVersion& table,
                                                           int64_t first);

}  // namespace arrowport::lake
