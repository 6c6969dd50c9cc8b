#include "wire/net/grpc_text.h"

#include <array>
#include <cstdint>

namespace arrowport::wire::net {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> MakeReverse() {
  std::array<int8_t, 256> reverse{};
  for (auto& value : reverse) value = -1;
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    reverse[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  }
  return reverse;
}

constexpr std::array<int8_t, 256> kReverse = MakeReverse();

}  // namespace

std::string EncodeGrpcMessage(std::string_view message) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(message.size());
  for (char c : message) {
    auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x20 && byte <= 0x7e && c != '%') {
      encoded += c;
    } else {
      encoded += '%';
      encoded += kHex[byte >> 4];
      encoded += kHex[byte & 15];
    }
  }
  return encoded;
}

std::optional<std::chrono::nanoseconds> ParseGrpcTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  int64_t value = 0;
  for (char c : text.substr(0, text.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  int64_t unit_nanoseconds = 0;
  switch (text.back()) {
    // Eight digits of hours overflow 64 bits of nanoseconds; a century is no deadline.
    case 'H':
      value = value > 876'000 ? 876'000 : value;
      unit_nanoseconds = 3'600'000'000'000;
      break;
    case 'M':
      value = value > 52'560'000 ? 52'560'000 : value;
      unit_nanoseconds = 60'000'000'000;
      break;
    case 'S':
      unit_nanoseconds = 1'000'000'000;
      break;
    case 'm':
      unit_nanoseconds = 1'000'000;
      break;
    case 'u':
      unit_nanoseconds = 1'000;
      break;
    case 'n':
      unit_nanoseconds = 1;
      break;
    default:
      return std::nullopt;
  }
  return std::chrono::nanoseconds(value * unit_nanoseconds);
}

std::optional<std::string> DecodeBase64(std::string_view text) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int bit_count = 0;
  for (char c : text) {
    int8_t value = kReverse[static_cast<uint8_t>(c)];
    if (value < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<uint32_t>(value)) & 0xffffff;
    bit_count += 6;
    if (bit_count >= 8) {
      bit_count -= 8;
      bytes += static_cast<char>(bits >> bit_count & 0xff);
    }
  }
  return bytes;
}

std::string EncodeBase64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() * 4 + 2) / 3);
  uint32_t bits = 0;
  int bit_count = 0;
  for (char c : bytes) {
    bits = (bits << 8 | static_cast<uint8_t>(c)) & 0xffff;
    bit_count += 8;
    while (bit_count >= 6) {
      bit_count -= 6;
      text += kAlphabet[bits >> bit_count & 63];
    }
  }
  if (bit_count > 0) text += kAlphabet[bits << (6 - bit_count) & 63];
  return text;
}

}  // namespace arrowport::wire::net
