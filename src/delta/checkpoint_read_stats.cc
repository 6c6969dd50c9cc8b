#include "delta/checkpoint_read_stats.h"

#include <arrow/type.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <optional>

#include "delta/json_text.h"

namespace arrowport::delta {
namespace {

constexpr int kDepthMax = 64;
constexpr int64_t kMicrosPerSecond = 1000000;

int64_t FloorDivide(int64_t value, int64_t by) {
  const int64_t quotient = value / by;
  return quotient * by > value ? quotient - 1 : quotient;
}

/// "2024-01-31"; nothing outside the years 1 to 9999, which the text cannot hold.
std::optional<std::string> DateText(int64_t days) {
  constexpr int64_t kFirst = -719162, kLast = 2932896;
  if (days < kFirst || days > kLast) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{days}}};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

std::optional<std::string> TimestampText(int64_t value, const arrow::TimestampType& type) {
  int64_t micros = value;
  switch (type.unit()) {
    case arrow::TimeUnit::SECOND: return std::nullopt;
    case arrow::TimeUnit::MILLI:
      if (__builtin_mul_overflow(value, 1000, &micros)) return std::nullopt;
      break;
    case arrow::TimeUnit::MICRO: break;
    case arrow::TimeUnit::NANO: micros = FloorDivide(value, 1000); break;
  }
  const int64_t seconds = FloorDivide(micros, kMicrosPerSecond);
  const int64_t day = FloorDivide(seconds, 86400);
  const auto date = DateText(day);
  if (!date) return std::nullopt;
  const int64_t of_day = seconds - day * 86400;
  return fmt::format("{}T{:02}:{:02}:{:02}.{:06}{}", *date, of_day / 3600,
                     of_day / 60 % 60, of_day % 60, micros - seconds * kMicrosPerSecond,
                     type.timezone().empty() ? "" : "Z");
}

/// The JSON text of a value; nothing when it has none.
std::optional<std::string> ValueText(const arrow::Array& array, int64_t row, int depth);

template <typename ArrayType>
std::string NumberText(const arrow::Array& array, int64_t row) {
  return fmt::format("{}", static_cast<const ArrayType&>(array).Value(row));
}

template <typename ArrayType>
std::optional<std::string> FloatText(const arrow::Array& array, int64_t row) {
  const auto value = static_cast<const ArrayType&>(array).Value(row);
  if (!std::isfinite(value)) return std::nullopt;
  return fmt::format("{}", value);
}

std::string Quoted(std::string_view text) {
  std::string out;
  AppendJsonString(text, &out);
  return out;
}

std::optional<std::string> StructText(const arrow::StructArray& array, int64_t row,
                                      int depth) {
  std::string out;
  JsonObject object(&out);
  bool any = false;
  for (int i = 0; i < array.num_fields(); ++i) {
    const auto child = array.field(i);
    const auto text = ValueText(*child, row, depth + 1);
    if (!text) continue;
    object.Raw(array.struct_type()->field(i)->name(), *text);
    any = true;
  }
  object.Close();
  return any ? std::optional(std::move(out)) : std::nullopt;
}

std::optional<std::string> ValueText(const arrow::Array& array, int64_t row, int depth) {
  if (depth > kDepthMax || array.IsNull(row)) return std::nullopt;
  switch (array.type_id()) {
    case arrow::Type::STRUCT:
      return StructText(static_cast<const arrow::StructArray&>(array), row, depth);
    case arrow::Type::BOOL:
      return static_cast<const arrow::BooleanArray&>(array).Value(row) ? "true" : "false";
    case arrow::Type::INT8: return NumberText<arrow::Int8Array>(array, row);
    case arrow::Type::INT16: return NumberText<arrow::Int16Array>(array, row);
    case arrow::Type::INT32: return NumberText<arrow::Int32Array>(array, row);
    case arrow::Type::INT64: return NumberText<arrow::Int64Array>(array, row);
    case arrow::Type::FLOAT: return FloatText<arrow::FloatArray>(array, row);
    case arrow::Type::DOUBLE: return FloatText<arrow::DoubleArray>(array, row);
    case arrow::Type::DECIMAL128:
      return static_cast<const arrow::Decimal128Array&>(array).FormatValue(row);
    case arrow::Type::STRING:
      return Quoted(static_cast<const arrow::StringArray&>(array).GetView(row));
    case arrow::Type::DATE32: {
      const auto text = DateText(static_cast<const arrow::Date32Array&>(array).Value(row));
      return text ? std::optional(Quoted(*text)) : std::nullopt;
    }
    case arrow::Type::TIMESTAMP: {
      const auto text =
          TimestampText(static_cast<const arrow::TimestampArray&>(array).Value(row),
                        static_cast<const arrow::TimestampType&>(*array.type()));
      return text ? std::optional(Quoted(*text)) : std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string StatsToJson(const arrow::StructArray& stats, int64_t row) {
  return StructText(stats, row, 0).value_or("");
}

}  // namespace arrowport::delta
