// The statistics of a data file as its `add` action carries them: row count, null counts
// and bounds of the leading leaf columns, as JSON text. Source: Delta protocol, "Per-file
// Statistics". A bound that is in doubt is left out: a missing bound costs a reader time, a
// wrong one costs rows.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "delta/actions.h"
#include "delta/schema.h"

namespace parquet {
class FileMetaData;
}

namespace arrowport::delta {

/// Which columns of a table get statistics, and where they stand in its data files.
/// Immutable.
class StatisticsPlan {
 public:
  /// `configuration`: delta.dataSkippingStatsColumns (names, dotted below structs, back
  /// quotes around a name with a dot), else delta.dataSkippingNumIndexedCols (32; -1 all).
  /// A value of these that cannot be read counts as the default. `file_schema` is
  /// DataFileSchema of the same table.
  static std::shared_ptr<const StatisticsPlan> Make(
      const TableSchema& schema, NameStyle names,
      const std::vector<std::string>& partition_columns, const StringMap& configuration);

  struct Node {
    std::string name;  ///< physical
    TypeKind kind = TypeKind::kString;
    int scale = 0;               ///< kDecimal
    int first_leaf = 0;          ///< of the Parquet schema
    int leaves = 1;              ///< below this node
    bool indexed = false;        ///< this leaf, or one below this struct
    std::vector<Node> children;  ///< of a struct
  };
  const std::vector<Node>& columns() const { return columns_; }
  int leaf_count() const { return leaf_count_; }

 private:
  std::vector<Node> columns_;
  int leaf_count_ = 0;
};

/// Gathers what the footer does not tell while row groups are written. Caller-locked.
class StatisticsCollector {
 public:
  explicit StatisticsCollector(std::shared_ptr<const StatisticsPlan> plan);

  /// Looks for NaN in floating-point columns and counts the nulls of arrays and maps.
  /// `batch` has the file's columns.
  void Observe(const arrow::RecordBatch& batch);

  /// The JSON text, from the footer of the closed file and what was observed.
  std::string ToJson(const parquet::FileMetaData& footer) const;

 private:
  std::shared_ptr<const StatisticsPlan> plan_;
  std::vector<bool> has_nan_;          ///< by leaf
  std::vector<int64_t> array_nulls_;   ///< by column of the file; -1: not an array or map
};

/// A lower bound of all texts with this beginning, at most 32 code points of `value`.
/// Nothing when `value` is not UTF-8.
std::optional<std::string> TruncateMinimum(std::string_view value);
/// An upper bound of `value`: itself when short, else a prefix and a tie-breaker above the
/// rest. Nothing when none is found within 64 code points, or `value` is not UTF-8.
std::optional<std::string> TruncateMaximum(std::string_view value);

/// "2024-01-31T23:59:59.123" for microseconds since 1970 rounded down or up to
/// milliseconds; nothing outside the years 1 to 9999.
enum class Rounding { kDown, kUp };
std::optional<std::string> TimestampBoundText(int64_t micros, Rounding rounding);
/// "2024-01-31" for days since 1970; nothing outside the years 1 to 9999.
std::optional<std::string> DateText(int32_t days);

}  // namespace arrowport::delta
