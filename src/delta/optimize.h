// Rewrites the files of a table without changing its rows: few large files for many small
// ones, deleted rows left out, rows ordered along a z-curve.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "delta/data_file_writer.h"
#include "delta/encoder_pool.h"
#include "delta/table.h"
#include "store/store.h"

namespace arrowport::delta {

struct OptimizeOptions {
  /// Files under three quarters of it are put together.
  int64_t target_file_bytes = int64_t{128} << 20;
  /// Columns of the z-curve; empty: compaction. Files ordered so before are left alone.
  std::vector<std::string> z_order_by;
  /// Only these partitions.
  PartitionFilter partitions;
  DataFileOptions files;
  /// What the rewriting holds at a time; rows to be ordered spill into nameless files in
  /// the table's folder.
  int64_t memory_bytes = int64_t{256} << 20;
  /// Rewritten files are committed whenever so many bytes were read, so that a lost race
  /// or a stop costs no more.
  int64_t commit_bytes = int64_t{4} << 30;
};

struct OptimizeReport {
  int64_t version = 0;  ///< of the table afterwards; the present one when nothing was done
  int64_t files_added = 0, files_removed = 0;
  int64_t bytes_added = 0, bytes_removed = 0;
  int64_t commits = 0;
  /// Commits given up because another writer removed a file that was rewritten.
  int64_t conflicts = 0;
};

/// Errors: kTableNotFound, kColumnNotFound, kInvalidArgument (a partition or nested column
/// of the z-curve), kCommitConflict when every commit was given up, those of
/// reading and of DeltaTable::Commit. Committed parts stay.
arrow::Result<OptimizeReport> Optimize(DeltaTable& table,
                                       std::shared_ptr<store::Store> store,
                                       std::shared_ptr<EncoderPool> encoders,
                                       const OptimizeOptions& options,
                                       const Clock& clock = SystemClock());

}  // namespace arrowport::delta
