// Plain decimal text from unscaled integers: no exponent, always `scale` fraction digits.
#pragma once

#include <cstddef>
#include <cstdint>

namespace arrowport::zerobus::encode::internal {

/// What a number must fit.
struct DecimalColumn {
  int32_t precision = 0;
  int32_t scale = 0;
};

/// A two's complement integer of `limb_count` 64-bit limbs, the lowest first.
/// REQUIRES: 1 <= limb_count <= 4.
struct WideInteger {
  uint64_t limbs[4];
  int limb_count;
};

constexpr size_t kDecimalBytesMax = 80;

/// Writes integer * 10^-scale as text of `column` and returns its end; null when it has too
/// many digits or digits beyond the column's scale. REQUIRES: |scale| <= 76, room for
/// kDecimalBytesMax.
char* WriteDecimal(const WideInteger& integer, int32_t scale, DecimalColumn column,
                   char* out);

}  // namespace arrowport::zerobus::encode::internal
