// From record batches to IPC messages as slices that are sent in place.
#pragma once

#include <arrow/buffer.h>
#include <arrow/ipc/options.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace arrowport::wire::ipc {

using Slices = std::vector<std::shared_ptr<arrow::Buffer>>;

/// One encapsulated message. `body` holds the buffers and their padding in order; their
/// sizes add up to body_bytes.
struct EncodedMessage {
  std::shared_ptr<arrow::Buffer> metadata;
  Slices body;
  int64_t body_bytes = 0;
};

/// Encodes one stream. Not thread-safe.
class BatchEncoder {
 public:
  /// `options.codec` null: uncompressed.
  static arrow::Result<std::unique_ptr<BatchEncoder>> Make(
      std::shared_ptr<arrow::Schema> schema, arrow::ipc::IpcWriteOptions options);
  ~BatchEncoder();

  arrow::Result<EncodedMessage> EncodeSchema();
  /// Dictionary messages that became necessary, then the batch.
  arrow::Result<std::vector<EncodedMessage>> Encode(const arrow::RecordBatch& batch);

 private:
  struct Impl;
  explicit BatchEncoder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The message as it stands in an IPC stream: continuation marker, length, metadata
/// padded to 8 bytes, body.
Slices ToStreamBytes(const EncodedMessage& message);
/// The end-of-stream marker.
std::shared_ptr<arrow::Buffer> EndOfStream();

}  // namespace arrowport::wire::ipc
