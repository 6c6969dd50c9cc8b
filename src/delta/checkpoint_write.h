// Checkpoints: the whole state of a version in one Parquet file beside the log, so that a
// reader need not replay it. Source: Delta protocol, "Checkpoints" (classic V1 naming; V2
// content where the table has the feature and asks for it).
#pragma once

#include <arrow/result.h>

#include "delta/snapshot.h"
#include "store/store.h"

namespace arrowport::delta {

struct CheckpointOptions {
  /// Actions held in memory at a time, before they become a row group.
  int64_t row_group_actions = 16'384;
  int64_t row_group_bytes = int64_t{16} << 20;
};

/// Writes the checkpoint of `snapshot` and then `_last_checkpoint`. Where one exists
/// already it is left as it is. Memory is bounded by the options, whatever the number of
/// files. Errors: the store's.
arrow::Status WriteCheckpointOf(store::Store* store, const Snapshot& snapshot,
                                const CheckpointOptions& options = {});

/// "_delta_log/00000000000000000012.checkpoint.parquet"
std::string CheckpointPath(int64_t version);

}  // namespace arrowport::delta
