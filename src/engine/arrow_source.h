// Arrow record batches as DuckDB chunks: shared by the planned and the direct insert.
#pragma once

#include <arrow/record_batch.h>

#include <duckdb.hpp>
#include <duckdb/common/arrow/arrow_wrapper.hpp>
#include <duckdb/function/table/arrow.hpp>
#include <memory>

namespace arrowport::engine {

/// Hands `batch` to a scan as its batch number `index`. Throws duckdb::IOException.
void PointAt(duckdb::ArrowScanLocalState& scan, const arrow::RecordBatch& batch,
             duckdb::idx_t index);

/// The next chunk of the scan's batch into `output` (types as `columns`); false at its end.
bool NextChunk(duckdb::ArrowScanLocalState& scan,
               const duckdb::ArrowTableSchema& columns, duckdb::DataChunk& output);

}  // namespace arrowport::engine
