#include "client/upload.h"

#include <arrow/util/byte_size.h>

#include <algorithm>

namespace arrowport::client {

namespace flight = arrow::flight;

std::vector<std::shared_ptr<arrow::RecordBatch>> CutBatch(
    const std::shared_ptr<arrow::RecordBatch>& batch) {
  int64_t rows_max = kMessageRowsMax;
  if (batch->num_rows() > 0) {
    // Types whose size cannot be told are cut by rows alone.
    const int64_t bytes = arrow::util::ReferencedBufferSize(*batch).ValueOr(0);
    const int64_t row_bytes = std::max<int64_t>(bytes / batch->num_rows(), 1);
    rows_max = std::clamp<int64_t>(kMessageBytesTarget / row_bytes, 1, kMessageRowsMax);
  }
  if (batch->num_rows() <= rows_max) return {batch};
  std::vector<std::shared_ptr<arrow::RecordBatch>> pieces;
  for (int64_t start = 0; start < batch->num_rows(); start += rows_max)
    pieces.push_back(batch->Slice(start, rows_max));
  return pieces;
}

arrow::Result<std::unique_ptr<Upload>> Upload::Open(
    std::shared_ptr<Connection> connection, const UploadRequest& request,
    const std::shared_ptr<arrow::Schema>& schema) {
  std::unique_ptr<Upload> upload(new Upload(std::move(connection), schema));
  Connection& channel = *upload->connection_;
  const auto descriptor = flight::FlightDescriptor::Command(DescriptorJson(request));
  auto call = channel.flight().DoPut(channel.CallOptions(), descriptor, schema);
  if (!call.ok()) return channel.Translate(call.status());
  upload->call_ = std::move(call).ValueOrDie();
  auto ready = upload->Read();
  if (!ready.ok() || !*ready || !(*ready)->is_ready) {
    ARROW_RETURN_NOT_OK(upload->Finish());
    ARROW_RETURN_NOT_OK(ready.status());
    return Error(ErrorCode::kInternal,
                 "the server did not open the upload as an Arrowport server does");
  }
  upload->last_sequence_ = (*ready)->producer_last_sequence;
  return upload;
}

Upload::~Upload() {
  if (!call_.writer || finished_) return;
  if (!done_writing_) {
    (void)Abort();
  } else {
    (void)Finish();
  }
}

arrow::Status Upload::Write(const arrow::RecordBatch& batch,
                            std::optional<int64_t> offset) {
  if (!offset) return call_.writer->WriteRecordBatch(batch);
  auto metadata =
      arrow::Buffer::FromString("{\"offset_id\":" + std::to_string(*offset) + "}");
  return call_.writer->WriteWithMetadata(batch, std::move(metadata));
}

arrow::Status Upload::DoneWriting() {
  done_writing_ = true;
  return call_.writer->DoneWriting();
}

arrow::Result<std::optional<PutMessage>> Upload::Read() {
  std::shared_ptr<arrow::Buffer> buffer;
  const arrow::Status read = call_.reader->ReadMetadata(&buffer);
  if (!read.ok()) return connection_->Translate(read);
  if (!buffer) return std::nullopt;
  ARROW_ASSIGN_OR_RAISE(PutMessage message, ParsePutMessage(std::string_view(*buffer)));
  return message;
}

arrow::Status Upload::Finish() {
  if (!finished_) finished_ = connection_->Translate(call_.writer->Close());
  return *finished_;
}

arrow::Status Upload::Abort() {
  // The Flight client cannot cancel an upload, and ending it would look complete. An
  // offset that breaks the count is refused by contract.
  auto empty = arrow::RecordBatch::MakeEmpty(schema_);
  if (empty.ok()) (void)Write(**empty, int64_t{-1});
  (void)DoneWriting();
  bool landed = false;
  while (true) {
    auto message = Read();
    if (!message.ok() || !*message) break;
    landed = landed || (*message)->summary.has_value();
  }
  if (Finish().ok() && landed) {
    return Error(ErrorCode::kInternal,
                 "the server took an upload that broke off for a complete one");
  }
  return {};
}

}  // namespace arrowport::client
