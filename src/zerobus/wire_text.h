// Protobuf's wire format where a message class would copy the rows.
// Source: protobuf.dev/programming-guides/encoding.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace arrowport::zerobus {

constexpr size_t VarintSize(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

inline void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

/// Tag of a length-delimited field, and the length that follows.
inline void AppendLengthField(uint32_t number, uint64_t size, std::string* out) {
  AppendVarint(uint64_t{number} << 3 | 2, out);
  AppendVarint(size, out);
}

/// How many bytes that takes.
inline size_t LengthFieldSize(uint32_t number, uint64_t size) {
  return VarintSize(uint64_t{number} << 3 | 2) + VarintSize(size);
}

/// Takes the varint off the front of `text`. Null when it is cut or too long.
inline std::optional<uint64_t> TakeVarint(std::string_view* text) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && !text->empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(text->front());
    text->remove_prefix(1);
    value |= uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

}  // namespace arrowport::zerobus
