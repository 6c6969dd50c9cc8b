// The protobuf wire format, read where it lies. Source: protobuf.dev, "Encoding".
#pragma once

#include <cstdint>
#include <string_view>

namespace arrowport::emulator {

enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

/// Reads one message from front to end; the bytes outlive it and what it gives out. Each
/// method is false when the bytes do not hold what was asked for. Not thread-safe.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool done() const { return at_ == end_; }

  bool Varint(uint64_t* value) {
    if (at_ != end_ && static_cast<int8_t>(*at_) >= 0) {
      *value = static_cast<uint8_t>(*at_++);
      return true;
    }
    return LongVarint(value);
  }

  bool Tag(uint32_t* number, WireType* type) {
    uint64_t tag = 0;
    if (!Varint(&tag) || tag > UINT32_MAX || tag >> 3 == 0) return false;
    *number = static_cast<uint32_t>(tag >> 3);
    *type = static_cast<WireType>(tag & 7);
    return true;
  }

  bool Bytes(std::string_view* bytes) {
    uint64_t size = 0;
    if (!Varint(&size) || size > static_cast<uint64_t>(end_ - at_)) return false;
    *bytes = {at_, static_cast<size_t>(size)};
    at_ += size;
    return true;
  }

  bool Fixed(std::string_view* bytes, size_t size) {
    if (static_cast<size_t>(end_ - at_) < size) return false;
    *bytes = {at_, size};
    at_ += size;
    return true;
  }

  /// Passes over a value. False also for groups, which nobody here uses.
  bool Skip(WireType type) {
    uint64_t number = 0;
    std::string_view bytes;
    switch (type) {
      case WireType::kVarint:
        return Varint(&number);
      case WireType::kFixed64:
        return Fixed(&bytes, 8);
      case WireType::kBytes:
        return Bytes(&bytes);
      case WireType::kFixed32:
        return Fixed(&bytes, 4);
    }
    return false;
  }

 private:
  bool LongVarint(uint64_t* value) {
    uint64_t sum = 0;
    for (int shift = 0; shift < 70 && at_ != end_; shift += 7) {
      const auto byte = static_cast<uint8_t>(*at_++);
      sum |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        *value = sum;
        return true;
      }
    }
    return false;
  }

  const char* at_;
  const char* end_;
};

}  // namespace arrowport::emulator
