// Rows read on a thread of their own, some batches ahead of whoever asks for them: what
// reads and what encodes then work side by side.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <thread>

#include "base/mutex.h"

namespace arrowport::delta {

/// Caller-locked. The rows' own reader is used by its thread alone; an error of it comes
/// when the batches before it are taken. Destroying it waits for the read that runs.
class ReadAhead final : public arrow::RecordBatchReader {
 public:
  explicit ReadAhead(std::shared_ptr<arrow::RecordBatchReader> rows, size_t batches_max = 4);
  ~ReadAhead() override;

  std::shared_ptr<arrow::Schema> schema() const override { return schema_; }
  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* out) override;

 private:
  using Next = arrow::Result<std::shared_ptr<arrow::RecordBatch>>;

  void Run();

  const std::shared_ptr<arrow::RecordBatchReader> rows_;
  const std::shared_ptr<arrow::Schema> schema_;
  const size_t batches_max_;
  Mutex mutex_;
  std::condition_variable changed_;
  std::deque<Next> read_ GUARDED_BY(mutex_);  ///< the last one: no batch, or an error
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace arrowport::delta
