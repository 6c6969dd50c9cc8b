#include "zerobus/encode/shortest_decimal.h"

namespace arrowport::zerobus::encode::internal {
namespace {

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

}  // namespace

constinit const std::array<PowerOf10, kPowerOf10Max - kPowerOf10Min + 1> kPowersOf10 =
    MakePowers();

}  // namespace arrowport::zerobus::encode::internal
