#include "lake/file_statistics.h"

#include <array>
#include <charconv>
#include <duckdb/storage/statistics/numeric_stats.hpp>
#include <duckdb/storage/statistics/string_stats.hpp>
#include <limits>
#include <string>

#include "delta/json_scalars.h"
#include "lake/log_value.h"

namespace arrowport::lake {
namespace {

constexpr std::string_view kMinValues = "minValues";
constexpr std::string_view kMaxValues = "maxValues";
constexpr std::string_view kNullCount = "nullCount";

std::optional<int64_t> Count(const std::optional<delta::JsonScalar>& scalar) {
  if (!scalar || scalar->is_string) return std::nullopt;
  int64_t count = 0;
  const std::string& text = scalar->text;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count < 0) {
    return std::nullopt;
  }
  return count;
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

ColumnStatistics ReadColumnStatistics(std::string_view stats_json,
                                      std::string_view physical_name,
                                      const delta::DataType& type) {
  ColumnStatistics column;
  if (physical_name.empty()) return column;
  using delta::JsonPick;
  std::array<JsonPick, 3> picks{JsonPick{kMinValues, physical_name, {}},
                                JsonPick{kMaxValues, physical_name, {}},
                                JsonPick{kNullCount, physical_name, {}}};
  if (!delta::PickScalars(stats_json, picks)) return column;
  const auto& [min, max, nulls] = picks;
  column.null_count = Count(nulls.found);
  if (min.found) {
    column.min = StatisticBound(min.found->text, min.found->is_string, type, Bound::kMin);
  }
  if (max.found) {
    column.max = StatisticBound(max.found->text, max.found->is_string, type, Bound::kMax);
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
