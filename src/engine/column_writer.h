// One column of a BatchBuilder: takes ranges of DuckDB vectors, gives Arrow arrays.
#pragma once

#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <duckdb/common/types.hpp>
#include <duckdb/common/types/vector.hpp>

#include <cstdint>
#include <memory>

namespace duckdb {
class ClientContext;
}

namespace arrowport::engine {

/// Caller-locked. A null's slot is zero: nothing of the process's memory leaves with it.
/// Exceptions of DuckDB pass through.
class ColumnWriter {
 public:
  /// For a column of DuckDB type `type` that leaves as `field` (OutputType, OutputSchema).
  static std::unique_ptr<ColumnWriter> Make(duckdb::ClientContext& context,
                                            const duckdb::LogicalType& type,
                                            std::shared_ptr<arrow::Field> field);
  ColumnWriter(duckdb::ClientContext& context, const duckdb::LogicalType& type,
               std::shared_ptr<arrow::Field> field);
  virtual ~ColumnWriter() = default;

  /// The `rows` values that the calls below take from; `vector` outlives them.
  void SetVector(duckdb::Vector& vector, int64_t rows);

  /// Arrow bytes of a range, about.
  virtual int64_t SizeOf(int64_t from, int64_t count) = 0;
  /// Room for `rows` in all.
  virtual arrow::Status Reserve(int64_t rows) = 0;
  virtual arrow::Status Append(int64_t from, int64_t count) = 0;
  /// What was appended since the last Finish.
  virtual arrow::Result<std::shared_ptr<arrow::Array>> Finish() = 0;

 protected:
  virtual void OnVector(duckdb::Vector& vector, int64_t rows) = 0;

  duckdb::ClientContext& context_;
  const duckdb::LogicalType output_type_;
  const std::shared_ptr<arrow::Field> field_;

 private:
  const bool cast_;
  std::unique_ptr<duckdb::Vector> casted_;
};

/// The validity bitmap of a flat column, made with the first null.
class ValidityWriter {
 public:
  /// Notes `count` rows without nulls.
  void AppendValid(int64_t count) { rows_ += count; }
  arrow::Status AppendNulls(const duckdb::UnifiedVectorFormat& format, int64_t from,
                            int64_t count, int64_t capacity_rows);
  int64_t rows() const { return rows_; }
  int64_t null_count() const { return null_count_; }
  /// Null when there is no null; starts again.
  std::shared_ptr<arrow::Buffer> Finish();

 private:
  int64_t rows_ = 0;
  int64_t null_count_ = 0;
  int64_t capacity_rows_ = 0;
  std::unique_ptr<arrow::ResizableBuffer> bitmap_;
};

}  // namespace arrowport::engine
