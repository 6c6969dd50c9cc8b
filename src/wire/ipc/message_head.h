// What an IPC message says about itself, read before anything is allocated for it.
#pragma once

#include <arrow/buffer.h>
#include <arrow/result.h>

#include <cstdint>

#include "wire/ipc/flat_table.h"

namespace arrowport::wire::ipc {

/// Values of the union MessageHeader in Message.fbs.
enum class MessageKind : uint8_t {
  kNone = 0,
  kSchema = 1,
  kDictionaryBatch = 2,
  kRecordBatch = 3,
  kTensor = 4,
  kSparseTensor = 5,
};

/// Points into the metadata it was read from.
struct MessageHead {
  MessageKind kind = MessageKind::kNone;
  int64_t body_bytes = 0;
  FlatTable header;

  int64_t dictionary_id() const { return header.Scalar<int64_t>(0, 0); }
  bool dictionary_is_delta() const { return header.Scalar<uint8_t>(2, 0) != 0; }
};

/// Errors: kBadData.
arrow::Result<MessageHead> ReadMessageHead(std::span<const uint8_t> metadata);

struct SchemaShapeLimits {
  int columns_max = 0;
  int nesting_max = 0;
};

/// Whether building this schema is safe: its width, its depth, and that the parameters of
/// its extension types (JSON, which Arrow parses recursively) are not nested without end.
/// REQUIRES: head.kind == kSchema. Errors: kTooLarge, kBadData.
arrow::Status CheckSchemaShape(const MessageHead& head, SchemaShapeLimits limits);

}  // namespace arrowport::wire::ipc
