// arrow.flight.protocol.FlightData, parsed while it arrives. The large fields are copied
// once, from the receive buffer into pooled buffers of exactly their size.
// Source of the format: Flight.proto; protobuf wire format ("Encoding").
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <span>

#include "base/buffer_pool.h"
#include "wire/net/call.h"

namespace arrowport::wire::net {

/// Takes pooled memory for one message. Bytes reserved in the budget when the message was
/// admitted are given back as the pool charges them, so nothing counts twice. Not
/// thread-safe.
class MessageAllocator {
 public:
  explicit MessageAllocator(std::shared_ptr<BufferPool> pool) : pool_(std::move(pool)) {}
  ~MessageAllocator() { DropReservation(); }
  MessageAllocator(const MessageAllocator&) = delete;
  MessageAllocator& operator=(const MessageAllocator&) = delete;

  /// Charges `bytes` to the pool's budget for the buffers that will follow.
  void Reserve(int64_t bytes);
  void DropReservation();
  /// Errors: kOutOfMemory.
  arrow::Result<std::shared_ptr<arrow::Buffer>> Allocate(int64_t bytes);

 private:
  const std::shared_ptr<BufferPool> pool_;
  int64_t reserved_bytes_ = 0;
};

/// Not thread-safe. Begin, Consume ..., End for each message.
class FlightDataParser {
 public:
  explicit FlightDataParser(MessageAllocator* allocator) : allocator_(allocator) {}

  /// A field longer than what is left of `message_bytes` is refused before memory is
  /// taken.
  void Begin(int64_t message_bytes);
  /// Errors: kBadData, kOutOfMemory.
  arrow::Status Consume(std::span<const uint8_t> bytes);
  /// Errors: kBadData when the message ends within a field.
  arrow::Result<Message> End();

 private:
  enum class State { kTag, kVarint, kLength, kCopy, kSkip };

  /// Takes bytes of a varint; true when it is complete.
  arrow::Result<bool> TakeVarint(std::span<const uint8_t>* bytes);
  arrow::Status OnTag();
  arrow::Status OnLength();
  std::shared_ptr<arrow::Buffer>* Target(uint64_t field);

  MessageAllocator* const allocator_;
  Message message_;
  State state_ = State::kTag;
  int64_t bytes_left_ = 0;
  uint64_t varint_ = 0;
  int varint_shift_ = 0;
  uint64_t field_ = 0;
  int64_t field_left_ = 0;
  uint8_t* target_ = nullptr;
};

}  // namespace arrowport::wire::net
