// The primitives of protobuf's wire format. Source:
// https://protobuf.dev/programming-guides/encoding/
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace arrowport::zerobus::encode::internal {

enum class WireType : uint32_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

/// 1..10 bytes.
inline int64_t VarintSize(uint64_t value) {
  // ceil(bits / 7) without a division, exact for 1..64 bits.
  return static_cast<int64_t>((std::bit_width(value | 1) * 9 + 64) / 64);
}

inline uint8_t* PutVarint(uint8_t* at, uint64_t value) {
  while (value >= 0x80) {
    *at++ = static_cast<uint8_t>(value | 0x80);
    value >>= 7;
  }
  *at++ = static_cast<uint8_t>(value);
  return at;
}

/// A field's number and wire type, encoded once.
class Tag {
 public:
  Tag(int field_number, WireType type) {
    uint8_t* end = PutVarint(bytes_, (static_cast<uint64_t>(field_number) << 3) |
                                         static_cast<uint64_t>(type));
    size_ = static_cast<int32_t>(end - bytes_);
  }
  int64_t size() const { return size_; }
  uint8_t* Put(uint8_t* at) const {
    *at++ = bytes_[0];
    for (int32_t i = 1; i < size_; ++i) *at++ = bytes_[i];
    return at;
  }

 private:
  uint8_t bytes_[12] = {};
  int32_t size_;
};

/// What stands before each of the rows: nothing, or tag and length of an entry of a
/// repeated field.
class EntryHeader {
 public:
  /// `field_number`: 0 for nothing, else up to 15.
  explicit EntryHeader(int field_number)
      : tag_(static_cast<uint8_t>(field_number << 3 | static_cast<int>(WireType::kLength))),
        tag_size_(field_number == 0 ? 0 : 1) {}
  int64_t Size(int64_t row_bytes) const {
    return tag_size_ == 0 ? 0 : tag_size_ + VarintSize(static_cast<uint64_t>(row_bytes));
  }
  /// Returns where the row goes.
  uint8_t* Put(uint8_t* at, int64_t row_bytes) const {
    if (tag_size_ == 0) return at;
    *at = tag_;
    return PutVarint(at + 1, static_cast<uint64_t>(row_bytes));
  }

 private:
  uint8_t tag_;
  int64_t tag_size_;
};

/// memcpy for lengths that are mostly small; touches exactly `size` bytes.
inline void CopyShort(uint8_t* to, const char* from, size_t size) {
  if (size > 16) {
    std::memcpy(to, from, size);
  } else if (size >= 8) {
    uint64_t head, tail;
    std::memcpy(&head, from, 8);
    std::memcpy(&tail, from + size - 8, 8);
    std::memcpy(to, &head, 8);
    std::memcpy(to + size - 8, &tail, 8);
  } else if (size >= 4) {
    uint32_t head, tail;
    std::memcpy(&head, from, 4);
    std::memcpy(&tail, from + size - 4, 4);
    std::memcpy(to, &head, 4);
    std::memcpy(to + size - 4, &tail, 4);
  } else if (size > 0) {
    to[0] = static_cast<uint8_t>(from[0]);
    to[size / 2] = static_cast<uint8_t>(from[size / 2]);
    to[size - 1] = static_cast<uint8_t>(from[size - 1]);
  }
}

}  // namespace arrowport::zerobus::encode::internal
