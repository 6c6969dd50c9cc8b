// The rows of a snapshot: the table's own reader, for exports, changes and maintenance.
// (SQL queries scan through the engine.)
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "delta/snapshot.h"
#include "store/store.h"

namespace arrowport::delta {

struct TableReadOptions {
  /// Names of the table's schema in the order wanted; nothing: all columns.
  std::optional<std::vector<std::string>> columns;
  int64_t batch_rows = 64 << 10;
  arrow::MemoryPool* pool = arrow::default_memory_pool();
};

/// The rows of every live file, or of those `choose` takes, in the schema
/// ToArrowSchema(kLogical) of the columns. One file is open at a time, and of a row group
/// only a batch is decoded. The reader is caller-locked and keeps store and snapshot.
/// Errors (here or while reading): kColumnNotFound, kStorageCorrupt ("missing data file",
/// ...), kNotBuilt (a file outside the table's folder).
arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> ReadTable(
    std::shared_ptr<const store::Store> store, std::shared_ptr<const Snapshot> snapshot,
    TableReadOptions options = {},
    const std::function<bool(const AddFile&)>& choose = nullptr);

/// As ReadTable, of `files` in this order; they are files of `snapshot`.
arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> ReadFiles(
    std::shared_ptr<const store::Store> store, std::shared_ptr<const Snapshot> snapshot,
    std::vector<const AddFile*> files, const TableReadOptions& options = {});

}  // namespace arrowport::delta
