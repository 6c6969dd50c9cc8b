#include "wire/net/flight_data_parser.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace arrowport::wire::net {
namespace {

constexpr uint64_t kDescriptorField = 1;
constexpr uint64_t kMetadataField = 2;
constexpr uint64_t kAppMetadataField = 3;
constexpr uint64_t kBodyField = 1000;

}  // namespace

void MessageAllocator::Reserve(int64_t bytes) {
  if (!pool_->budget()) return;
  pool_->budget()->Charge(bytes);
  reserved_bytes_ += bytes;
}

void MessageAllocator::DropReservation() {
  if (reserved_bytes_ > 0) pool_->budget()->Release(std::exchange(reserved_bytes_, 0));
}

arrow::Result<std::shared_ptr<arrow::Buffer>> MessageAllocator::Allocate(int64_t bytes) {
  ARROW_ASSIGN_OR_RAISE(auto buffer, pool_->Allocate(bytes));
  int64_t covered = std::min(bytes, reserved_bytes_);
  if (covered > 0) {
    reserved_bytes_ -= covered;
    pool_->budget()->Release(covered);
  }
  return buffer;
}

void FlightDataParser::Begin(int64_t message_bytes) {
  message_ = Message{};
  state_ = State::kTag;
  bytes_left_ = message_bytes;
  varint_ = 0;
  varint_shift_ = 0;
}

arrow::Result<bool> FlightDataParser::TakeVarint(std::span<const uint8_t>* bytes) {
  while (!bytes->empty()) {
    uint8_t byte = bytes->front();
    *bytes = bytes->subspan(1);
    --bytes_left_;
    if (varint_shift_ > 63 || (varint_shift_ == 63 && (byte & 0x7e) != 0)) {
      return Error(ErrorCode::kBadData, "FlightData: varint is longer than 64 bits");
    }
    varint_ |= static_cast<uint64_t>(byte & 0x7f) << varint_shift_;
    varint_shift_ += 7;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

std::shared_ptr<arrow::Buffer>* FlightDataParser::Target(uint64_t field) {
  switch (field) {
    case kDescriptorField:
      return &message_.descriptor;
    case kMetadataField:
      return &message_.metadata;
    case kAppMetadataField:
      return &message_.app_metadata;
    case kBodyField:
      return &message_.body;
    default:
      return nullptr;
  }
}

arrow::Status FlightDataParser::OnTag() {
  field_ = varint_ >> 3;
  int wire_type = static_cast<int>(varint_ & 7);
  varint_ = 0;
  varint_shift_ = 0;
  if (field_ == 0) return Error(ErrorCode::kBadData, "FlightData: field number 0");
  if (wire_type != 2 && Target(field_)) {
    return Error(ErrorCode::kBadData, "FlightData: wrong wire type in field ", field_);
  }
  switch (wire_type) {
    case 0:
      state_ = State::kVarint;
      return {};
    case 1:
    case 5:
      state_ = State::kSkip;
      field_left_ = wire_type == 1 ? 8 : 4;
      return {};
    case 2:
      state_ = State::kLength;
      return {};
    default:
      return Error(ErrorCode::kBadData, "FlightData: unknown wire type ", wire_type);
  }
}

arrow::Status FlightDataParser::OnLength() {
  uint64_t length = varint_;
  varint_ = 0;
  varint_shift_ = 0;
  if (length > static_cast<uint64_t>(std::max<int64_t>(bytes_left_, 0))) {
    return Error(ErrorCode::kBadData,
                 "FlightData: field is longer than its message: ", length);
  }
  field_left_ = static_cast<int64_t>(length);
  auto* target = Target(field_);
  if (!target) {
    state_ = field_left_ > 0 ? State::kSkip : State::kTag;
    return {};
  }
  ARROW_ASSIGN_OR_RAISE(*target, allocator_->Allocate(field_left_));
  target_ = (*target)->mutable_data();
  state_ = field_left_ > 0 ? State::kCopy : State::kTag;
  return {};
}

arrow::Status FlightDataParser::Consume(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    if (state_ == State::kCopy || state_ == State::kSkip) {
      size_t size = std::min(bytes.size(), static_cast<size_t>(field_left_));
      if (state_ == State::kCopy) {
        std::memcpy(target_, bytes.data(), size);
        target_ += size;
      }
      bytes = bytes.subspan(size);
      bytes_left_ -= static_cast<int64_t>(size);
      field_left_ -= static_cast<int64_t>(size);
      if (field_left_ == 0) state_ = State::kTag;
      continue;
    }
    ARROW_ASSIGN_OR_RAISE(bool complete, TakeVarint(&bytes));
    if (!complete) break;
    if (state_ == State::kTag) {
      ARROW_RETURN_NOT_OK(OnTag());
    } else if (state_ == State::kLength) {
      ARROW_RETURN_NOT_OK(OnLength());
    } else {
      varint_ = 0;
      varint_shift_ = 0;
      state_ = State::kTag;
    }
  }
  return {};
}

arrow::Result<Message> FlightDataParser::End() {
  if (state_ != State::kTag || varint_shift_ != 0) {
    return Error(ErrorCode::kBadData, "FlightData: message ends within a field");
  }
  return std::move(message_);
}

}  // namespace arrowport::wire::net
