#include "delta/code_point.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace arrowport::delta {

CodePoint DecodeCodePoint(std::string_view text) {
  if (text.empty()) return {};
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const int bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < static_cast<size_t>(bytes)) return {};
  uint32_t value = lead & (0xFF >> (bytes + 1));
  for (int i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    value = (value << 6) | (byte(i) & 0x3F);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < kSmallest[bytes] || value > 0x10FFFF || surrogate) return {};
  return {value, bytes};
}

bool IsUtf8(std::string_view text) {
  constexpr uint64_t kHighBits = 0x8080808080808080;
  while (!text.empty()) {
    uint64_t eight = kHighBits;
    if (text.size() >= sizeof(eight)) std::memcpy(&eight, text.data(), sizeof(eight));
    if ((eight & kHighBits) == 0) {
      text.remove_prefix(sizeof(eight));
      continue;
    }
    const CodePoint point = DecodeCodePoint(text);
    if (point.bytes == 0) return false;
    text.remove_prefix(static_cast<size_t>(point.bytes));
  }
  return true;
}

}  // namespace arrowport::delta
