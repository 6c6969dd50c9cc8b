#include "engine/arrow_source.h"

#include <arrow/c/bridge.h>

#include <algorithm>

namespace arrowport::engine {

void PointAt(duckdb::ArrowScanLocalState& scan, const arrow::RecordBatch& batch,
             duckdb::idx_t index) {
  auto array = duckdb::make_shared_ptr<duckdb::ArrowArrayWrapper>();
  arrow::Status exported = arrow::ExportRecordBatch(batch, &array->arrow_array);
  if (!exported.ok()) throw duckdb::IOException(exported.message());
  scan.Reset();
  scan.batch_index = index;
  scan.chunk = std::move(array);
}

bool NextChunk(duckdb::ArrowScanLocalState& scan,
               const duckdb::ArrowTableSchema& columns, duckdb::DataChunk& output) {
  const auto length = static_cast<duckdb::idx_t>(scan.chunk->arrow_array.length);
  if (scan.chunk_offset >= length) return false;
  const duckdb::idx_t rows =
      std::min<duckdb::idx_t>(STANDARD_VECTOR_SIZE, length - scan.chunk_offset);
  output.SetCardinality(rows);
  duckdb::ArrowTableFunction::ArrowToDuckDB(scan, columns.GetColumns(), output);
  scan.chunk_offset += rows;
  return true;
}

}  // namespace arrowport::engine
