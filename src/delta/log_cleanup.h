// Old log files removed, never more than a reader within the retention may need.
#pragma once

#include <arrow/result.h>

#include <cstdint>

#include "delta/snapshot.h"
#include "store/store.h"

namespace arrowport::delta {

struct LogCleanup {
  int64_t now_ms = 0;
  /// Commits after this version stay whatever their age: somebody still has to read them.
  int64_t keep_after_version = -1;
};

/// Removes what lies strictly before the newest checkpoint that is at or before the cutoff:
/// now less delta.logRetentionDuration, cut down to the UTC day. That checkpoint and its
/// commit stay. Does nothing under delta.enableExpiredLogCleanup=false. Sidecars of
/// checkpoints are left alone. Returns how many files went. Errors: the store's.
arrow::Result<int64_t> CleanUpLogOf(store::Store* store, const Snapshot& snapshot,
                                    const LogCleanup& cleanup);

}  // namespace arrowport::delta
