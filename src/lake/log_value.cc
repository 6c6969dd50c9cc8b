#include "lake/log_value.h"

#include <arrow/scalar.h>

#include <charconv>
#include <cmath>
#include <duckdb/common/types/date.hpp>
#include <duckdb/common/types/timestamp.hpp>
#include <limits>

#include "base/error.h"
#include "delta/partition_value.h"
#include "lake/column_type.h"

namespace arrowport::lake {
namespace {

using delta::DataType;
using delta::TypeKind;
using duckdb::LogicalType;
using duckdb::Value;

constexpr int64_t kMillisecond = 1000;  // in micros

template <typename Int>
std::optional<Int> WholeNumber(std::string_view text) {
  Int value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Value> Cast(std::string_view text, const LogicalType& type) {
  Value value{std::string(text)};
  if (!value.DefaultTryCastAs(type, /*strict=*/true) || value.IsNull()) {
    return std::nullopt;
  }
  return value;
}

std::optional<Value> Whole(std::string_view text, const DataType& type) {
  switch (type.kind) {
    case TypeKind::kLong:
      if (auto value = WholeNumber<int64_t>(text)) return Value::BIGINT(*value);
      break;
    case TypeKind::kInteger:
      if (auto value = WholeNumber<int32_t>(text)) return Value::INTEGER(*value);
      break;
    case TypeKind::kShort:
      if (auto value = WholeNumber<int16_t>(text)) return Value::SMALLINT(*value);
      break;
    case TypeKind::kByte:
      if (auto value = WholeNumber<int8_t>(text)) return Value::TINYINT(*value);
      break;
    default:
      break;
  }
  return std::nullopt;
}

// A cast rounds digits beyond the scale away, which is wrong for a bound and for a value.
bool FitsScale(std::string_view text, int scale) {
  if (text.find_first_of("eE") != std::string_view::npos) return false;
  const size_t point = text.find('.');
  if (point == std::string_view::npos) return true;
  size_t last = text.find_last_not_of('0');
  return last <= point + static_cast<size_t>(scale);
}

template <typename ArrowType>
auto ScalarValue(const arrow::Scalar& scalar) {
  using ScalarType = typename arrow::TypeTraits<ArrowType>::ScalarType;
  return static_cast<const ScalarType&>(scalar).value;
}

duckdb::hugeint_t HugeInt(const arrow::Decimal128& value) {
  duckdb::hugeint_t result;
  result.upper = value.high_bits();
  result.lower = value.low_bits();
  return result;
}

Value FromScalar(const arrow::Scalar& scalar, const DataType& type) {
  switch (type.kind) {
    case TypeKind::kLong:
      return Value::BIGINT(ScalarValue<arrow::Int64Type>(scalar));
    case TypeKind::kInteger:
      return Value::INTEGER(ScalarValue<arrow::Int32Type>(scalar));
    case TypeKind::kShort:
      return Value::SMALLINT(ScalarValue<arrow::Int16Type>(scalar));
    case TypeKind::kByte:
      return Value::TINYINT(ScalarValue<arrow::Int8Type>(scalar));
    case TypeKind::kFloat:
      return Value::FLOAT(ScalarValue<arrow::FloatType>(scalar));
    case TypeKind::kDouble:
      return Value::DOUBLE(ScalarValue<arrow::DoubleType>(scalar));
    case TypeKind::kBoolean:
      return Value::BOOLEAN(ScalarValue<arrow::BooleanType>(scalar));
    case TypeKind::kDate:
      return Value::DATE(duckdb::date_t(ScalarValue<arrow::Date32Type>(scalar)));
    case TypeKind::kTimestamp:
      return Value::TIMESTAMPTZ(
          duckdb::timestamp_tz_t(ScalarValue<arrow::TimestampType>(scalar)));
    case TypeKind::kTimestampNtz:
      return Value::TIMESTAMP(
          duckdb::timestamp_t(ScalarValue<arrow::TimestampType>(scalar)));
    case TypeKind::kDecimal:
      return Value::DECIMAL(HugeInt(ScalarValue<arrow::Decimal128Type>(scalar)),
                            static_cast<uint8_t>(type.precision),
                            static_cast<uint8_t>(type.scale));
    default: {  // string and binary
      const auto& bytes =
          *static_cast<const arrow::BaseBinaryScalar&>(scalar).value;
      if (type.kind == TypeKind::kString) return Value(bytes.ToString());
      return Value::BLOB(bytes.data(), bytes.size());
    }
  }
}

// A float's shortest digits may lie above the float, and a column may have been one before
// it was widened to double.
std::optional<Value> DoubleMin(std::string_view text) {
  auto value = Cast(text, LogicalType::DOUBLE);
  if (!value) return std::nullopt;
  const double min = value->GetValue<double>();
  if (!std::isfinite(min)) return std::nullopt;
  return Value::DOUBLE(min - std::abs(min) * std::numeric_limits<float>::epsilon());
}

std::optional<Value> TimeBound(std::string_view text, TypeKind kind, Bound bound) {
  auto micros = delta::ParseTimestampText(text);
  if (!micros) return std::nullopt;
  int64_t widened = 0;
  if (__builtin_add_overflow(*micros,
                             bound == Bound::kMin ? -kMillisecond : kMillisecond,
                             &widened)) {
    return std::nullopt;
  }
  // The ends of the range stand for infinity.
  if (!duckdb::Timestamp::IsFinite(duckdb::timestamp_t(widened))) return std::nullopt;
  if (kind == TypeKind::kTimestamp) {
    return Value::TIMESTAMPTZ(duckdb::timestamp_tz_t(widened));
  }
  return Value::TIMESTAMP(duckdb::timestamp_t(widened));
}

std::optional<Value> DateBound(std::string_view text) {
  auto days = delta::ParseDateText(text);
  if (!days || *days <= std::numeric_limits<int32_t>::min() + 1 ||
      *days >= std::numeric_limits<int32_t>::max()) {
    return std::nullopt;
  }
  return Value::DATE(duckdb::date_t(static_cast<int32_t>(*days)));
}

}  // namespace

arrow::Result<Value> PartitionValue(const std::optional<std::string>& text,
                                    const DataType& type) {
  ARROW_ASSIGN_OR_RAISE(LogicalType logical, LogicalTypeOf(type));
  if (logical.IsNested()) {
    return Error(ErrorCode::kUnsupportedType,
                 "a partition column cannot be nested: ", type.ToString());
  }
  ARROW_ASSIGN_OR_RAISE(auto scalar, delta::ParsePartitionValue(text, type));
  if (!scalar->is_valid) return Value(logical);
  // DuckDB takes decimals of up to 18 digits as plain integers.
  Value value = FromScalar(*scalar, type);
  if (value.type() != logical && !value.DefaultTryCastAs(logical, /*strict=*/true)) {
    return Error(ErrorCode::kStorageCorrupt, "a partition value of the log is no ",
                 type.ToString(), ": ", text.value_or(""));
  }
  return value;
}

std::optional<Value> StatisticBound(std::string_view text, bool is_string,
                                    const DataType& type, Bound bound) {
  switch (type.kind) {
    case TypeKind::kLong:
    case TypeKind::kInteger:
    case TypeKind::kShort:
    case TypeKind::kByte:
      return is_string ? std::nullopt : Whole(text, type);
    case TypeKind::kFloat:
      if (bound == Bound::kMax) return std::nullopt;
      return Cast(text, LogicalType::FLOAT);
    case TypeKind::kDouble:
      if (bound == Bound::kMax) return std::nullopt;
      return DoubleMin(text);
    case TypeKind::kDecimal:
      if (!FitsScale(text, type.scale)) return std::nullopt;
      return Cast(text, LogicalType::DECIMAL(static_cast<uint8_t>(type.precision),
                                             static_cast<uint8_t>(type.scale)));
    case TypeKind::kString:
      if (!is_string || !Value::StringIsValid(text.data(), text.size())) {
        return std::nullopt;
      }
      return Value(std::string(text));
    case TypeKind::kDate:
      return is_string ? DateBound(text) : std::nullopt;
    case TypeKind::kTimestamp:
    case TypeKind::kTimestampNtz:
      return is_string ? TimeBound(text, type.kind, bound) : std::nullopt;
    default:
      return std::nullopt;
  }
}

}  // namespace arrowport::lake
