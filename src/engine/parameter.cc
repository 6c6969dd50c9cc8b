#include "engine/parameter.h"

#include <arrow/array.h>
#include <arrow/util/decimal.h>
#include <arrow/util/float16.h>

#include <duckdb.hpp>
#include <limits>

#include "base/error.h"
#include "engine/error.h"

namespace arrowport::engine {
namespace {

using arrow::internal::checked_cast;
using duckdb::LogicalType;
using duckdb::Value;

constexpr int kNestingMax = 64;

arrow::Status OutOfRange(const arrow::DataType& type) {
  return Error(ErrorCode::kInvalidArgument,
               "a parameter is outside what DuckDB holds: type ", type.ToString());
}

arrow::Result<LogicalType> DuckType(const arrow::DataType& type, int depth);

arrow::Result<duckdb::child_list_t<LogicalType>> DuckFields(
    const arrow::FieldVector& fields, int depth) {
  duckdb::child_list_t<LogicalType> children;
  for (const auto& field : fields) {
    ARROW_ASSIGN_OR_RAISE(LogicalType child, DuckType(*field->type(), depth + 1));
    children.emplace_back(field->name(), std::move(child));
  }
  return children;
}

LogicalType DuckTimestamp(const arrow::TimestampType& type) {
  if (!type.timezone().empty()) return LogicalType::TIMESTAMP_TZ;
  switch (type.unit()) {
    case arrow::TimeUnit::SECOND:
      return LogicalType::TIMESTAMP_S;
    case arrow::TimeUnit::MILLI:
      return LogicalType::TIMESTAMP_MS;
    case arrow::TimeUnit::NANO:
      return LogicalType::TIMESTAMP_NS;
    default:
      return LogicalType::TIMESTAMP;
  }
}

arrow::Result<LogicalType> DuckDecimal(const arrow::DecimalType& type) {
  if (type.precision() > 38 || type.scale() < 0 || type.scale() > type.precision()) {
    return Error(ErrorCode::kUnsupportedType, "a parameter cannot have the type ",
                 type.ToString());
  }
  return LogicalType::DECIMAL(static_cast<uint8_t>(type.precision()),
                              static_cast<uint8_t>(type.scale()));
}

arrow::Result<LogicalType> DuckNestedType(const arrow::DataType& type, int depth) {
  if (depth > kNestingMax) {
    return Error(ErrorCode::kUnsupportedType, "a parameter is nested too deeply");
  }
  switch (type.id()) {
    case arrow::Type::LIST:
    case arrow::Type::LARGE_LIST:
    case arrow::Type::LIST_VIEW:
    case arrow::Type::LARGE_LIST_VIEW:
    case arrow::Type::FIXED_SIZE_LIST: {
      ARROW_ASSIGN_OR_RAISE(LogicalType child,
                            DuckType(*type.field(0)->type(), depth + 1));
      return LogicalType::LIST(std::move(child));
    }
    case arrow::Type::MAP: {
      const auto& map = checked_cast<const arrow::MapType&>(type);
      ARROW_ASSIGN_OR_RAISE(LogicalType key, DuckType(*map.key_type(), depth + 1));
      ARROW_ASSIGN_OR_RAISE(LogicalType item, DuckType(*map.item_type(), depth + 1));
      return LogicalType::MAP(std::move(key), std::move(item));
    }
    case arrow::Type::STRUCT: {
      ARROW_ASSIGN_OR_RAISE(auto children, DuckFields(type.fields(), depth));
      if (!children.empty()) return LogicalType::STRUCT(std::move(children));
      break;
    }
    default:
      break;
  }
  return Error(ErrorCode::kUnsupportedType, "a parameter cannot have the type ",
               type.ToString());
}

arrow::Result<LogicalType> DuckType(const arrow::DataType& type, int depth) {
  switch (type.id()) {
    case arrow::Type::NA:
      return LogicalType::SQLNULL;
    case arrow::Type::BOOL:
      return LogicalType::BOOLEAN;
    case arrow::Type::INT8:
      return LogicalType::TINYINT;
    case arrow::Type::INT16:
      return LogicalType::SMALLINT;
    case arrow::Type::INT32:
      return LogicalType::INTEGER;
    case arrow::Type::INT64:
      return LogicalType::BIGINT;
    case arrow::Type::UINT8:
      return LogicalType::UTINYINT;
    case arrow::Type::UINT16:
      return LogicalType::USMALLINT;
    case arrow::Type::UINT32:
      return LogicalType::UINTEGER;
    case arrow::Type::UINT64:
      return LogicalType::UBIGINT;
    case arrow::Type::HALF_FLOAT:
    case arrow::Type::FLOAT:
      return LogicalType::FLOAT;
    case arrow::Type::DOUBLE:
      return LogicalType::DOUBLE;
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::STRING_VIEW:
      return LogicalType::VARCHAR;
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_BINARY:
    case arrow::Type::BINARY_VIEW:
    case arrow::Type::FIXED_SIZE_BINARY:
      return LogicalType::BLOB;
    case arrow::Type::DATE32:
    case arrow::Type::DATE64:
      return LogicalType::DATE;
    case arrow::Type::TIME32:
      return LogicalType::TIME;
    case arrow::Type::TIME64:
      return checked_cast<const arrow::Time64Type&>(type).unit() == arrow::TimeUnit::NANO
                 ? LogicalType::TIME_NS
                 : LogicalType::TIME;
    case arrow::Type::TIMESTAMP:
      return DuckTimestamp(checked_cast<const arrow::TimestampType&>(type));
    case arrow::Type::DURATION:
    case arrow::Type::INTERVAL_MONTHS:
    case arrow::Type::INTERVAL_DAY_TIME:
    case arrow::Type::INTERVAL_MONTH_DAY_NANO:
      return LogicalType::INTERVAL;
    case arrow::Type::DECIMAL32:
    case arrow::Type::DECIMAL64:
    case arrow::Type::DECIMAL128:
    case arrow::Type::DECIMAL256:
      return DuckDecimal(checked_cast<const arrow::DecimalType&>(type));
    case arrow::Type::DICTIONARY:
      return DuckType(*checked_cast<const arrow::DictionaryType&>(type).value_type(),
                      depth + 1);
    case arrow::Type::EXTENSION:
      return DuckType(*checked_cast<const arrow::ExtensionType&>(type).storage_type(),
                      depth + 1);
    default:
      return DuckNestedType(type, depth);
  }
}

// `value` units of `from_per_second` a second in units of `to_per_second`, exactly.
arrow::Result<int64_t> Rescale(int64_t value, int64_t from_per_second,
                               int64_t to_per_second, const arrow::DataType& type) {
  if (from_per_second > to_per_second) {
    const int64_t divisor = from_per_second / to_per_second;
    if (value % divisor != 0) return OutOfRange(type);
    return value / divisor;
  }
  int64_t scaled = 0;
  if (__builtin_mul_overflow(value, to_per_second / from_per_second, &scaled)) {
    return OutOfRange(type);
  }
  return scaled;
}

int64_t PerSecond(arrow::TimeUnit::type unit) {
  switch (unit) {
    case arrow::TimeUnit::SECOND:
      return 1;
    case arrow::TimeUnit::MILLI:
      return 1000;
    case arrow::TimeUnit::MICRO:
      return 1000000;
    default:
      return 1000000000;
  }
}

constexpr int64_t kMicros = 1000000;

arrow::Result<Value> TimestampValue(const arrow::TimestampScalar& scalar) {
  const auto& type = checked_cast<const arrow::TimestampType&>(*scalar.type);
  if (!type.timezone().empty()) {
    ARROW_ASSIGN_OR_RAISE(int64_t micros,
                          Rescale(scalar.value, PerSecond(type.unit()), kMicros, type));
    return Value::TIMESTAMPTZ(duckdb::timestamp_tz_t(micros));
  }
  switch (type.unit()) {
    case arrow::TimeUnit::SECOND:
      return Value::TIMESTAMPSEC(duckdb::timestamp_sec_t(scalar.value));
    case arrow::TimeUnit::MILLI:
      return Value::TIMESTAMPMS(duckdb::timestamp_ms_t(scalar.value));
    case arrow::TimeUnit::NANO:
      return Value::TIMESTAMPNS(duckdb::timestamp_ns_t(scalar.value));
    default:
      return Value::TIMESTAMP(duckdb::timestamp_t(scalar.value));
  }
}

arrow::Result<Value> TimeValue(int64_t value, arrow::TimeUnit::type unit,
                               const arrow::DataType& type) {
  const int64_t per_second = PerSecond(unit);
  if (value < 0 || value > int64_t{86400} * per_second) return OutOfRange(type);
  if (unit == arrow::TimeUnit::NANO) return Value::TIME_NS(duckdb::dtime_ns_t(value));
  return Value::TIME(duckdb::dtime_t(value * (kMicros / per_second)));
}

arrow::Result<Value> IntervalValue(const arrow::Scalar& scalar) {
  switch (scalar.type->id()) {
    case arrow::Type::DURATION: {
      const auto unit = checked_cast<const arrow::DurationType&>(*scalar.type).unit();
      ARROW_ASSIGN_OR_RAISE(
          int64_t micros,
          Rescale(checked_cast<const arrow::DurationScalar&>(scalar).value,
                  PerSecond(unit), kMicros, *scalar.type));
      return Value::INTERVAL(0, 0, micros);
    }
    case arrow::Type::INTERVAL_MONTHS:
      return Value::INTERVAL(
          checked_cast<const arrow::MonthIntervalScalar&>(scalar).value, 0, 0);
    case arrow::Type::INTERVAL_DAY_TIME: {
      const auto value = checked_cast<const arrow::DayTimeIntervalScalar&>(scalar).value;
      return Value::INTERVAL(0, value.days, int64_t{value.milliseconds} * 1000);
    }
    default: {
      const auto value =
          checked_cast<const arrow::MonthDayNanoIntervalScalar&>(scalar).value;
      if (value.nanoseconds % 1000 != 0) return OutOfRange(*scalar.type);
      return Value::INTERVAL(value.months, value.days, value.nanoseconds / 1000);
    }
  }
}

Value DecimalValue(const arrow::Decimal128& value, const LogicalType& type) {
  const uint8_t width = duckdb::DecimalType::GetWidth(type);
  const uint8_t scale = duckdb::DecimalType::GetScale(type);
  const auto low = static_cast<int64_t>(value.low_bits());
  if (width <= 4) return Value::DECIMAL(static_cast<int16_t>(low), width, scale);
  if (width <= 9) return Value::DECIMAL(static_cast<int32_t>(low), width, scale);
  if (width <= 18) return Value::DECIMAL(low, width, scale);
  duckdb::hugeint_t wide(value.high_bits(), value.low_bits());
  return Value::DECIMAL(wide, width, scale);
}

arrow::Result<Value> ToDecimal(const arrow::Scalar& scalar, const LogicalType& type) {
  arrow::Decimal128 value;
  switch (scalar.type->id()) {
    case arrow::Type::DECIMAL32:
      value = arrow::Decimal128(
          int64_t{checked_cast<const arrow::Decimal32Scalar&>(scalar).value.value()});
      break;
    case arrow::Type::DECIMAL64:
      value = arrow::Decimal128(
          checked_cast<const arrow::Decimal64Scalar&>(scalar).value.value());
      break;
    case arrow::Type::DECIMAL256: {
      const auto& wide = checked_cast<const arrow::Decimal256Scalar&>(scalar).value;
      if (!wide.FitsInPrecision(38)) return OutOfRange(*scalar.type);
      const auto& words = wide.little_endian_array();
      value = arrow::Decimal128(static_cast<int64_t>(words[1]), words[0]);
      break;
    }
    default:
      value = checked_cast<const arrow::Decimal128Scalar&>(scalar).value;
  }
  if (!value.FitsInPrecision(duckdb::DecimalType::GetWidth(type))) {
    return OutOfRange(*scalar.type);
  }
  return DecimalValue(value, type);
}

arrow::Result<Value> Convert(const arrow::Scalar& scalar, int depth);

arrow::Result<duckdb::vector<Value>> ConvertAll(const arrow::Array& array, int depth) {
  duckdb::vector<Value> values;
  values.reserve(array.length());
  for (int64_t i = 0; i < array.length(); ++i) {
    ARROW_ASSIGN_OR_RAISE(auto item, array.GetScalar(i));
    ARROW_ASSIGN_OR_RAISE(Value value, Convert(*item, depth + 1));
    values.push_back(std::move(value));
  }
  return values;
}

arrow::Result<Value> ConvertNested(const arrow::Scalar& scalar, const LogicalType& type,
                                   int depth) {
  switch (scalar.type->id()) {
    case arrow::Type::STRUCT: {
      const auto& fields = checked_cast<const arrow::StructScalar&>(scalar).value;
      duckdb::vector<Value> values;
      for (const auto& field : fields) {
        ARROW_ASSIGN_OR_RAISE(Value value, Convert(*field, depth + 1));
        values.push_back(std::move(value));
      }
      return Value::STRUCT(type, std::move(values));
    }
    case arrow::Type::MAP: {
      const auto& entries = checked_cast<const arrow::StructArray&>(
          *checked_cast<const arrow::MapScalar&>(scalar).value);
      ARROW_ASSIGN_OR_RAISE(auto keys, ConvertAll(*entries.field(0), depth));
      ARROW_ASSIGN_OR_RAISE(auto items, ConvertAll(*entries.field(1), depth));
      return Value::MAP(duckdb::MapType::KeyType(type), duckdb::MapType::ValueType(type),
                        std::move(keys), std::move(items));
    }
    default: {
      const auto& list = checked_cast<const arrow::BaseListScalar&>(scalar);
      ARROW_ASSIGN_OR_RAISE(auto values, ConvertAll(*list.value, depth));
      return Value::LIST(duckdb::ListType::GetChildType(type), std::move(values));
    }
  }
}

template <typename Type>
typename arrow::TypeTraits<Type>::ScalarType::ValueType ValueOf(
    const arrow::Scalar& scalar) {
  return checked_cast<const typename arrow::TypeTraits<Type>::ScalarType&>(scalar).value;
}

Value BlobValue(const arrow::BaseBinaryScalar& scalar) {
  return Value::BLOB(scalar.value->data(),
                     static_cast<duckdb::idx_t>(scalar.value->size()));
}

arrow::Result<Value> ConvertTemporal(const arrow::Scalar& scalar) {
  const arrow::DataType& type = *scalar.type;
  switch (type.id()) {
    case arrow::Type::DATE32:
      return Value::DATE(duckdb::date_t(ValueOf<arrow::Date32Type>(scalar)));
    case arrow::Type::DATE64: {
      constexpr int64_t kDay = 86400000;
      const int64_t milliseconds = ValueOf<arrow::Date64Type>(scalar);
      const int64_t days = milliseconds / kDay;
      if (milliseconds % kDay != 0 || days != static_cast<int32_t>(days)) {
        return OutOfRange(type);
      }
      return Value::DATE(duckdb::date_t(static_cast<int32_t>(days)));
    }
    case arrow::Type::TIME32:
      return TimeValue(ValueOf<arrow::Time32Type>(scalar),
                       checked_cast<const arrow::Time32Type&>(type).unit(), type);
    case arrow::Type::TIME64:
      return TimeValue(ValueOf<arrow::Time64Type>(scalar),
                       checked_cast<const arrow::Time64Type&>(type).unit(), type);
    default:
      return TimestampValue(checked_cast<const arrow::TimestampScalar&>(scalar));
  }
}

arrow::Result<Value> Convert(const arrow::Scalar& scalar, int depth) {
  const arrow::DataType& type = *scalar.type;
  ARROW_ASSIGN_OR_RAISE(LogicalType duck_type, DuckType(type, depth));
  if (!scalar.is_valid) return Value(duck_type);
  switch (type.id()) {
    case arrow::Type::BOOL:
      return Value::BOOLEAN(ValueOf<arrow::BooleanType>(scalar));
    case arrow::Type::INT8:
      return Value::TINYINT(ValueOf<arrow::Int8Type>(scalar));
    case arrow::Type::INT16:
      return Value::SMALLINT(ValueOf<arrow::Int16Type>(scalar));
    case arrow::Type::INT32:
      return Value::INTEGER(ValueOf<arrow::Int32Type>(scalar));
    case arrow::Type::INT64:
      return Value::BIGINT(ValueOf<arrow::Int64Type>(scalar));
    case arrow::Type::UINT8:
      return Value::UTINYINT(ValueOf<arrow::UInt8Type>(scalar));
    case arrow::Type::UINT16:
      return Value::USMALLINT(ValueOf<arrow::UInt16Type>(scalar));
    case arrow::Type::UINT32:
      return Value::UINTEGER(ValueOf<arrow::UInt32Type>(scalar));
    case arrow::Type::UINT64:
      return Value::UBIGINT(ValueOf<arrow::UInt64Type>(scalar));
    case arrow::Type::HALF_FLOAT:
      return Value::FLOAT(
          arrow::util::Float16::FromBits(ValueOf<arrow::HalfFloatType>(scalar)).ToFloat());
    case arrow::Type::FLOAT:
      return Value::FLOAT(ValueOf<arrow::FloatType>(scalar));
    case arrow::Type::DOUBLE:
      return Value::DOUBLE(ValueOf<arrow::DoubleType>(scalar));
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::STRING_VIEW:
      // DuckDB throws on text that is not UTF-8.
      return Value(
          checked_cast<const arrow::BaseBinaryScalar&>(scalar).value->ToString());
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_BINARY:
    case arrow::Type::BINARY_VIEW:
    case arrow::Type::FIXED_SIZE_BINARY:
      return BlobValue(checked_cast<const arrow::BaseBinaryScalar&>(scalar));
    case arrow::Type::DATE32:
    case arrow::Type::DATE64:
    case arrow::Type::TIME32:
    case arrow::Type::TIME64:
    case arrow::Type::TIMESTAMP:
      return ConvertTemporal(scalar);
    case arrow::Type::DURATION:
    case arrow::Type::INTERVAL_MONTHS:
    case arrow::Type::INTERVAL_DAY_TIME:
    case arrow::Type::INTERVAL_MONTH_DAY_NANO:
      return IntervalValue(scalar);
    case arrow::Type::DECIMAL32:
    case arrow::Type::DECIMAL64:
    case arrow::Type::DECIMAL128:
    case arrow::Type::DECIMAL256:
      return ToDecimal(scalar, duck_type);
    case arrow::Type::DICTIONARY: {
      ARROW_ASSIGN_OR_RAISE(
          auto value,
          checked_cast<const arrow::DictionaryScalar&>(scalar).GetEncodedValue());
      return Convert(*value, depth + 1);
    }
    case arrow::Type::EXTENSION:
      return Convert(*checked_cast<const arrow::ExtensionScalar&>(scalar).value,
                     depth + 1);
    default:
      return ConvertNested(scalar, duck_type, depth);
  }
}

}  // namespace

arrow::Result<Value> ToDuckValue(const arrow::Scalar& scalar) {
  return Catching([&] { return Convert(scalar, 0); });
}

}  // namespace arrowport::engine
