// Judged by std::to_chars, whose bytes these must be.
#include "zerobus/encode/number_text.h"

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <string_view>

namespace arrowport::zerobus::encode::internal {
namespace {

template <typename Number>
std::string Wanted(Number number) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof text, number).ptr};
}

std::string Written(int64_t number) {
  char text[kNumberRoom];
  return {text, WriteInteger(number, text)};
}
template <typename Float>
std::string WrittenFloat(Float number) {
  char text[kNumberRoom];
  return {text, WriteFloat(number, text)};
}

void ExpectSame(int64_t number) { ASSERT_EQ(Written(number), Wanted(number)); }
void ExpectSame(double number) {
  if (!std::isfinite(number)) return;
  ASSERT_EQ(WrittenFloat(number), Wanted(number)) << std::hexfloat << number;
  ASSERT_EQ(WrittenFloat(-number), Wanted(-number)) << std::hexfloat << number;
}
/// The number and those beside it.
void ExpectSameAround(double number) {
  ExpectSame(number);
  ExpectSame(std::nextafter(number, 0.0));
  ExpectSame(std::nextafter(number, std::numeric_limits<double>::infinity()));
}

TEST(NumberText, IntegersOfEveryLength) {
  EXPECT_EQ(Written(0), "0");
  EXPECT_EQ(Written(-1), "-1");
  EXPECT_EQ(Written(std::numeric_limits<int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(Written(std::numeric_limits<int64_t>::max()), "9223372036854775807");
  uint64_t power = 1;
  for (int digits = 1; digits <= 19; ++digits, power *= 10) {
    for (int64_t near = -2; near <= 2; ++near) {
      ExpectSame(static_cast<int64_t>(power) + near);
      ExpectSame(-static_cast<int64_t>(power) + near);
    }
  }
  for (int64_t i = -20'000; i < 20'000; ++i) ExpectSame(i);
  std::mt19937_64 random(1);
  for (int i = 0; i < 100'000; ++i) {
    ExpectSame(static_cast<int64_t>(random()) >> random() % 64);
  }
}

TEST(NumberText, DoublesKnown) {
  const std::pair<double, std::string_view> known[] = {
      {0.0, "0"}, {-0.0, "-0"}, {1.0, "1"}, {-1.5, "-1.5"}, {100000.0, "1e+05"},
      {123456.0, "123456"}, {1e22, "1e+22"}, {0.001, "0.001"}, {0.0001, "1e-04"},
      {0.00001, "1e-05"}, {0.00012, "0.00012"}, {0.000012, "1.2e-05"}, {0.1, "0.1"},
      {0.3, "0.3"}, {2.0 / 3, "0.6666666666666666"}, {99.99999999999999, "99.99999999999999"},
      {5e-324, "5e-324"}, {1e-323, "1e-323"}, {2.2250738585072014e-308, "2.2250738585072014e-308"},
      {2.225073858507201e-308, "2.225073858507201e-308"},
      {std::numeric_limits<double>::max(), "1.7976931348623157e+308"},
      {9007199254740993.0, "9007199254740992"}, {1e23, "1e+23"}, {9.5e-7, "9.5e-07"},
      {12345678901234567.0, "12345678901234568"}, {1234567890123456.75, "1234567890123456.8"}};
  for (const auto& [number, text] : known) {
    EXPECT_EQ(WrittenFloat(number), text);
    EXPECT_EQ(Wanted(number), text);
  }
}

TEST(NumberText, DoublesAtEveryPowerOfTwo) {
  for (uint64_t exponent = 0; exponent < 2047; ++exponent) {
    for (uint64_t fraction : {uint64_t{0}, uint64_t{1}, uint64_t{2}, (uint64_t{1} << 52) - 1,
                              uint64_t{1} << 51}) {
      ExpectSame(std::bit_cast<double>(exponent << 52 | fraction));
    }
  }
}

TEST(NumberText, DoublesOfFewDigits) {
  for (int exponent = -330; exponent <= 308; ++exponent) {
    for (int digits : {1, 2, 5, 7, 9, 10, 15, 99, 101, 123, 1234567, 999999999}) {
      const std::string text = std::to_string(digits) + "e" + std::to_string(exponent);
      ExpectSameAround(std::strtod(text.c_str(), nullptr));
    }
  }
  for (int i = 1; i < 20'000; ++i) {
    ExpectSame(std::bit_cast<double>(static_cast<uint64_t>(i)));  // subnormal
    ExpectSame(static_cast<double>(i));
    ExpectSame(i * 0.01);
    ExpectSame(i * 1e3);
    ExpectSame(i * 1e11);
    ExpectSame(i / 7.0);
  }
}

TEST(NumberText, DoublesAtRandom) {
  std::mt19937_64 random(2);
  std::normal_distribution<double> normal;
  for (int i = 0; i < 150'000; ++i) {
    const uint64_t bits = random();
    ExpectSame(std::bit_cast<double>(bits));
    ExpectSame(normal(random));
    ExpectSame(static_cast<double>(bits >> random() % 64));
    ExpectSame(std::ldexp(static_cast<double>(bits >> 11), -static_cast<int>(random() % 70)));
    ExpectSame(static_cast<double>(bits % 1'000'000) / 100);
  }
}

TEST(NumberText, FloatsAtRandom) {
  std::mt19937 random(3);
  for (int i = 0; i < 20'000; ++i) {
    const auto number = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (!std::isfinite(number)) continue;
    ASSERT_EQ(WrittenFloat(number), Wanted(number));
  }
}

}  // namespace
}  // namespace arrowport::zerobus::encode::internal
