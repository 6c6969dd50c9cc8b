#include "zerobus/encode/decimal_text.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

namespace arrowport::zerobus::encode::internal {
namespace {

__extension__ using Uint128 = unsigned __int128;

constexpr uint64_t kChunk = 10'000'000'000'000'000'000U;  // 10^19, the largest in 64 bits
constexpr int kChunkDigits = 19;
constexpr int kDigitsMax = 5 * kChunkDigits;

void Negate(WideInteger* value) {
  bool carry = true;
  for (int i = 0; i < value->limb_count; ++i) {
    value->limbs[i] = ~value->limbs[i] + (carry ? 1 : 0);
    carry = carry && value->limbs[i] == 0;
  }
}

/// Divides by 10^19 in place and returns the remainder.
uint64_t DivideByChunk(WideInteger* value) {
  Uint128 remainder = 0;
  for (int i = value->limb_count - 1; i >= 0; --i) {
    Uint128 part = (remainder << 64) | value->limbs[i];
    value->limbs[i] = static_cast<uint64_t>(part / kChunk);
    remainder = part % kChunk;
  }
  while (value->limb_count > 1 && value->limbs[value->limb_count - 1] == 0) {
    --value->limb_count;
  }
  return static_cast<uint64_t>(remainder);
}

/// Digits of a non-negative number without leading zeros (none for 0), at the end of
/// `buffer`.
std::string_view Digits(WideInteger value, char (&buffer)[kDigitsMax]) {
  char* begin = buffer + kDigitsMax;
  while (value.limb_count > 1 || value.limbs[0] != 0) {
    char chunk[20];
    uint64_t low = DivideByChunk(&value);
    auto length = std::to_chars(chunk, chunk + sizeof chunk, low).ptr - chunk;
    begin -= kChunkDigits;
    std::memset(begin, '0', static_cast<size_t>(kChunkDigits - length));
    std::memcpy(begin + kChunkDigits - length, chunk, static_cast<size_t>(length));
  }
  std::string_view digits(begin, static_cast<size_t>(buffer + kDigitsMax - begin));
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  return digits;
}

}  // namespace

char* WriteDecimal(const WideInteger& integer, int32_t scale, DecimalColumn column,
                   char* out) {
  WideInteger magnitude = integer;
  bool negative = static_cast<int64_t>(integer.limbs[integer.limb_count - 1]) < 0;
  if (negative) Negate(&magnitude);
  char buffer[kDigitsMax];
  std::string_view digits = Digits(magnitude, buffer);
  size_t zeros = 0;
  if (!digits.empty() && column.scale > scale) {
    zeros = static_cast<size_t>(column.scale - scale);
  } else if (!digits.empty() && column.scale < scale) {
    size_t surplus = static_cast<size_t>(scale - column.scale);
    size_t kept = digits.find_last_not_of('0') + 1;
    if (digits.size() < surplus || digits.size() - kept < surplus) return nullptr;
    digits.remove_suffix(surplus);
  }
  size_t digit_count = digits.size() + zeros;
  if (digit_count > static_cast<size_t>(column.precision)) return nullptr;
  size_t fraction = static_cast<size_t>(column.scale);
  size_t leading = digit_count > fraction ? 0 : fraction + 1 - digit_count;
  if (negative) *out++ = '-';
  std::memset(out, '0', leading);
  std::memcpy(out + leading, digits.data(), digits.size());
  std::memset(out + leading + digits.size(), '0', zeros);
  size_t whole = leading + digit_count - fraction;
  if (fraction == 0) return out + whole;
  std::memmove(out + whole + 1, out + whole, fraction);
  out[whole] = '.';
  return out + whole + 1 + fraction;
}

}  // namespace arrowport::zerobus::encode::internal
