// Actions as rows of a checkpoint: one struct column per kind of action, one of them set in
// each row.
#pragma once

#include <arrow/array/builder_nested.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "delta/actions.h"

namespace arrowport::delta {

enum class CheckpointContent { kV1, kV2 };

/// Caller-locked. The first failure of a builder (memory) is kept and returned by Take.
class CheckpointRows {
 public:
  explicit CheckpointRows(CheckpointContent content);

  const std::shared_ptr<arrow::Schema>& schema() const { return schema_; }
  /// `action`: one of the kinds a checkpoint holds; others are skipped.
  void Put(const Action& action);
  int64_t rows() const { return rows_; }
  int64_t bytes() const { return bytes_; }  ///< of texts put, about
  /// The rows so far; begins anew.
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Take();

 private:
  class Row;

  std::shared_ptr<arrow::Schema> schema_;
  std::vector<std::unique_ptr<arrow::ArrayBuilder>> columns_;
  int64_t rows_ = 0;
  int64_t bytes_ = 0;
  arrow::Status status_;
};

}  // namespace arrowport::delta
