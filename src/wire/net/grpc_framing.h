// gRPC's length-prefixed messages: cut from the bytes of a stream, and decompressed.
// Source of the format: gRPC PROTOCOL-HTTP2.md, "Length-Prefixed-Message".
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/buffer_pool.h"
#include "wire/net/call.h"
#include "wire/net/flight_data_parser.h"

namespace arrowport::wire::net {

constexpr size_t kGrpcPrefixBytes = 5;

enum class MessageCodec { kIdentity, kGzip, kDeflate };

/// Null for a codec we do not have.
std::optional<MessageCodec> ParseMessageCodec(std::string_view name);

/// One message as cut. A compressed one is still whole and raw in `message.body`.
struct Inbound {
  Message message;
  bool compressed = false;
};

/// Not thread-safe.
class MessageCutter {
 public:
  MessageCutter(MessageFormat format, int64_t message_bytes_max,
                std::shared_ptr<BufferPool> pool);

  /// Takes bytes until they end or the next message waits for Admit(); returns how many
  /// it took. Errors: kTooLarge at the prefix, kBadData, kOutOfMemory.
  arrow::Result<size_t> Feed(std::span<const uint8_t> bytes, std::vector<Inbound>* out);

  /// A prefix was read and no memory has been taken for its message.
  bool awaiting_admission() const { return state_ == State::kAwaiting; }
  int64_t message_bytes() const { return message_bytes_; }
  /// Reserves the message's bytes and lets Feed go on.
  void Admit();
  /// Inside an admitted message.
  bool within_message() const { return state_ == State::kBody; }
  bool at_boundary() const { return state_ == State::kPrefix && prefix_bytes_ == 0; }

 private:
  enum class State { kPrefix, kAwaiting, kBody };

  arrow::Status OnPrefix();
  arrow::Status TakeBody(std::span<const uint8_t> bytes);
  arrow::Status Emit(std::vector<Inbound>* out);

  const MessageFormat format_;
  const int64_t message_bytes_max_;
  MessageAllocator allocator_;
  FlightDataParser flight_data_;
  State state_ = State::kPrefix;
  uint8_t prefix_[kGrpcPrefixBytes] = {};
  size_t prefix_bytes_ = 0;
  bool compressed_ = false;
  int64_t message_bytes_ = 0;
  int64_t message_left_ = 0;
  std::shared_ptr<arrow::Buffer> raw_;
};

/// Undoes `codec` and, for kFlightData, parses. The result is charged to the pool's
/// budget. Errors: kBadData, kTooLarge (over `message_bytes_max`), kOutOfMemory.
arrow::Result<Message> DecompressMessage(const arrow::Buffer& compressed,
                                         MessageCodec codec, MessageFormat format,
                                         int64_t message_bytes_max,
                                         const std::shared_ptr<BufferPool>& pool);

}  // namespace arrowport::wire::net
