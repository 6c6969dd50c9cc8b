// Batches cut and joined to the size the storage likes. Cutting shares buffers; joining
// copies.
#pragma once

#include <arrow/record_batch.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace arrowport::ingest {

using Batches = std::vector<std::shared_ptr<arrow::RecordBatch>>;

/// The rows a storage compresses together (DuckDB's row group).
inline constexpr int64_t kRowGroupRows = 122880;

int64_t RowCount(const Batches& batches);

/// Takes exactly `rows` rows (or all, if fewer) from the front of `batches`.
Batches TakeRows(Batches* batches, int64_t rows);

/// The same rows in the same order, as batches of `group_rows` (the last one may be
/// shorter). A group that is one slice of a batch is not copied; others are joined. Where
/// joining fails (memory, 2 GiB of text) the parts stay as they are.
Batches ToRowGroups(Batches batches, int64_t group_rows);

/// Joins everything into one batch when it is more than one and on average shorter than
/// `rows_max`.
Batches JoinSmall(Batches batches, int64_t rows_max);

}  // namespace arrowport::ingest
