// DuckDB chunks in, Arrow record batches out. Flat types are copied straight into Arrow
// buffers; nested ones go through DuckDB's own appender.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <duckdb/common/types.hpp>
#include <duckdb/common/types/data_chunk.hpp>
#include <duckdb/main/client_properties.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace duckdb {
class ClientContext;
}

namespace arrowport::engine {

/// The DuckDB type that `type` is cast to before it leaves, itself when it leaves as it
/// is. See ResultStream for the rules.
duckdb::LogicalType OutputType(const duckdb::LogicalType& type);

/// `context`'s properties with the Arrow dialect pinned to what every client reads.
duckdb::ClientProperties OutputProperties(duckdb::ClientContext& context);

/// The Arrow schema of a result. Errors: kUnsupportedType.
arrow::Result<std::shared_ptr<arrow::Schema>> OutputSchema(
    duckdb::ClientContext& context, const duckdb::vector<duckdb::LogicalType>& types,
    const duckdb::vector<std::string>& names);

class ColumnWriter;

/// Caller-locked; `context` outlives it. Exceptions of DuckDB pass through: the caller
/// catches them.
class BatchBuilder {
 public:
  BatchBuilder(duckdb::ClientContext& context,
               const duckdb::vector<duckdb::LogicalType>& types,
               std::shared_ptr<arrow::Schema> schema, int64_t batch_bytes_max);
  ~BatchBuilder();

  /// The chunk that Append takes rows from. REQUIRES: the chunk before is used up.
  void SetChunk(std::unique_ptr<duckdb::DataChunk> chunk);
  bool chunk_used_up() const { return chunk_offset_ >= chunk_rows_; }

  /// Copies rows of the chunk until it is used up, the batch has `rows_max` rows or the
  /// next row would take it over its bytes. Returns false in the latter two cases.
  arrow::Result<bool> Append(int64_t rows_max);

  int64_t rows() const { return rows_; }
  /// The rows so far, as one batch; starts the next.
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Finish();

 private:
  int64_t RowsThatFit(int64_t rows_wanted, int64_t* bytes);

  duckdb::ClientContext& context_;
  const std::shared_ptr<arrow::Schema> schema_;
  const int64_t batch_bytes_max_;
  std::vector<std::unique_ptr<ColumnWriter>> columns_;
  std::unique_ptr<duckdb::DataChunk> chunk_;
  int64_t chunk_rows_ = 0;
  int64_t chunk_offset_ = 0;
  int64_t rows_ = 0;
  int64_t bytes_ = 0;
};

}  // namespace arrowport::engine
