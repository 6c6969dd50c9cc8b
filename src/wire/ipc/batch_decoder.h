// From IPC messages (metadata flatbuffer + body) to record batches, within limits. The
// columns point into the body buffers; only compressed bodies and foreign endianness are
// copied. Format: Arrow columnar format, "Encapsulated message format" and "IPC streaming
// format".
#pragma once

#include <arrow/buffer.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "base/byte_budget.h"

namespace arrowport::wire::ipc {

struct DecoderLimits {
  int64_t decoded_bytes_max = 256 << 20;  ///< of one message, after decompression
  int64_t decompress_ratio_max = 200;     ///< decoded : wire bytes, per message
  int64_t dictionary_bytes_max = 64 << 20;
  int columns_max = 5000;  ///< fields at the top level
  int nesting_max = 64;
};

/// Decodes one stream: a schema, then dictionaries and batches in wire order (replaced
/// and delta dictionaries included). Does not run ValidateFull: ingest does. Not
/// thread-safe.
class BatchDecoder {
 public:
  /// Decompressed memory is charged to `budget` (may be null) while batches live.
  BatchDecoder(DecoderLimits limits, std::shared_ptr<ByteBudget> budget);
  ~BatchDecoder();

  /// Takes the next message. Null for schema and dictionary messages.
  /// Errors: kBadData (malformed, unexpected kind), kTooLarge (limits), kUnsupportedType.
  arrow::Result<std::shared_ptr<arrow::RecordBatch>> Next(
      std::shared_ptr<arrow::Buffer> metadata, std::shared_ptr<arrow::Buffer> body);

  /// Null until the schema message was taken.
  const std::shared_ptr<arrow::Schema>& schema() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace arrowport::wire::ipc
