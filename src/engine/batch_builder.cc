#include "engine/batch_builder.h"

#include <arrow/array/util.h>
#include <arrow/buffer.h>
#include <arrow/c/bridge.h>
#include <arrow/util/bit_util.h>

#include <algorithm>
#include <cstring>
#include <duckdb.hpp>
#include <duckdb/common/arrow/arrow_appender.hpp>
#include <duckdb/common/vector_operations/vector_operations.hpp>

#include "base/error.h"
#include "engine/column_writer.h"

namespace arrowport::engine {

BatchBuilder::BatchBuilder(duckdb::ClientContext& context,
                           const duckdb::vector<duckdb::LogicalType>& types,
                           std::shared_ptr<arrow::Schema> schema, int64_t batch_bytes_max)
    : context_(context), schema_(std::move(schema)), batch_bytes_max_(batch_bytes_max) {
  for (int i = 0; i < schema_->num_fields(); ++i) {
    columns_.push_back(ColumnWriter::Make(context_, types[i], schema_->field(i)));
  }
}

BatchBuilder::~BatchBuilder() = default;

void BatchBuilder::SetChunk(std::unique_ptr<duckdb::DataChunk> chunk) {
  chunk_ = std::move(chunk);
  chunk_rows_ = static_cast<int64_t>(chunk_->size());
  chunk_offset_ = 0;
  for (size_t i = 0; i < columns_.size(); ++i) {
    columns_[i]->SetVector(chunk_->data[i], chunk_rows_);
  }
}

// `bytes` is what those rows take. A batch holds one row at least.
int64_t BatchBuilder::RowsThatFit(int64_t rows_wanted, int64_t* bytes) {
  const int64_t bytes_left = batch_bytes_max_ - bytes_;
  *bytes = 0;
  for (auto& column : columns_) *bytes += column->SizeOf(chunk_offset_, rows_wanted);
  if (*bytes <= bytes_left) return rows_wanted;
  *bytes = 0;
  for (int64_t row = 0; row < rows_wanted; ++row) {
    int64_t row_bytes = 0;
    for (auto& column : columns_) row_bytes += column->SizeOf(chunk_offset_ + row, 1);
    if (*bytes + row_bytes > bytes_left && rows_ + row > 0) return row;
    *bytes += row_bytes;
  }
  return rows_wanted;
}

arrow::Result<bool> BatchBuilder::Append(int64_t rows_max) {
  const int64_t wanted = std::min(rows_max - rows_, chunk_rows_ - chunk_offset_);
  int64_t bytes = 0;
  const int64_t count = RowsThatFit(wanted, &bytes);
  if (count == 0) return false;
  // Wide rows end a batch by its bytes: no room is made for rows that will not come.
  const int64_t row_bytes = std::max<int64_t>(bytes / count, 1);
  const int64_t rows_more = std::max<int64_t>(batch_bytes_max_ - bytes_ - bytes, 0) / row_bytes;
  const int64_t capacity = std::min(rows_max, rows_ + count + rows_more);
  for (auto& column : columns_) {
    ARROW_RETURN_NOT_OK(column->Reserve(capacity));
    ARROW_RETURN_NOT_OK(column->Append(chunk_offset_, count));
  }
  chunk_offset_ += count;
  rows_ += count;
  bytes_ += bytes;
  return count == wanted && rows_ < rows_max;
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> BatchBuilder::Finish() {
  arrow::ArrayVector arrays;
  arrays.reserve(columns_.size());
  for (auto& column : columns_) {
    ARROW_ASSIGN_OR_RAISE(auto array, column->Finish());
    arrays.push_back(std::move(array));
  }
  const int64_t rows = std::exchange(rows_, 0);
  bytes_ = 0;
  return arrow::RecordBatch::Make(schema_, rows, std::move(arrays));
}

}  // namespace arrowport::engine
