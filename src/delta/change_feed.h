// The change data feed: which rows came and went between two versions. Source: Delta
// protocol, "Change Data Files" and "Add CDC File".
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "delta/snapshot.h"
#include "delta/table_reader.h"
#include "store/store.h"

namespace arrowport::delta {

/// The changes of the versions first..last (nothing: the newest), version by version: the
/// columns of the table as of `last`, then _change_type (utf8: insert, delete,
/// update_preimage, update_postimage), _commit_version (int64) and _commit_timestamp
/// (timestamp[us, UTC]). Errors: kNotFound (a version out of range or cleaned up),
/// kInvalidArgument (last before first; the feed is not enabled throughout), those of
/// ReadTable.
arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> ReadChanges(
    std::shared_ptr<const store::Store> store, int64_t first, std::optional<int64_t> last,
    TableReadOptions options = {});

}  // namespace arrowport::delta
