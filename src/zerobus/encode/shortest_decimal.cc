#include "zerobus/encode/shortest_decimal.h"

#include <array>
#include <bit>
#include <cstddef>
#include <limits>

namespace arrowport::zerobus::encode::internal {
namespace {

__extension__ using Uint128 = unsigned __int128;

/// 10^p / 2^(floor(log2(10^p)) - 127), rounded up.
struct PowerOf10 {
  uint64_t high;
  uint64_t low;
};
constexpr int kPowerOf10Min = -292;
constexpr int kPowerOf10Max = 324;

/// An integer of up to 1,216 bits; enough for 10^324, and for 2^1152 / 10^292 to have more
/// than 128.
class LongInteger {
 public:
  constexpr void SetBit(int bit) { limbs_[bit / 64] |= uint64_t{1} << (bit % 64); }

  constexpr void MultiplyBy10() {
    uint64_t carry = 0;
    for (uint64_t& limb : limbs_) {
      Uint128 product = Uint128{limb} * 10 + carry;
      limb = static_cast<uint64_t>(product);
      carry = static_cast<uint64_t>(product >> 64);
    }
  }

  /// Rounds down. Returns the remainder.
  constexpr uint64_t DivideBy10() {
    uint64_t remainder = 0;
    for (int i = kLimbs - 1; i >= 0; --i) {
      Uint128 part = (Uint128{remainder} << 64) | limbs_[i];
      limbs_[i] = static_cast<uint64_t>(part / 10);
      remainder = static_cast<uint64_t>(part % 10);
    }
    return remainder;
  }

  /// The 128 highest bits, plus one if there is anything below them or `inexact`.
  constexpr PowerOf10 Top(bool inexact) const {
    int top = kLimbs - 1;
    while (limbs_[top] == 0) --top;
    const int shift = std::countl_zero(limbs_[top]);
    auto limb = [this](int i) { return i < 0 ? 0 : limbs_[i]; };
    auto shifted = [&](int i) {
      return shift == 0 ? limb(i) : limb(i) << shift | limb(i - 1) >> (64 - shift);
    };
    PowerOf10 power{shifted(top), shifted(top - 1)};
    inexact |= limb(top - 2) << shift != 0;
    for (int i = top - 3; i >= 0; --i) inexact |= limbs_[i] != 0;
    power.low += inexact;
    power.high += inexact && power.low == 0;
    return power;
  }

