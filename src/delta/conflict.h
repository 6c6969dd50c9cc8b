// What a commit may keep of its plan after another writer was faster. Restates Spark's
// conflict checks under WriteSerializable, the default isolation of Delta tables:
//
//   winner             append            overwrite          change of files
//   append             goes on           takes it in        goes on (reads set aside)
//   change, no new data goes on          takes it in        conflict if it removed a file
//                                                           read or removed here
//   delete, overwrite  goes on           takes it in        the same, and conflict if it
//                                                           added files to what was read
//   new metaData       goes on if the files still fit       conflict
//   new protocol       goes on if it can be written to      conflict
//
// An append or overwrite whose key or sequence is in a winner is a replay (table.cc).
#pragma once

#include <arrow/status.h>

#include <cstdint>
#include <string>
#include <vector>

#include "delta/actions.h"
#include "delta/snapshot.h"
#include "delta/table.h"

namespace arrowport::delta {

/// Whether data files made for `staged` may join a table that is now `now`: same partition
/// columns, every column of the files there with its type (structs may have grown),
/// nothing required that the files lack. Errors: kCommitConflict saying which.
arrow::Status CheckFilesFit(const TableState& staged, const TableState& now);

/// Errors: kCommitConflict saying with what.
arrow::Status CheckChange(const FileChange& change, int64_t winner_version,
                          const std::vector<Action>& winner);

/// Whether a file of these values is one of `filter`'s. REQUIRES: filter columns are keys
/// of `values` (physical names); ones that are not count as NULL.
bool Matches(const PartitionFilter& filter, const PartitionValues& values);

/// One file twice? The path as a reader finds it, and the deletion vector.
struct FileIdentity {
  std::string path, dv_id;
  auto operator<=>(const FileIdentity&) const = default;
};
/// Errors: kStorageCorrupt (a path that cannot be decoded).
arrow::Result<FileIdentity> IdentityOf(
    const std::string& path_in_log,
    const std::optional<DeletionVectorDescriptor>& deletion_vector);

}  // namespace arrowport::delta
