#include "schema/exact_number.h"

#include <arrow/array/array_decimal.h>
#include <arrow/array/array_primitive.h>
#include <arrow/buffer.h>
#include <arrow/util/bitmap_ops.h>
#include <arrow/util/decimal.h>

#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace arrowport::schema::internal {
namespace {

using arrow::Type;

arrow::Status DoesNotFit(const arrow::DataType& to) {
  return Error(ErrorCode::kSchemaMismatch, "a value does not fit exactly into ",
               to.ToString());
}

/// Sets `out` and returns true when `in` has an equal `To`.
template <typename From, typename To>
bool Exactly(From in, To* out) {
  if constexpr (std::is_integral_v<From> && std::is_integral_v<To>) {
    *out = static_cast<To>(in);
    return std::in_range<To>(in);
  } else if constexpr (std::is_integral_v<From>) {
    *out = static_cast<To>(in);
    // 2^digits itself is out of From's range, and converting it back would be undefined.
    const To bound = std::ldexp(To{1}, std::numeric_limits<From>::digits);
    return *out < bound && static_cast<From>(*out) == in;
  } else if constexpr (std::is_integral_v<To>) {
    const From bound = std::ldexp(From{1}, std::numeric_limits<To>::digits);
    const From low = std::is_signed_v<To> ? -bound : From{0};
    if (!(in >= low && in < bound)) return false;
    *out = static_cast<To>(in);
    return static_cast<From>(*out) == in;
  } else {
    if (std::isfinite(in) && std::abs(in) > std::numeric_limits<To>::max()) return false;
    *out = static_cast<To>(in);
    return static_cast<From>(*out) == in || std::isnan(in);
  }
}

struct Output {
  std::shared_ptr<arrow::Buffer> validity;
  std::shared_ptr<arrow::Buffer> values;
};

arrow::Result<Output> AllocateLike(const arrow::Array& array, int64_t value_bytes) {
  Output output;
  if (array.null_count() > 0) {
    ARROW_ASSIGN_OR_RAISE(output.validity,
                          arrow::internal::CopyBitmap(arrow::default_memory_pool(),
                                                      array.null_bitmap_data(),
                                                      array.offset(), array.length()));
  }
  ARROW_ASSIGN_OR_RAISE(output.values,
                        arrow::AllocateBuffer(array.length() * value_bytes));
  return output;
}

std::shared_ptr<arrow::Array> Finish(const arrow::Array& array, Output output,
                                     const std::shared_ptr<arrow::DataType>& to) {
  return arrow::MakeArray(arrow::ArrayData::Make(
      to, array.length(), {std::move(output.validity), std::move(output.values)},
      array.null_count()));
}

template <typename From, typename To>
arrow::Result<std::shared_ptr<arrow::Array>> CastValues(
    const arrow::Array& array, const std::shared_ptr<arrow::DataType>& to) {
  ARROW_ASSIGN_OR_RAISE(Output output, AllocateLike(array, sizeof(To)));
  const From* in = array.data()->GetValues<From>(1);
  To* out = reinterpret_cast<To*>(output.values->mutable_data());
  const bool has_nulls = array.null_count() > 0;
  bool fits = true;
  for (int64_t i = 0; i < array.length(); ++i) {
    if (has_nulls && array.IsNull(i)) {
      out[i] = To{};
    } else {
      fits &= Exactly(in[i], &out[i]);
    }
  }
  if (!fits) return DoesNotFit(*to);
  return Finish(array, std::move(output), to);
}

template <typename From>
arrow::Result<std::shared_ptr<arrow::Array>> CastFrom(
    const arrow::Array& array, const std::shared_ptr<arrow::DataType>& to) {
  switch (to->id()) {
    case Type::INT8:
      return CastValues<From, int8_t>(array, to);
    case Type::INT16:
      return CastValues<From, int16_t>(array, to);
    case Type::INT32:
      return CastValues<From, int32_t>(array, to);
    case Type::INT64:
      return CastValues<From, int64_t>(array, to);
    case Type::UINT8:
      return CastValues<From, uint8_t>(array, to);
    case Type::UINT16:
      return CastValues<From, uint16_t>(array, to);
    case Type::UINT32:
      return CastValues<From, uint32_t>(array, to);
    case Type::UINT64:
      return CastValues<From, uint64_t>(array, to);
    case Type::FLOAT:
      return CastValues<From, float>(array, to);
    case Type::DOUBLE:
      return CastValues<From, double>(array, to);
    default:
      return DoesNotFit(*to);
  }
}

using Wide = unsigned __int128;

bool Multiply(Wide* value, Wide factor) {
  return !__builtin_mul_overflow(*value, factor, value);
}

/// |x| * 10^scale as an integer below 10^precision.
bool Unscaled(double x, int scale, int precision, Wide* out) {
  if (!std::isfinite(x) || scale < 0) return false;
  int exponent = 0;
  const double fraction = std::frexp(std::abs(x), &exponent);
  Wide value = static_cast<Wide>(std::ldexp(fraction, 53));
  exponent -= 53;
  if (value == 0) {
    *out = 0;
    return true;
  }
  while ((value & 1) == 0) {
    value >>= 1;
    ++exponent;
  }
  // value * 2^exponent * 2^scale * 5^scale; the powers of two must not be negative.
  const int twos = exponent + scale;
  if (twos < 0 || twos > 127) return false;
  for (int i = 0; i < scale; ++i) {
    if (!Multiply(&value, 5)) return false;
  }
  if (!Multiply(&value, Wide{1} << twos)) return false;
  Wide limit = 1;
  for (int i = 0; i < precision; ++i) limit *= 10;  // 10^38 < 2^127
  *out = value;
  return value < limit;
}

}  // namespace

