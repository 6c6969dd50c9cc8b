// One batch under way: which of its rows failed conversion, which are durable, which not.
#pragma once

#include <arrow/record_batch.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <vector>

#include "arrowport/zerobus/result.h"
#include "base/mutex.h"
#include "zerobus/request.h"

namespace arrowport::zerobus {

/// Thread-safe.
class BatchDelivery final : public Delivery {
 public:
  /// Who brings rows that failed with their stream back: the sender by its result, or
  /// the writer, which keeps them as unacknowledged.
  enum class Keeper { kSender, kWriter };
  BatchDelivery(std::shared_ptr<arrow::RecordBatch> batch, Keeper keeper)
      : batch_(std::move(batch)), keeper_(keeper), unsettled_(batch_->num_rows()) {}

  /// Calls `finished` once, when every row is settled, on the thread that settles the
  /// last one; at once when they are. Set before rows are given away.
  void OnFinished(std::function<void()> finished);

  /// Rows that cannot be encoded; indices ascending, above those given before.
  void AddConversionFailures(std::vector<FailedRow> failed_rows);
  /// Rows that were never handed to a stream: encoded ones from `first_row` on, or, for
  /// kUnencoded, rows of the batch.
  enum class Count { kEncoded, kUnencoded };
  void FailRest(Count count, int64_t first_row, int64_t rows, const arrow::Status& error);

  void OnSettled(int64_t first_row, int64_t rows,
                 const std::shared_ptr<const arrow::Status>& error,
                 FailureScope scope) override;
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Rows(int64_t first_row,
                                                          int64_t rows) const override;

  /// Waits until every row is settled.
  void Wait();
  /// REQUIRES: every row is settled.
  TransmissionResult TakeResult();
  const std::shared_ptr<arrow::RecordBatch>& batch() const { return batch_; }
  bool kept_by_writer() const override { return keeper_ == Keeper::kWriter; }

 private:
  int64_t RowOf(int64_t encoded_row) const REQUIRES(mutex_);
  void Settle(int64_t rows);

  const std::shared_ptr<arrow::RecordBatch> batch_;
  const Keeper keeper_;
  mutable Mutex mutex_;
  std::condition_variable settled_;
  int64_t unsettled_ GUARDED_BY(mutex_);
  std::vector<int64_t> unencoded_ GUARDED_BY(mutex_);  ///< rows, ascending
  std::vector<FailedRow> failed_rows_ GUARDED_BY(mutex_);
  arrow::Status error_ GUARDED_BY(mutex_);
  std::function<void()> finished_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::zerobus
