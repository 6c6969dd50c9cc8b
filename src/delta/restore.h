// Makes a table again what it was at an earlier version, as a new version.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "delta/table.h"
#include "store/store.h"

namespace arrowport::delta {

struct RestoreReport {
  int64_t version = 0;  ///< of the table afterwards; the present one when nothing differed
  int64_t files_restored = 0, files_removed = 0;
  int64_t bytes_restored = 0, bytes_removed = 0;
};

/// The files and the metadata of `target`; the protocol is never lowered. Files of the
/// earlier version are checked to be there. Any commit between plan and ours is
/// kCommitConflict: the result is exactly the earlier state or nothing. So is other
/// maintenance on the table, here or in another process. Errors: kNotFound
/// (no such version, or its files are gone), kConstraintViolation (an append-only table),
/// kNotBuilt, those of DeltaTable::Commit.
arrow::Result<RestoreReport> Restore(DeltaTable& table,
                                     std::shared_ptr<store::Store> store,
                                     int64_t target, const Clock& clock = SystemClock());

/// The removal of a live file. `now_ms`: deletionTimestamp.
RemoveFile RemovalOf(const AddFile& file, int64_t now_ms, bool data_change);

}  // namespace arrowport::delta
