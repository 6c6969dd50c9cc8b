#include "wire/ipc/message_head.h"

#include <algorithm>

#include "base/error.h"

namespace arrowport::wire::ipc {
namespace {

// Slots of the tables in Message.fbs and Schema.fbs.
constexpr int kMessageKind = 1;
constexpr int kMessageHeader = 2;
constexpr int kMessageBodyBytes = 3;
constexpr int kSchemaFields = 1;
constexpr int kFieldChildren = 5;
constexpr int kFieldMetadata = 6;

// Deeper than any real extension type, far shallower than a thread's stack.
constexpr int kExtensionNestingMax = 256;
// Fields in all, nested ones included, for each column allowed at the top.
constexpr int64_t kFieldsPerColumnMax = 16;

class ShapeCheck {
 public:
  explicit ShapeCheck(SchemaShapeLimits limits)
      : limits_(limits), fields_left_(kFieldsPerColumnMax * limits.columns_max) {}

  arrow::Status Visit(const FlatTable& parent, int slot, int depth) {
    const size_t count = parent.VectorSize(slot, 4);
    if (count == 0) return {};
    if (depth > limits_.nesting_max) {
      return Error(ErrorCode::kTooLarge,
                   "columns are nested deeper than the limit: ", limits_.nesting_max);
    }
    if (count > static_cast<uint64_t>(fields_left_)) {
      return Error(ErrorCode::kTooLarge, "nested fields exceed the limit: ",
                   kFieldsPerColumnMax * limits_.columns_max);
    }
    fields_left_ -= static_cast<int64_t>(count);
    for (size_t i = 0; i < count; ++i) {
      const auto field = parent.Element(slot, i);
      if (!field) return Error(ErrorCode::kBadData, "malformed IPC schema");
      ARROW_RETURN_NOT_OK(CheckExtension(*field));
      ARROW_RETURN_NOT_OK(Visit(*field, kFieldChildren, depth + 1));
    }
    return {};
  }

 private:
  static arrow::Status CheckExtension(const FlatTable& field) {
    const size_t count = field.VectorSize(kFieldMetadata, 4);
    for (size_t i = 0; i < count; ++i) {
      const auto pair = field.Element(kFieldMetadata, i);
      if (!pair) return Error(ErrorCode::kBadData, "malformed IPC schema");
      if (pair->String(0) != "ARROW:extension:metadata") continue;
      int depth = 0;
      for (const char c : pair->String(1)) {
        if (c == '[' || c == '{') ++depth;
        if (c == ']' || c == '}') depth = std::max(depth - 1, 0);
        if (depth > kExtensionNestingMax) {
          return Error(ErrorCode::kTooLarge,
                       "extension type parameters are nested deeper than the limit: ",
                       kExtensionNestingMax);
        }
      }
    }
    return {};
  }

  const SchemaShapeLimits limits_;
  int64_t fields_left_;
};

}  // namespace

arrow::Result<MessageHead> ReadMessageHead(std::span<const uint8_t> metadata) {
  const auto message = FlatTable::Root(metadata);
  const auto header = message ? message->Table(kMessageHeader) : std::nullopt;
  if (!header) return Error(ErrorCode::kBadData, "malformed IPC message metadata");
  MessageHead head{static_cast<MessageKind>(message->Scalar<uint8_t>(kMessageKind, 0)),
                   message->Scalar<int64_t>(kMessageBodyBytes, 0), *header};
  if (head.body_bytes < 0) {
    return Error(ErrorCode::kBadData,
                 "IPC message with a negative body length: ", head.body_bytes);
  }
  return head;
}

arrow::Status CheckSchemaShape(const MessageHead& head, SchemaShapeLimits limits) {
  const size_t columns = head.header.VectorSize(kSchemaFields, 4);
  if (columns > static_cast<size_t>(limits.columns_max)) {
    return Error(ErrorCode::kTooLarge, "columns exceed the limit of ", limits.columns_max,
                 ": ", columns);
  }
  return ShapeCheck(limits).Visit(head.header, kSchemaFields, 1);
}

}  // namespace arrowport::wire::ipc