arrow::Result<std::shared_ptr<arrow::Array>> CastNumber(
    const arrow::Array& array, const std::shared_ptr<arrow::DataType>& to) {
  switch (array.type_id()) {
    case Type::INT8:
      return CastFrom<int8_t>(array, to);
    case Type::INT16:
      return CastFrom<int16_t>(array, to);
    case Type::INT32:
      return CastFrom<int32_t>(array, to);
    case Type::INT64:
      return CastFrom<int64_t>(array, to);
    case Type::UINT8:
      return CastFrom<uint8_t>(array, to);
    case Type::UINT16:
      return CastFrom<uint16_t>(array, to);
    case Type::UINT32:
      return CastFrom<uint32_t>(array, to);
    case Type::UINT64:
      return CastFrom<uint64_t>(array, to);
    case Type::FLOAT:
      return CastFrom<float>(array, to);
    case Type::DOUBLE:
      return CastFrom<double>(array, to);
    default:
      return DoesNotFit(*to);
  }
}

arrow::Result<std::shared_ptr<arrow::Array>> DoubleToDecimal(
    const arrow::Array& array, const std::shared_ptr<arrow::DataType>& to) {
  const auto& decimal = static_cast<const arrow::Decimal128Type&>(*to);
  ARROW_ASSIGN_OR_RAISE(Output output, AllocateLike(array, 16));
  const double* in = array.data()->GetValues<double>(1);
  uint8_t* out = output.values->mutable_data();
  for (int64_t i = 0; i < array.length(); ++i) {
    Wide value = 0;
    const bool valid = array.IsValid(i);
    if (valid && !Unscaled(in[i], decimal.scale(), decimal.precision(), &value)) {
      return DoesNotFit(*to);
    }
    arrow::Decimal128 wide(static_cast<int64_t>(value >> 64),
                           static_cast<uint64_t>(value));
    if (valid && in[i] < 0) wide.Negate();
    wide.ToBytes(out + i * 16);
  }
  return Finish(array, std::move(output), to);
}

arrow::Result<std::shared_ptr<arrow::Array>> DecimalToDouble(const arrow::Array& array) {
  const auto& decimals = static_cast<const arrow::Decimal128Array&>(array);
  const int scale = static_cast<const arrow::Decimal128Type&>(*array.type()).scale();
  ARROW_ASSIGN_OR_RAISE(Output output, AllocateLike(array, sizeof(double)));
  auto* out = reinterpret_cast<double*>(output.values->mutable_data());
  for (int64_t i = 0; i < array.length(); ++i) {
    out[i] = 0;
    if (array.IsNull(i)) continue;
    arrow::Decimal128 value(decimals.GetValue(i));
    const bool negative = value.Sign() < 0;
    value.Abs();
    Wide rest = Wide{static_cast<uint64_t>(value.high_bits())} << 64 | value.low_bits();
    int twos = 0;
    for (int s = 0; s < scale; ++s) {
      if (rest % 5 != 0) return DoesNotFit(*arrow::float64());
      rest /= 5;
      --twos;
    }
    for (int s = scale; s < 0; ++s) {
      if (!Multiply(&rest, 10)) return DoesNotFit(*arrow::float64());
    }
    while (rest != 0 && (rest & 1) == 0) {
      rest >>= 1;
      ++twos;
    }
    if (rest >> 53 != 0) return DoesNotFit(*arrow::float64());
    out[i] = std::ldexp(static_cast<double>(rest), twos) * (negative ? -1 : 1);
  }
  return Finish(array, std::move(output), arrow::float64());
}

}  // namespace arrowport::schema::internal
