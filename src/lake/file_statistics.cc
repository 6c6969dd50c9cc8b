#include "lake/file_statistics.h"

#include <charconv>
#include <duckdb/storage/statistics/numeric_stats.hpp>
#include <duckdb/storage/statistics/string_stats.hpp>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "lake/log_value.h"

namespace arrowport::lake {
namespace {

constexpr std::string_view kRecords = "numRecords";
constexpr std::string_view kMinValues = "minValues";
constexpr std::string_view kMaxValues = "maxValues";
constexpr std::string_view kNullCount = "nullCount";

/// A scalar as the text had it: numbers keep their digits.
struct Scalar {
  std::string text;
  bool is_string = false;
};

/// Picks scalars out of the JSON by the path of their keys; builds no document.
class ScalarPicker : public nlohmann::json_sax<nlohmann::json> {
 public:
  /// `section` at the top, or `section` and the column below it.
  ScalarPicker(std::string_view column, bool records_only)
      : column_(column), records_only_(records_only) {}

  std::optional<Scalar> records, min, max, nulls;

  bool null() override { return Take({}, /*is_null=*/true); }
  bool boolean(bool) override { return Take({}, /*is_null=*/true); }
  bool number_integer(number_integer_t value) override {
    return Take({std::to_string(value), false});
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Take({std::to_string(value), false});
  }
  bool number_float(number_float_t, const string_t& digits) override {
    return Take({digits, false});
  }
  bool string(string_t& value) override { return Take({value, true}); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return ++depth_ > 0; }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    depth_ += kArrayDepth;  // what is inside has no path of ours
    return true;
  }
  bool end_array() override {
    depth_ -= kArrayDepth;
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ == 1) section_ = name;
    if (depth_ == 2) in_column_ = name == column_;
    return true;
  }
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  static constexpr int64_t kArrayDepth = 1000;

  bool Take(Scalar scalar, bool is_null = false) {
    if (is_null) return true;
    if (depth_ == 1 && section_ == kRecords) {
      records = std::move(scalar);
      return !records_only_;
    }
    if (depth_ != 2 || !in_column_) return true;
    if (section_ == kMinValues) min = std::move(scalar);
    else if (section_ == kMaxValues) max = std::move(scalar);
    else if (section_ == kNullCount) nulls = std::move(scalar);
    return true;
  }

  const std::string_view column_;
  const bool records_only_;
  int64_t depth_ = 0;
  std::string section_;
  bool in_column_ = false;
};

std::optional<int64_t> Count(const std::optional<Scalar>& scalar) {
  if (!scalar || scalar->is_string) return std::nullopt;
  int64_t count = 0;
  const std::string& text = scalar->text;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count < 0) {
    return std::nullopt;
  }
  return count;
}

bool Parse(std::string_view json, ScalarPicker* picker) {
  if (json.empty()) return false;
  // A picker that has what it wants stops the parser, which then reports false.
  return nlohmann::json::sax_parse(json.begin(), json.end(), picker);
}

bool HasNumericStatistics(const duckdb::LogicalType& type) {
  return duckdb::BaseStatistics::GetStatsType(type) ==
         duckdb::StatisticsType::NUMERIC_STATS;
}

void SetNulls(bool can_have_null, bool can_have_value, duckdb::BaseStatistics* stats) {
  stats->Set(can_have_null ? duckdb::StatsInfo::CAN_HAVE_NULL_VALUES
                           : duckdb::StatsInfo::CANNOT_HAVE_NULL_VALUES);
  stats->Set(can_have_value ? duckdb::StatsInfo::CAN_HAVE_VALID_VALUES
                            : duckdb::StatsInfo::CANNOT_HAVE_VALID_VALUES);
}

void SetBounds(const std::optional<duckdb::Value>& min,
               const std::optional<duckdb::Value>& max, duckdb::BaseStatistics* stats) {
  if (HasNumericStatistics(stats->GetType())) {
    if (min) duckdb::NumericStats::SetMin(*stats, *min);
    if (max) duckdb::NumericStats::SetMax(*stats, *max);
  } else if (stats->GetStatsType() == duckdb::StatisticsType::STRING_STATS) {
    if (min) {
      duckdb::StringStats::SetMin(*stats, duckdb::StringValue::Get(*min));
    }
    if (max) {
      duckdb::StringStats::SetMax(*stats, duckdb::StringValue::Get(*max));
    }
  }
}

}  // namespace

std::optional<int64_t> RecordCount(std::string_view stats_json) {
  ScalarPicker picker({}, /*records_only=*/true);
  Parse(stats_json, &picker);
  return Count(picker.records);
}

ColumnStatistics ReadColumnStatistics(std::string_view stats_json,
                                      std::string_view physical_name,
                                      const delta::DataType& type) {
  ColumnStatistics column;
  ScalarPicker picker(physical_name, /*records_only=*/false);
  if (!Parse(stats_json, &picker)) return column;
  column.null_count = Count(picker.nulls);
  if (picker.min) {
    column.min =
        StatisticBound(picker.min->text, picker.min->is_string, type, Bound::kMin);
  }
  if (picker.max) {
    column.max =
        StatisticBound(picker.max->text, picker.max->is_string, type, Bound::kMax);
  }
  return column;
}

duckdb::BaseStatistics ToDuckDb(const ColumnStatistics& column,
                                std::optional<int64_t> rows,
                                const duckdb::LogicalType& type) {
  auto stats = duckdb::BaseStatistics::CreateUnknown(type);
  const bool no_nulls = column.null_count && *column.null_count == 0;
  const bool all_null = column.null_count && rows && *column.null_count == *rows;
  SetNulls(!no_nulls, !all_null || *rows == 0, &stats);
  std::optional<duckdb::Value> max = column.max;
  // DuckDB prunes with both bounds only, and NaN is above every float.
  if (column.min && !max && type.id() == duckdb::LogicalTypeId::FLOAT) {
    max = duckdb::Value::FLOAT(std::numeric_limits<float>::quiet_NaN());
  } else if (column.min && !max && type.id() == duckdb::LogicalTypeId::DOUBLE) {
    max = duckdb::Value::DOUBLE(std::numeric_limits<double>::quiet_NaN());
  }
  SetBounds(column.min, max, &stats);
  return stats;
}

duckdb::BaseStatistics ConstantStatistics(const duckdb::Value& value) {
  auto stats = duckdb::BaseStatistics::CreateUnknown(value.type());
  SetNulls(value.IsNull(), !value.IsNull(), &stats);
  if (!value.IsNull()) SetBounds(value, value, &stats);
  return stats;
}

}  // namespace arrowport::lake
