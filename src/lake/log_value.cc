#include "lake/log_value.h"

#include <charconv>
#include <cmath>
#include <duckdb/common/types/timestamp.hpp>
#include <limits>

#include "base/error.h"
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

enum class Zone { kRequired, kUtcWhenMissing, kNone };

std::optional<int64_t> Micros(std::string_view text, Zone zone) {
  duckdb::timestamp_t parsed;
  duckdb::string_t zone_name;
  bool has_offset = false;
  const auto result = duckdb::Timestamp::TryConvertTimestampTZ(
      text.data(), text.size(), parsed, /*use_offset=*/true, has_offset, zone_name);
  if (result != duckdb::TimestampCastResult::SUCCESS || zone_name.GetSize() != 0 ||
      !duckdb::Timestamp::IsFinite(parsed)) {
    return std::nullopt;
  }
  if (zone == Zone::kRequired && !has_offset) return std::nullopt;
  if (zone == Zone::kNone && has_offset && text.back() != 'Z') return std::nullopt;
  return parsed.value;
}

std::optional<Value> Cast(std::string_view text, const LogicalType& type) {
  Value value{std::string(text)};
  if (!value.DefaultTryCastAs(type, /*strict=*/true)) return std::nullopt;
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

std::optional<Value> Time(std::string_view text, const DataType& type) {
  if (type.kind == TypeKind::kTimestamp) {
    auto micros = Micros(text, Zone::kUtcWhenMissing);
    if (!micros) return std::nullopt;
    return Value::TIMESTAMPTZ(duckdb::timestamp_tz_t(*micros));
  }
  auto micros = Micros(text, Zone::kNone);
  if (!micros) return std::nullopt;
  return Value::TIMESTAMP(duckdb::timestamp_t(*micros));
}

std::optional<Value> ParsePartition(const std::string& text, const DataType& type) {
  switch (type.kind) {
    case TypeKind::kString:
      return duckdb::Value::StringIsValid(text) ? std::optional<Value>(Value(text))
                                                : std::nullopt;
    case TypeKind::kLong:
    case TypeKind::kInteger:
    case TypeKind::kShort:
    case TypeKind::kByte:
      return Whole(text, type);
    case TypeKind::kFloat:
      return Cast(text, LogicalType::FLOAT);
    case TypeKind::kDouble:
      return Cast(text, LogicalType::DOUBLE);
    case TypeKind::kBoolean:
      if (text == "true") return Value::BOOLEAN(true);
      if (text == "false") return Value::BOOLEAN(false);
      return std::nullopt;
    case TypeKind::kBinary:
      return Value::BLOB(reinterpret_cast<duckdb::const_data_ptr_t>(text.data()),
                         text.size());
    case TypeKind::kDate:
      return Cast(text, LogicalType::DATE);
    case TypeKind::kTimestamp:
    case TypeKind::kTimestampNtz:
      return Time(text, type);
    case TypeKind::kDecimal:
      if (!FitsScale(text, type.scale)) return std::nullopt;
      return Cast(text, LogicalType::DECIMAL(static_cast<uint8_t>(type.precision),
                                             static_cast<uint8_t>(type.scale)));
    default:
      return std::nullopt;
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
  auto micros = Micros(text, kind == TypeKind::kTimestamp ? Zone::kRequired : Zone::kNone);
  if (!micros) return std::nullopt;
  const int64_t widened =
      bound == Bound::kMin ? *micros - kMillisecond : *micros + kMillisecond;
  // The ends of the range stand for infinity.
  if (!duckdb::Timestamp::IsFinite(duckdb::timestamp_t(widened))) return std::nullopt;
  if (kind == TypeKind::kTimestamp) {
    return Value::TIMESTAMPTZ(duckdb::timestamp_tz_t(widened));
  }
  return Value::TIMESTAMP(duckdb::timestamp_t(widened));
}

}  // namespace

arrow::Result<Value> PartitionValue(const std::optional<std::string>& text,
                                    const DataType& type) {
  ARROW_ASSIGN_OR_RAISE(LogicalType logical, LogicalTypeOf(type));
  if (logical.IsNested()) {
    return Error(ErrorCode::kUnsupportedType,
                 "a partition column cannot be nested: ", type.ToString());
  }
  if (!text || text->empty()) return Value(logical);
  if (auto value = ParsePartition(*text, type)) return *std::move(value);
  return Error(ErrorCode::kStorageCorrupt, "a partition value of the log is no ",
               type.ToString(), ": ", *text);
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
      return is_string ? Cast(text, LogicalType::DATE) : std::nullopt;
    case TypeKind::kTimestamp:
    case TypeKind::kTimestampNtz:
      return is_string ? TimeBound(text, type.kind, bound) : std::nullopt;
    default:
      return std::nullopt;
  }
}

}  // namespace arrowport::lake
