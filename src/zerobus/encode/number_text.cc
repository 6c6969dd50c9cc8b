#include "zerobus/encode/number_text.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include "zerobus/encode/shortest_decimal.h"

namespace arrowport::zerobus::encode::internal {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr uint64_t kTen8 = 100'000'000;
constexpr uint64_t kZeros = 0x3030303030303030;
/// Whole numbers of more digits may have others than their shortest form.
constexpr int kExactDigitsMax = 15;

/// The eight digits of a number below 10^8 as the bytes of a word, the first one lowest.
/// Each step cuts what is in a lane in two; (x << n) - q * ((d << n) - 1) is x / d beside
/// x % d, when q is x / d.
inline uint64_t EightDigits(uint64_t number) {
  const uint64_t fours = number * 3518437209 >> 45;  // / 10000
  uint64_t lanes = (number << 32) - fours * ((uint64_t{10000} << 32) - 1);
  const uint64_t twos = (lanes * 10486 >> 20) & 0x0000007f0000007f;  // / 100
  lanes = (lanes << 16) - twos * ((uint64_t{100} << 16) - 1);
  const uint64_t ones = (lanes * 103 >> 10) & 0x000f000f000f000f;  // / 10
  return (lanes << 8) - ones * ((uint64_t{10} << 8) - 1);
}

template <typename Word>
inline void Store(Word word, char* at) {
  std::memcpy(at, &word, sizeof word);
}

inline char* WriteEight(uint64_t number, char* at) {
  Store(EightDigits(number) | kZeros, at);
  return at + 8;
}

/// Without leading zeros. REQUIRES: number < 10^8.
inline char* WriteShort(uint64_t number, char* at) {
  const uint64_t digits = EightDigits(number);
  const int zeros = std::countr_zero(digits | uint64_t{1} << 56) / 8;
  Store((digits | kZeros) >> (8 * zeros), at);
  return at + 8 - zeros;
}

/// The digits of a double, the first of which is not 0.
struct Digits {
  char first;
  uint64_t high;  ///< the next eight as text, the first of them lowest
  uint64_t low;   ///< the last eight
  int count;      ///< without zeros at the end
  int whole;      ///< how many stand before the point
};

inline Digits DigitsOf(ShortestDecimal decimal) {
  const uint64_t first = decimal.digits / (kTen8 * kTen8);
  const uint64_t high = EightDigits(decimal.digits / kTen8 - first * kTen8);
  const uint64_t low = EightDigits(decimal.digits % kTen8);
  int zeros;
  if (low != 0) [[likely]] {
    zeros = std::countl_zero(low) / 8;
  } else {
    zeros = high != 0 ? 8 + std::countl_zero(high) / 8 : 16;
  }
  return {.first = static_cast<char>('0' + first),
          .high = high | kZeros,
          .low = low | kZeros,
          .count = kShortestDigits - zeros,
          .whole = kShortestDigits + decimal.exponent};
}

/// All but the first.
inline void StoreOthers(const Digits& digits, char* at) {
  Store(digits.high, at);
  Store(digits.low, at + 8);
}

/// d.ddde+XX
char* WriteScientific(const Digits& digits, char* at) {
  *at++ = digits.first;
  if (digits.count > 1) {
    *at++ = '.';
    StoreOthers(digits, at);
    at += digits.count - 1;
  }
  int exponent = digits.whole - 1;
  *at++ = 'e';
  *at++ = exponent < 0 ? '-' : '+';
  if (exponent < 0) exponent = -exponent;
  if (exponent >= 100) *at++ = static_cast<char>('0' + exponent / 100);
  *at++ = static_cast<char>('0' + exponent / 10 % 10);
  *at++ = static_cast<char>('0' + exponent % 10);
  return at;
}

/// 0.000ddd or dd.dd. REQUIRES: at most three zeros after the point.
inline char* WriteFraction(const Digits& digits, char* at) {
  if (digits.whole > 8) [[unlikely]] {
    *at = digits.first;
    StoreOthers(digits, at + 1);
    std::memmove(at + digits.whole + 1, at + digits.whole,
                 static_cast<size_t>(kShortestDigits - digits.whole));
    at[digits.whole] = '.';
    return at + digits.count + 1;
  }
  // Without a branch, which would often be guessed wrong: what one of the forms does not
  // need is overwritten.
  const int above_1 = digits.whole > 0;
  const int shift = 8 * ((digits.whole - 1) & -above_1);
  char* start = at + ((2 - digits.whole) & (above_1 - 1));
  std::memcpy(at, "0.000000", 8);
  *start = digits.first;
  StoreOthers(digits, start + 1);
  at[1 + shift / 8] = '.';
  char* fraction = start + 1 + shift / 8 + above_1;
  Store(digits.high >> shift | digits.low << 1 << (63 - shift), fraction);
  Store(digits.low >> shift, fraction + 8);
  return start + digits.count + above_1;
}

}  // namespace

char* WriteInteger(int64_t number, char* at) {
  auto magnitude = static_cast<uint64_t>(number);
  if (number < 0) {
    *at++ = '-';
    magnitude = -magnitude;
  }
  if (magnitude < kTen8) return WriteShort(magnitude, at);
  const uint64_t high = magnitude / kTen8;
  if (high < kTen8) {
    at = WriteShort(high, at);
  } else {
    at = WriteEight(high % kTen8, WriteShort(high / kTen8, at));
  }
  return WriteEight(magnitude % kTen8, at);
}

// The shorter of the plain and the scientific form is written, of equals the plain one.
char* WriteFloat(double number, char* at) {
  *at = '-';
  at += std::signbit(number);
  number = std::fabs(number);
  if (number == 0) {
    *at = '0';
    return at + 1;
  }
  const Digits digits = DigitsOf(MakeShortestDecimal(number));
  const int single = digits.count == 1;  // has no point in the scientific form
  if (digits.whole < digits.count) {
    return digits.whole >= single - 3 ? WriteFraction(digits, at)
                                      : WriteScientific(digits, at);
  }
  if (digits.whole > digits.count + 5 - single) return WriteScientific(digits, at);
  if (digits.whole > kExactDigitsMax) {
    return std::to_chars(at, at + kNumberRoom - 1, number).ptr;
  }
  *at = digits.first;
  StoreOthers(digits, at + 1);
  return at + digits.whole;
}

char* WriteFloat(float number, char* at) {
  return std::to_chars(at, at + kNumberRoom, number).ptr;
}

}  // namespace arrowport::zerobus::encode::internal
