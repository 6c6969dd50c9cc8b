// What lies in `_delta_log`: commits and checkpoints told apart by name, and the ones a
// version is made from. Source: Delta protocol, "File types".
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "delta/snapshot.h"
#include "store/store.h"

namespace arrowport::delta {

inline constexpr std::string_view kLogFolder = "_delta_log";

enum class CheckpointForm { kClassic, kMultiPart, kUuidParquet, kUuidJson };

/// One checkpoint file, or all parts of one.
struct CheckpointFiles {
  int64_t version = -1;
  CheckpointForm form = CheckpointForm::kClassic;
  std::vector<std::string> paths;  ///< relative to the table's root
  int64_t modified_ms = 0;
};

struct LogListing {
  /// Versions ascending; gaps are possible.
  std::vector<LogEntry> commits;
  /// Complete ones, versions ascending.
  std::vector<CheckpointFiles> checkpoints;
  bool empty() const { return commits.empty() && checkpoints.empty(); }

  const LogEntry* FindCommit(int64_t version) const;
  /// The newest checkpoint at or before `version`, or nullptr.
  const CheckpointFiles* NewestCheckpoint(int64_t version) const;
  int64_t newest_version() const;
};

/// Everything from `from_version` on. Names that are none of the protocol's are skipped.
arrow::Result<LogListing> ListLog(const store::Store& store, int64_t from_version);

/// The version in `_last_checkpoint`: a hint that may be stale, missing or broken.
std::optional<int64_t> LastCheckpointHint(const store::Store& store);

/// The checkpoint (or none) and the commits after it that make `version`, which is in the
/// listing. Errors: kStorageCorrupt (a gap in the log), kNotFound (cleaned up: the files
/// that made an old version are gone), by name.
struct LogSegment {
  const CheckpointFiles* checkpoint = nullptr;
  std::vector<LogEntry> commits;  ///< ascending, without gap, the last is the version
};
arrow::Result<LogSegment> SegmentFor(const LogListing& listing, int64_t version);

/// Makes the times of ascending commits rise by at least a millisecond each.
void MakeTimesMonotone(std::vector<LogEntry>* commits);

}  // namespace arrowport::delta
