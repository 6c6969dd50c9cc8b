#include "zerobus/batch_delivery.h"

#include <algorithm>
#include <utility>

namespace arrowport::zerobus {

void BatchDelivery::OnFinished(std::function<void()> finished) {
  {
    MutexLock lock(mutex_);
    if (unsettled_ > 0) {
      finished_ = std::move(finished);
      return;
    }
  }
  finished();
}

// Of the encoded rows, number n is row n + k of the batch, k being how many rows before
// it could not be encoded.
int64_t BatchDelivery::RowOf(int64_t encoded_row) const {
  size_t low = 0;
  size_t high = unencoded_.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (unencoded_[middle] - static_cast<int64_t>(middle) <= encoded_row) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return encoded_row + static_cast<int64_t>(low);
}

void BatchDelivery::Settle(int64_t rows) {
  std::function<void()> finished;
  {
    MutexLock lock(mutex_);
    unsettled_ -= rows;
    if (unsettled_ > 0) return;
    finished = std::exchange(finished_, nullptr);
    // Told under the lock: the waiter may destroy this as soon as it sees zero.
    settled_.notify_all();
  }
  if (finished) finished();
}

void BatchDelivery::AddConversionFailures(std::vector<FailedRow> failed_rows) {
  const auto rows = static_cast<int64_t>(failed_rows.size());
  if (rows == 0) return;
  {
    MutexLock lock(mutex_);
    for (FailedRow& row : failed_rows) {
      unencoded_.push_back(row.index);
      failed_rows_.push_back(std::move(row));
    }
  }
  Settle(rows);
}

void BatchDelivery::FailRest(Count count, int64_t first_row, int64_t rows,
                             const arrow::Status& error) {
  if (rows == 0) return;
  const auto shared = std::make_shared<const arrow::Status>(error);
  if (count == Count::kEncoded)
    return OnSettled(first_row, rows, shared, FailureScope::kStream);
  {
    MutexLock lock(mutex_);
    if (error_.ok()) error_ = error;
    for (int64_t row = first_row; row < first_row + rows; ++row) {
      failed_rows_.push_back({row, shared});
    }
  }
  Settle(rows);
}

void BatchDelivery::OnSettled(int64_t first_row, int64_t rows,
                              const std::shared_ptr<const arrow::Status>& error,
                              FailureScope scope) {
  if (error) {
    MutexLock lock(mutex_);
    if (scope == FailureScope::kStream && error_.ok()) error_ = *error;
    for (int64_t row = first_row; row < first_row + rows; ++row) {
      failed_rows_.push_back({RowOf(row), error});
    }
  }
  Settle(rows);
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> BatchDelivery::Rows(
    int64_t first_row, int64_t rows) const {
  std::vector<FailedRow> wanted;
  {
    MutexLock lock(mutex_);
    for (int64_t row = first_row; row < first_row + rows; ++row) {
      wanted.push_back({RowOf(row), nullptr});
    }
  }
  return TransmissionResult(batch_->num_rows(), std::move(wanted))
      .ExtractFailedBatch(batch_);
}

void BatchDelivery::Wait() {
  MutexLock lock(mutex_);
  while (unsettled_ > 0) lock.Wait(settled_);
}

TransmissionResult BatchDelivery::TakeResult() {
  MutexLock lock(mutex_);
  std::sort(failed_rows_.begin(), failed_rows_.end(),
            [](const FailedRow& a, const FailedRow& b) { return a.index < b.index; });
  return TransmissionResult(batch_->num_rows(), std::move(failed_rows_), error_);
}

}  // namespace arrowport::zerobus
