#include "arrowport/zerobus/result.h"

#include <arrow/array/builder_primitive.h>
#include <arrow/compute/api_vector.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace arrowport::zerobus {
namespace {

arrow::Result<std::shared_ptr<arrow::RecordBatch>> TakeRows(
    const std::shared_ptr<arrow::RecordBatch>& batch, const std::vector<int64_t>& rows,
    int64_t total_rows) {
  if (!batch || batch->num_rows() != total_rows) {
    return Error(ErrorCode::kInvalidArgument,
                 "the batch is not the one that was sent: it must have ", total_rows,
                 " rows");
  }
  if (rows.empty()) return nullptr;
  const auto count = static_cast<int64_t>(rows.size());
  if (rows.back() - rows.front() + 1 == count) return batch->Slice(rows.front(), count);
  arrow::Int64Builder builder;
  ARROW_RETURN_NOT_OK(builder.AppendValues(rows));
  ARROW_ASSIGN_OR_RAISE(auto indices, builder.Finish());
  ARROW_ASSIGN_OR_RAISE(arrow::Datum taken, arrow::compute::Take(batch, indices));
  return taken.record_batch();
}

}  // namespace

TransmissionResult::TransmissionResult(int64_t total_rows,
                                       std::vector<FailedRow> failed_rows,
                                       arrow::Status error)
    : total_rows_(total_rows),
      failed_rows_(std::move(failed_rows)),
      error_(std::move(error)) {}

std::vector<int64_t> TransmissionResult::successful_rows() const {
  std::vector<int64_t> rows;
  rows.reserve(static_cast<size_t>(successful_count()));
  auto failed = failed_rows_.begin();
  for (int64_t row = 0; row < total_rows_; ++row) {
    if (failed != failed_rows_.end() && failed->index == row) {
      ++failed;
    } else {
      rows.push_back(row);
    }
  }
  return rows;
}

std::vector<int64_t> TransmissionResult::GetFailedRowIndices() const {
  std::vector<int64_t> rows;
  rows.reserve(failed_rows_.size());
  for (const FailedRow& row : failed_rows_) rows.push_back(row.index);
  return rows;
}

std::vector<int64_t> TransmissionResult::GetFailedRowIndicesByErrorType(
    ErrorKind kind) const {
  std::vector<int64_t> rows;
  for (const FailedRow& row : failed_rows_) {
    if (KindOf(*row.error) == kind) rows.push_back(row.index);
  }
  return rows;
}

std::map<ErrorKind, std::vector<int64_t>> TransmissionResult::GroupErrorsByType() const {
  std::map<ErrorKind, std::vector<int64_t>> groups;
  for (const FailedRow& row : failed_rows_) {
    groups[KindOf(*row.error)].push_back(row.index);
  }
  return groups;
}

ErrorStatistics TransmissionResult::GetErrorStatistics() const {
  ErrorStatistics statistics;
  statistics.total_rows = total_rows_;
  statistics.successful_count = successful_count();
  statistics.failed_count = failed_count();
  if (total_rows_ > 0) {
    const auto total = static_cast<double>(total_rows_);
    statistics.success_rate = static_cast<double>(successful_count()) / total;
    statistics.failure_rate = static_cast<double>(failed_count()) / total;
  }
  for (const FailedRow& row : failed_rows_) {
    ++statistics.error_type_counts[KindOf(*row.error)];
  }
  return statistics;
}

std::vector<std::string> TransmissionResult::GetErrorMessages() const {
  std::vector<std::string> messages;
  messages.reserve(failed_rows_.size());
  for (const FailedRow& row : failed_rows_) messages.push_back(row.error->message());
  return messages;
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> TransmissionResult::ExtractFailedBatch(
    const std::shared_ptr<arrow::RecordBatch>& batch) const {
  return TakeRows(batch, GetFailedRowIndices(), total_rows_);
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>>
TransmissionResult::ExtractSuccessfulBatch(
    const std::shared_ptr<arrow::RecordBatch>& batch) const {
  return TakeRows(batch, successful_rows(), total_rows_);
}

}  // namespace arrowport::zerobus
