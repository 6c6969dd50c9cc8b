// One DoPut call from its descriptor to its summary.
#pragma once

#include <arrow/flight/client.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <memory>
#include <optional>
#include <vector>

#include "client/connection.h"
#include "client/messages.h"

namespace arrowport::client {

/// Rows of one message at most, and its size to aim at: larger batches are cut (without
/// copying) into pieces that a server can take in while the next one travels.
inline constexpr int64_t kMessageRowsMax = 122880;
inline constexpr int64_t kMessageBytesTarget = 8 << 20;

std::vector<std::shared_ptr<arrow::RecordBatch>> CutBatch(
    const std::shared_ptr<arrow::RecordBatch>& batch);

/// One thread may write while another reads; otherwise caller-locked.
class Upload {
 public:
  /// Sends descriptor and schema and waits for the server's ready message. Errors: the
  /// server's refusal, kUnreachable.
  static arrow::Result<std::unique_ptr<Upload>> Open(
      std::shared_ptr<Connection> connection, const UploadRequest& request,
      const std::shared_ptr<arrow::Schema>& schema);
  /// Ends the call; an upload that was not ended by DoneWriting is given up.
  ~Upload();

  /// `offset`: sent along when given, strictly counting from 0.
  arrow::Status Write(const arrow::RecordBatch& batch, std::optional<int64_t> offset);
  /// The data is complete.
  arrow::Status DoneWriting();
  /// The next message; nullopt when the server has ended the call (Finish says how).
  arrow::Result<std::optional<PutMessage>> Read();
  /// Ends the call and returns the server's status. Idempotent.
  arrow::Status Finish();
  /// Makes the server refuse the upload, so that what was sent is not taken for all of
  /// it. Errors: kInternal when the server took it nevertheless.
  arrow::Status Abort();

  std::optional<int64_t> producer_last_sequence() const { return last_sequence_; }

 private:
  Upload(std::shared_ptr<Connection> connection, std::shared_ptr<arrow::Schema> schema)
      : connection_(std::move(connection)), schema_(std::move(schema)) {}

  const std::shared_ptr<Connection> connection_;
  const std::shared_ptr<arrow::Schema> schema_;
  arrow::flight::FlightClient::DoPutResult call_;
  std::optional<int64_t> last_sequence_;
  bool done_writing_ = false;
  std::optional<arrow::Status> finished_;
};

}  // namespace arrowport::client
