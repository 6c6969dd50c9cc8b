#include "wire/flight/result_sender.h"

#include <utility>

#include "base/error.h"
#include "wire/flight/flight_data.h"

namespace arrowport::wire::flight {

ResultSender::ResultSender(std::shared_ptr<net::Call> call, SenderOptions options)
    : call_(call), options_(options), outbox_(std::move(call)) {}

void ResultSender::OnSchema(const std::shared_ptr<arrow::Schema>& schema) {
  MutexLock lock(mutex_);
  schema_ = schema;
  auto encoder = ipc::BatchEncoder::Make(schema, arrow::ipc::IpcWriteOptions::Defaults());
  auto message = encoder.ok() ? (*encoder)->EncodeSchema()
                              : arrow::Result<ipc::EncodedMessage>(encoder.status());
  if (!message.ok()) {
    end_ = message.status();
    return EndWhenSent();
  }
  encoder_ = std::move(*encoder);
  outbox_.Add(ToFlightData(*message));
}

arrow::Status ResultSender::SendBatch(const std::shared_ptr<arrow::RecordBatch>& batch) {
  ARROW_ASSIGN_OR_RAISE(auto messages, encoder_->Encode(*batch));
  const auto& last = messages.back();
  if (last.body_bytes + last.metadata->size() > options_.message_bytes_max &&
      batch->num_rows() > 1) {
    const int64_t half = batch->num_rows() / 2;
    ARROW_RETURN_NOT_OK(SendBatch(batch->Slice(0, half)));
    return SendBatch(batch->Slice(half));
  }
  for (const auto& message : messages) outbox_.Add(ToFlightData(message));
  ++batches_;
  return {};
}

query::Flow ResultSender::OnBatch(std::shared_ptr<arrow::RecordBatch> batch) {
  MutexLock lock(mutex_);
  // A failure of ours ended the call; its OnDone stops the query.
  if (end_ || !encoder_) return query::Flow::kContinue;
  const auto status = SendBatch(batch);
  if (!status.ok()) {
    end_ = WithContext("encoding the result", status);
    EndWhenSent();
    return query::Flow::kContinue;
  }
  if (outbox_.writable()) return query::Flow::kContinue;
  paused_ = true;
  return query::Flow::kPause;
}

void ResultSender::OnEnd(const arrow::Status& status) {
  MutexLock lock(mutex_);
  if (end_) return;
  end_ = status;
  if (status.ok() && encoder_ && batches_ == 0) {
    auto empty = arrow::RecordBatch::MakeEmpty(schema_);
    end_ = empty.ok() ? SendBatch(*empty) : empty.status();
  }
  EndWhenSent();
}

bool ResultSender::OnWritable() {
  MutexLock lock(mutex_);
  outbox_.OnWritable();
  EndWhenSent();
  if (end_ || !outbox_.writable()) return false;
  return std::exchange(paused_, false);
}

void ResultSender::EndWhenSent() {
  if (!end_ || finished_) return;
  // An error need not wait for rows that the peer will throw away.
  if (end_->ok() && !outbox_.empty()) return;
  finished_ = true;
  Finish(*call_, *end_);
}

}  // namespace arrowport::wire::flight
