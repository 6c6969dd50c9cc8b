// The shortest decimal number that reads back as a given double, and of those the nearest.
// Source of the method: R. Giulietti, "The Schubfach way to render doubles", 2021.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace arrowport::zerobus::encode::internal {

__extension__ using Uint128 = unsigned __int128;

/// digits * 10^exponent, with 17 digits: short numbers have zeros at the end.
struct ShortestDecimal {
  uint64_t digits;
  int32_t exponent;
};

constexpr int kShortestDigits = 17;

/// 10^p / 2^(floor(log2(10^p)) - 127), rounded up.
struct PowerOf10 {
  uint64_t high;
  uint64_t low;
};
constexpr int kPowerOf10Min = -292;
constexpr int kPowerOf10Max = 324;
/// From kPowerOf10Min on.
extern const std::array<PowerOf10, kPowerOf10Max - kPowerOf10Min + 1> kPowersOf10;

/// power * factor / 2^128, rounded down, and odd if anything was lost.
inline uint64_t MultiplyToOdd(const PowerOf10& power, uint64_t factor) {
  const auto low = static_cast<uint64_t>((Uint128{power.low} * factor) >> 64);
  const Uint128 product = Uint128{power.high} * factor + low;
  // The power is at most one too large: a fraction of 0 or 1 means none.
  return static_cast<uint64_t>(product >> 64) | (static_cast<uint64_t>(product) > 1);
}

/// Of |value|. REQUIRES: finite and not 0.
inline ShortestDecimal MakeShortestDecimal(double value) {
  static_assert(std::numeric_limits<double>::is_iec559);
  constexpr int kFractionBits = 52;
  constexpr uint64_t kHidden = uint64_t{1} << kFractionBits;
  constexpr int kBias = 1075;  // of a significand that is an integer
  const auto bits = std::bit_cast<uint64_t>(value);
  const uint64_t fraction = bits & (kHidden - 1);
  const auto biased = static_cast<int>(bits >> kFractionBits & 0x7ff);
  // value = significand * 2^exponent
  const uint64_t significand = biased != 0 ? fraction | kHidden : fraction;
  const int exponent = biased != 0 ? biased - kBias : 1 - kBias;
  // Below a power of two doubles lie twice as close.
  const bool regular = fraction != 0 || biased <= 1;
  const uint64_t odd = significand & 1;

  // floor(exponent * log10(2)), less log10(4 / 3) if not regular.
  const int k = (exponent * 1262611 - (regular ? 0 : 524031)) >> 22;
  const int shift = exponent + ((-k * 1741647) >> 19) + 1;  // -k * log2(10)
  const PowerOf10& power = kPowersOf10[static_cast<size_t>(-k - kPowerOf10Min)];
  // In quarters of 10^k: the value, and the ends of the interval that reads back as it,
  // which belong to it when the significand is even.
  const uint64_t four = 4 * significand;
  const uint64_t middle = MultiplyToOdd(power, four << shift);
  const uint64_t low = MultiplyToOdd(power, (four - 1 - regular) << shift) + odd;
  const uint64_t high = MultiplyToOdd(power, (four + 2) << shift) - odd;

  // What follows is bits instead of branches, which would be guessed wrong half of the time.
  // At most one multiple of 10^(k+1) lies inside; it is then the shortest.
  const uint64_t whole = middle / 4;
  const uint64_t tens = whole / 10 * 10;
  const bool below_inside = low <= 4 * tens;
  const bool above_inside = 4 * tens + 40 <= high;
  const bool shorter = (whole >= 10) & (below_inside != above_inside);
  // Else one of the neighbours: the one inside, or the nearer one, on a tie the even one.
  const bool floor_inside = low <= 4 * whole;
  const bool ceiling_inside = 4 * whole + 4 <= high;
  const uint64_t half = 4 * whole + 2;
  const bool nearer_up = (middle > half) | ((middle == half) & (whole & 1));
  const bool up = (ceiling_inside & !floor_inside) |
                  ((ceiling_inside == floor_inside) & nearer_up);
  const uint64_t rounded = whole + up;
  const uint64_t change = (tens + 10 * above_inside) ^ rounded;
  uint64_t digits = rounded ^ (change & -uint64_t{shorter});

  // 16 or 17 digits; fewer when the value is subnormal.
  constexpr uint64_t kSmallest = 10'000'000'000'000'000;
  const bool short_of_one = digits < kSmallest;
  digits += (digits * 9) & -uint64_t{short_of_one};
  ShortestDecimal decimal{digits, k - short_of_one};
  while (decimal.digits < kSmallest) [[unlikely]] {
    decimal.digits *= 10;
    --decimal.exponent;
  }
  return decimal;
}

}  // namespace arrowport::zerobus::encode::internal