 private:
  static constexpr int kLimbs = 19;
  uint64_t limbs_[kLimbs] = {};
};

constexpr auto MakePowers() {
  std::array<PowerOf10, kPowerOf10Max - kPowerOf10Min + 1> powers{};
  LongInteger number;
  number.SetBit(0);
  for (int p = 0; p <= kPowerOf10Max; ++p) {
    powers[static_cast<size_t>(p - kPowerOf10Min)] = number.Top(false);
    number.MultiplyBy10();
  }
  number = {};
  number.SetBit(1152);
  for (int p = -1; p >= kPowerOf10Min; --p) {
    number.DivideBy10();
    powers[static_cast<size_t>(p - kPowerOf10Min)] = number.Top(true);
  }
  return powers;
}

constexpr auto kPowersOf10 = MakePowers();

/// significand * 2^exponent, and beside it the power of ten for 10^k, the unit in which
/// its digits are looked for: a unit is less than the distance between such doubles, ten
/// units are not.
struct Scaled {
  uint64_t significand;
  bool regular;  ///< else the next double below is only half as far as that above
  int k;
  int shift;  ///< 1 to 4: value = power * (significand << shift) / 2^128 units
  const PowerOf10* power;
};

inline Scaled Scale(uint64_t bits) {
  static_assert(std::numeric_limits<double>::is_iec559);
  constexpr int kFractionBits = 52;
  constexpr uint64_t kHidden = uint64_t{1} << kFractionBits;
  constexpr int kBias = 1075;  // of a significand that is an integer
  const uint64_t fraction = bits & (kHidden - 1);
  const auto biased = static_cast<int>(bits >> kFractionBits & 0x7ff);
  const int exponent = biased != 0 ? biased - kBias : 1 - kBias;
  Scaled scaled;
  scaled.significand = biased != 0 ? fraction | kHidden : fraction;
  scaled.regular = fraction != 0 || biased <= 1;
  // floor(exponent * log10(2)), less log10(4 / 3) if not regular.
  scaled.k = (exponent * 1262611 - (scaled.regular ? 0 : 524031)) >> 22;
  scaled.shift = exponent + ((-scaled.k * 1741647) >> 19) + 1;  // -k * log2(10)
  scaled.power = &kPowersOf10[static_cast<size_t>(-scaled.k - kPowerOf10Min)];
  return scaled;
}

/// power * factor / 2^64, rounded down.
inline Uint128 MultiplyHigh(const PowerOf10& power, uint64_t factor) {
  return Uint128{power.high} * factor +
         static_cast<uint64_t>((Uint128{power.low} * factor) >> 64);
}

/// power * factor / 2^128, rounded down, and odd if anything was lost.
inline uint64_t MultiplyToOdd(const PowerOf10& power, uint64_t factor) {
  const Uint128 product = MultiplyHigh(power, factor);
  // The power is at most one too large: a fraction of 0 or 1 means none.
  return static_cast<uint64_t>(product >> 64) | (static_cast<uint64_t>(product) > 1);
}

/// The method as published, for every double.
[[gnu::noinline]] ShortestDecimal MakeExactly(const Scaled& scaled) {
  const uint64_t odd = scaled.significand & 1;
  // In quarters of 10^k: the value, and the ends of the interval that reads back as it,
  // which belong to it when the significand is even.
  const uint64_t four = 4 * scaled.significand;
  const uint64_t middle = MultiplyToOdd(*scaled.power, four << scaled.shift);
  const uint64_t low =
      MultiplyToOdd(*scaled.power, (four - 1 - scaled.regular) << scaled.shift) + odd;
  const uint64_t high = MultiplyToOdd(*scaled.power, (four + 2) << scaled.shift) - odd;

  // At most one multiple of 10^(k+1) lies inside; it is then the shortest.
  const uint64_t whole = middle / 4;
  const uint64_t tens = whole / 10 * 10;
  const bool below_inside = low <= 4 * tens;
  const bool above_inside = 4 * tens + 40 <= high;
  ShortestDecimal decimal{tens + 10 * above_inside, scaled.k};
  if (whole < 10 || below_inside == above_inside) {
    // Else one of the neighbours: the one inside, or the nearer one, on a tie the even one.
    const bool floor_inside = low <= 4 * whole;
    const bool ceiling_inside = 4 * whole + 4 <= high;
    const uint64_t half = 4 * whole + 2;
    const bool nearer_up = middle > half || (middle == half && (whole & 1) != 0);
    decimal.digits =
        whole + (floor_inside != ceiling_inside ? ceiling_inside : nearer_up);
  }
  constexpr uint64_t kSmallest = 10'000'000'000'000'000;
  while (decimal.digits < kSmallest) {
    decimal.digits *= 10;
    --decimal.exponent;
  }
  return decimal;
}

}  // namespace

// In units of 10^k with 64 bits of fraction, all but a few doubles can be told with one
// multiplication: which multiple of ten units, if any, is less than half the distance to
// the next double away, else which is the nearest whole unit. What is too near to a limit
// to tell, with numbers that are cut off, goes the long way.
ShortestDecimal MakeShortestDecimal(double value) {
  const Scaled scaled = Scale(std::bit_cast<uint64_t>(value));
  const Uint128 units = MultiplyHigh(*scaled.power, scaled.significand << scaled.shift);
  const auto whole = static_cast<uint64_t>(units >> 64);
  const auto fraction = static_cast<uint64_t>(units);
  constexpr uint64_t kNormalMin = 1'000'000'000'000'000;
  if (!scaled.regular || whole < kNormalMin) [[unlikely]] return MakeExactly(scaled);

  // With 60 bits of fraction.
  constexpr uint64_t kTen = uint64_t{10} << 60;
  constexpr uint64_t kDoubt = 4;
  const uint64_t ones = whole % 10;
  const uint64_t above_tens = ones << 60 | fraction >> 4;
  const uint64_t half_distance = scaled.power->high >> (5 - scaled.shift);
  const uint64_t below = above_tens - half_distance;         // wraps when less
  const uint64_t above = kTen - above_tens - half_distance;  // wraps when less
  const uint64_t nearer = fraction - (uint64_t{1} << 63);
  if ((below + kDoubt <= 2 * kDoubt) | (above + kDoubt <= 2 * kDoubt) |
      (nearer + kDoubt <= 2 * kDoubt)) [[unlikely]] {
    return MakeExactly(scaled);
  }
  // Bits instead of branches, which would be guessed wrong half of the time.
  const bool is_up = kTen - above_tens < half_distance;
  const bool is_tens = (above_tens < half_distance) | is_up;
  const uint64_t rounded = whole + (fraction >> 63);
  const uint64_t tens = whole - ones + 10 * is_up;
  const uint64_t digits = rounded ^ ((tens ^ rounded) & -uint64_t{is_tens});
  // 16 or 17 digits.
  const bool is_short = digits < 10'000'000'000'000'000;
  return {digits + ((digits * 9) & -uint64_t{is_short}), scaled.k - is_short};
}

}  // namespace arrowport::zerobus::encode::internal
