// Removes files that no version within the retention needs.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "delta/table.h"
#include "store/store.h"

namespace arrowport::delta {

enum class VacuumMode { kDryRun, kRemove };

struct VacuumOptions {
  VacuumMode mode = VacuumMode::kDryRun;
  /// Nothing: the table's delta.deletedFileRetentionDuration, at least 7 days.
  std::optional<int64_t> retention_ms;
  /// Allows a retention under 7 days, which takes files from readers and from writers
  /// that have not committed yet.
  bool force = false;
  size_t listed_max = 1000;  ///< names in the report
};

struct VacuumReport {
  int64_t retention_ms = 0;
  int64_t files = 0;  ///< removed, or in a dry run: to be removed
  int64_t bytes = 0;
  std::vector<std::string> listed;  ///< the first of them, below the root
  int64_t version = -1;             ///< of the commit that ends it; -1 for a dry run
};

/// Kept are: live files and their deletion vectors, those of removals within the
/// retention, every file younger than the retention whether known or not, and names that
/// begin with '_' or '.' (but `_change_data`, partition folders, and this store's own
/// unfinished files). A removal is logged before and after (VACUUM START, VACUUM END).
/// Errors: kTableNotFound, kInvalidArgument (retention), kNotBuilt, kCommitConflict while
/// other maintenance runs on the table, here or in another process, those of
/// DeltaTable::Commit and the store; after an error in between, END says FAILED.
arrow::Result<VacuumReport> Vacuum(DeltaTable& table,
                                   std::shared_ptr<store::Store> store,
                                   const VacuumOptions& options,
                                   const Clock& clock = SystemClock());

}  // namespace arrowport::delta
