// The shortest decimal number that reads back as a given double, and of those the nearest.
// Source of the method: R. Giulietti, "The Schubfach way to render doubles", 2021.
#pragma once

#include <cstdint>

namespace arrowport::zerobus::encode::internal {

/// digits * 10^exponent, with 17 digits: short numbers have zeros at the end.
struct ShortestDecimal {
  uint64_t digits;
  int32_t exponent;
};

constexpr int kShortestDigits = 17;

/// Of |value|. REQUIRES: finite and not 0.
ShortestDecimal MakeShortestDecimal(double value);

}  // namespace arrowport::zerobus::encode::internal
