#include "delta/statistics.h"

#include <arrow/array.h>
#include <arrow/util/decimal.h>
#include <fmt/format.h>
#include <parquet/metadata.h>
#include <parquet/statistics.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstring>

#include "delta/code_point.h"
#include "delta/json_text.h"

namespace arrowport::delta {
namespace {

constexpr int kIndexedColumnsDefault = 32;
constexpr int kPrefixCodePoints = 32;
constexpr int kMaximumCodePointsMax = 64;
// 0001-01-01 and 9999-12-31 as days since 1970: what every reader's date parser takes.
constexpr int64_t kFirstDay = -719162;
constexpr int64_t kLastDay = 2932896;
constexpr int64_t kMillisPerDay = 86'400'000;

/// Of booleans too: Spark passes them over, but deltalake's dataset takes a column without
/// bounds for one without values.
bool HasBounds(TypeKind kind) {
  return kind != TypeKind::kBinary && kind != TypeKind::kArray && kind != TypeKind::kMap &&
         kind != TypeKind::kStruct;
}

int LeavesOf(const DataType& type) {
  switch (type.kind) {
    case TypeKind::kStruct: {
      int leaves = 0;
      for (const StructField& field : type.fields) leaves += LeavesOf(*field.type);
      return leaves;
    }
    case TypeKind::kArray:
      return LeavesOf(*type.element);
    case TypeKind::kMap:
      return LeavesOf(*type.key) + LeavesOf(*type.element);
    default:
      return 1;
  }
}

/// Names of delta.dataSkippingStatsColumns: "a,b.c,`d.e`"; nothing when malformed.
std::optional<std::vector<std::vector<std::string>>> ParseColumnList(
    std::string_view text) {
  std::vector<std::vector<std::string>> columns(1, {std::string()});
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    std::string& part = columns.back().back();
    if (c == '`') {
      if (quoted && i + 1 < text.size() && text[i + 1] == '`') {
        part.push_back(text[++i]);
      } else {
        quoted = !quoted;
      }
    } else if (quoted || (c != ',' && c != '.')) {
      if (quoted || c != ' ' || !part.empty()) part.push_back(c);
    } else if (c == '.') {
      columns.back().emplace_back();
    } else {
      columns.push_back({std::string()});
    }
  }
  if (quoted) return std::nullopt;
  for (auto& column : columns) {
    for (std::string& part : column) {
      while (part.ends_with(' ')) part.pop_back();
      if (part.empty()) return std::nullopt;
    }
  }
  return columns;
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

/// Decides leaf by leaf, in schema order, which ones are indexed.
struct Selection {
  std::optional<std::vector<std::vector<std::string>>> listed;
  int remaining = kIndexedColumnsDefault;  ///< -1: all

  static Selection From(const StringMap& configuration) {
    Selection selection;
    if (auto list = configuration.find("delta.dataSkippingStatsColumns");
        list != configuration.end()) {
      selection.listed = ParseColumnList(list->second);
    }
    if (auto count = configuration.find("delta.dataSkippingNumIndexedCols");
        count != configuration.end()) {
      int value = 0;
      const std::string& text = count->second;
      auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
      if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() &&
          value >= -1) {
        selection.remaining = value;
      }
    }
    return selection;
  }

  bool Take(const std::vector<std::string_view>& path) {
    if (listed) {
      return std::any_of(listed->begin(), listed->end(), [&](const auto& wanted) {
        return wanted.size() <= path.size() &&
               std::equal(wanted.begin(), wanted.end(), path.begin(), EqualsIgnoringCase);
      });
    }
    if (remaining < 0) return true;
    if (remaining == 0) return false;
    --remaining;
    return true;
  }
};

StatisticsPlan::Node MakeNode(const StructField& field, NameStyle names, int first_leaf,
                              std::vector<std::string_view>* path, Selection* selection) {
  StatisticsPlan::Node node;
  node.name = names == NameStyle::kPhysical ? field.physical_name() : field.name;
  node.kind = field.type->kind;
  node.scale = field.type->scale;
  node.first_leaf = first_leaf;
  node.leaves = LeavesOf(*field.type);
  path->push_back(field.name);
  if (node.kind == TypeKind::kStruct) {
    int leaf = first_leaf;
    for (const StructField& child : field.type->fields) {
      node.children.push_back(MakeNode(child, names, leaf, path, selection));
      leaf += node.children.back().leaves;
      node.indexed = node.indexed || node.children.back().indexed;
    }
  } else {
    node.indexed = selection->Take(*path);
  }
  path->pop_back();
  return node;
}

template <typename T>
T Load(std::string_view bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), std::min(sizeof(T), bytes.size()));
  return value;
}

/// Bounds of one leaf over all row groups, still as the footer encodes them.
struct LeafBounds {
  std::optional<int64_t> null_count;
  bool has_bounds = false;  ///< in every row group that has values
  std::vector<std::pair<std::string, std::string>> pairs;
  parquet::Type::type physical = parquet::Type::INT32;
};

LeafBounds GatherLeaf(const parquet::FileMetaData& footer, int leaf) {
  LeafBounds gathered;
  gathered.null_count = 0;
  gathered.has_bounds = true;
  gathered.physical = footer.schema()->Column(leaf)->physical_type();
  for (int group = 0; group < footer.num_row_groups(); ++group) {
    auto chunk = footer.RowGroup(group)->ColumnChunk(leaf);
    auto encoded = chunk->is_stats_set() ? chunk->encoded_statistics() : nullptr;
    if (encoded == nullptr || !encoded->has_null_count) {
      gathered.null_count.reset();
    } else if (gathered.null_count) {
      *gathered.null_count += encoded->null_count;
    }
    const bool no_values = encoded != nullptr && encoded->has_null_count &&
                           encoded->null_count == chunk->num_values();
    if (no_values) continue;
    const bool usable = encoded != nullptr && encoded->has_min && encoded->has_max &&
                        encoded->is_min_value_exact.value_or(true) &&
                        encoded->is_max_value_exact.value_or(true);
    if (!usable) {
      gathered.has_bounds = false;
    } else {
      gathered.pairs.emplace_back(encoded->min(), encoded->max());
    }
  }
  if (gathered.pairs.empty()) gathered.has_bounds = false;
  return gathered;
}

struct BoundTexts {
  std::optional<std::string> minimum, maximum;  ///< JSON values
};

std::string Quoted(std::string_view text) {
  std::string out;
  AppendJsonString(text, &out);
  return out;
}

std::optional<std::string> QuotedIf(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  return Quoted(*text);
}

std::pair<int64_t, int64_t> FoldIntegers(const LeafBounds& bounds) {
  std::pair<int64_t, int64_t> folded{INT64_MAX, INT64_MIN};
  for (const auto& [low, high] : bounds.pairs) {
    const bool wide = bounds.physical == parquet::Type::INT64;
    folded.first =
        std::min(folded.first, wide ? Load<int64_t>(low) : Load<int32_t>(low));
    folded.second =
        std::max(folded.second, wide ? Load<int64_t>(high) : Load<int32_t>(high));
  }
  return folded;
}

std::optional<std::string> DoubleText(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

BoundTexts FloatingBounds(const LeafBounds& bounds) {
  double low = INFINITY, high = -INFINITY;
  for (const auto& [first, second] : bounds.pairs) {
    // A float is printed as the double it equals, so that readers may parse it as either.
    const bool is_double = bounds.physical == parquet::Type::DOUBLE;
    const double a = is_double ? Load<double>(first) : Load<float>(first);
    const double b = is_double ? Load<double>(second) : Load<float>(second);
    if (std::isnan(a) || std::isnan(b)) return {};
    low = std::min(low, a);
    high = std::max(high, b);
  }
  // Readers differ in how they order the two zeros.
  if (low == 0) low = -0.0;
  if (high == 0) high = 0.0;
  return {DoubleText(low), DoubleText(high)};
}

BoundTexts BooleanBounds(const LeafBounds& bounds) {
  bool low = true, high = false;
  for (const auto& [first, second] : bounds.pairs) {
    low = low && Load<uint8_t>(first) != 0;
    high = high || Load<uint8_t>(second) != 0;
  }
  return {low ? "true" : "false", high ? "true" : "false"};
}

BoundTexts StringBounds(const LeafBounds& bounds) {
  std::string_view low = bounds.pairs.front().first, high = bounds.pairs.front().second;
  for (const auto& [first, second] : bounds.pairs) {
    low = std::min<std::string_view>(low, first);
    high = std::max<std::string_view>(high, second);
  }
  return {QuotedIf(TruncateMinimum(low)), QuotedIf(TruncateMaximum(high))};
}

std::string DecimalText(const arrow::Decimal128& value, int scale) {
  std::string digits = value.ToIntegerString();
  const bool negative = digits.starts_with('-');
  if (negative) digits.erase(0, 1);
  if (scale > 0) {
    const auto places = static_cast<size_t>(scale);
    if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
    digits.insert(digits.size() - places, 1, '.');
  }
  return negative ? "-" + digits : digits;
}

BoundTexts DecimalBounds(const LeafBounds& bounds, int scale) {
  if (bounds.physical != parquet::Type::FIXED_LEN_BYTE_ARRAY) {
    const auto [low, high] = FoldIntegers(bounds);
    return {DecimalText(arrow::Decimal128(low), scale),
            DecimalText(arrow::Decimal128(high), scale)};
  }
  std::optional<arrow::Decimal128> low, high;
  for (const auto& [first, second] : bounds.pairs) {
    const auto decode = [](const std::string& bytes) {
      return arrow::Decimal128::FromBigEndian(
          reinterpret_cast<const uint8_t*>(bytes.data()),
          static_cast<int32_t>(bytes.size()));
    };
    auto a = decode(first), b = decode(second);
    if (!a.ok() || !b.ok()) return {};
    if (!low || *a < *low) low = *a;
    if (!high || *high < *b) high = *b;
  }
  return {DecimalText(*low, scale), DecimalText(*high, scale)};
}

BoundTexts TimestampBounds(const LeafBounds& bounds, std::string_view zone) {
  const auto [low, high] = FoldIntegers(bounds);
  BoundTexts texts{TimestampBoundText(low, Rounding::kDown),
                   TimestampBoundText(high, Rounding::kUp)};
  if (texts.minimum) texts.minimum = Quoted(*texts.minimum + std::string(zone));
  if (texts.maximum) texts.maximum = Quoted(*texts.maximum + std::string(zone));
  return texts;
}

BoundTexts TextsOf(const LeafBounds& bounds, const StatisticsPlan::Node& node) {
  switch (node.kind) {
    case TypeKind::kFloat:
    case TypeKind::kDouble:
      return FloatingBounds(bounds);
    case TypeKind::kBoolean:
      return BooleanBounds(bounds);
    case TypeKind::kString:
      return StringBounds(bounds);
    case TypeKind::kDecimal:
      return DecimalBounds(bounds, node.scale);
    case TypeKind::kTimestamp:
      return TimestampBounds(bounds, "Z");
    case TypeKind::kTimestampNtz:
      return TimestampBounds(bounds, "");
    case TypeKind::kDate: {
      const auto [low, high] = FoldIntegers(bounds);
      return {QuotedIf(DateText(static_cast<int32_t>(low))),
              QuotedIf(DateText(static_cast<int32_t>(high)))};
    }
    default: {
      const auto [low, high] = FoldIntegers(bounds);
      return {fmt::format("{}", low), fmt::format("{}", high)};
    }
  }
}

/// What the three objects say of one column; leaves in schema order.
struct Texts {
  std::optional<std::string> minimum, maximum, null_count;
};

std::optional<std::string> ObjectOf(const std::vector<StatisticsPlan::Node>& nodes,
                                    const std::vector<Texts>& leaves,
                                    std::optional<std::string> Texts::*section) {
  std::string out;
  JsonObject object(&out);
  bool any = false;
  for (const auto& node : nodes) {
    if (!node.indexed) continue;
    const auto text = node.kind == TypeKind::kStruct
                          ? ObjectOf(node.children, leaves, section)
                          : leaves[static_cast<size_t>(node.first_leaf)].*section;
    if (!text) continue;
    object.Raw(node.name, *text);
    any = true;
  }
  object.Close();
  if (!any) return std::nullopt;
  return out;
}

template <typename ArrayType>
bool HasNaN(const arrow::Array& array) {
  const auto& typed = static_cast<const ArrayType&>(array);
  const auto* values = typed.raw_values();
  bool found = false;
  for (int64_t i = 0; i < typed.length(); ++i) found |= values[i] != values[i];
  if (!found || typed.null_count() == 0) return found;
  // The slots of nulls may hold anything; pandas leaves NaN there.
  for (int64_t i = 0; i < typed.length(); ++i) {
    if (typed.IsValid(i) && values[i] != values[i]) return true;
  }
  return false;
}

void FindNaN(const StatisticsPlan::Node& node, const arrow::Array& array,
             std::vector<bool>* has_nan) {
  if (!node.indexed) return;
  const auto leaf = static_cast<size_t>(node.first_leaf);
  if (node.kind == TypeKind::kStruct) {
    const auto& rows = static_cast<const arrow::StructArray&>(array);
    for (size_t i = 0; i < node.children.size(); ++i) {
      FindNaN(node.children[i], *rows.field(static_cast<int>(i)), has_nan);
    }
  } else if (node.kind == TypeKind::kDouble) {
    (*has_nan)[leaf] = (*has_nan)[leaf] || HasNaN<arrow::DoubleArray>(array);
  } else if (node.kind == TypeKind::kFloat) {
    (*has_nan)[leaf] = (*has_nan)[leaf] || HasNaN<arrow::FloatArray>(array);
  }
}

void FillLeaves(const StatisticsPlan::Node& node, const parquet::FileMetaData& footer,
                const std::vector<bool>& has_nan, std::vector<Texts>* leaves) {
  if (!node.indexed) return;
  for (const auto& child : node.children) FillLeaves(child, footer, has_nan, leaves);
  if (node.kind == TypeKind::kStruct || node.kind == TypeKind::kArray ||
      node.kind == TypeKind::kMap) {
    return;
  }
  const auto leaf = static_cast<size_t>(node.first_leaf);
  const LeafBounds bounds = GatherLeaf(footer, node.first_leaf);
  Texts& texts = (*leaves)[leaf];
  if (bounds.null_count) texts.null_count = fmt::format("{}", *bounds.null_count);
  if (!bounds.has_bounds || !HasBounds(node.kind) || has_nan[leaf]) return;
  BoundTexts found = TextsOf(bounds, node);
  texts.minimum = std::move(found.minimum);
  texts.maximum = std::move(found.maximum);
}

}  // namespace

std::shared_ptr<const StatisticsPlan> StatisticsPlan::Make(
    const TableSchema& schema, NameStyle names,
    const std::vector<std::string>& partition_columns, const StringMap& configuration) {
  auto plan = std::make_shared<StatisticsPlan>();
  Selection selection = Selection::From(configuration);
  std::vector<std::string_view> path;
  for (const StructField& field : schema.fields) {
    if (std::find(partition_columns.begin(), partition_columns.end(), field.name) !=
        partition_columns.end()) {
      continue;
    }
    plan->columns_.push_back(
        MakeNode(field, names, plan->leaf_count_, &path, &selection));
    plan->leaf_count_ += plan->columns_.back().leaves;
  }
  return plan;
}

StatisticsCollector::StatisticsCollector(std::shared_ptr<const StatisticsPlan> plan)
    : plan_(std::move(plan)),
      has_nan_(static_cast<size_t>(plan_->leaf_count())),
      array_nulls_(plan_->columns().size()) {}

void StatisticsCollector::Observe(const arrow::RecordBatch& batch) {
  for (size_t i = 0; i < plan_->columns().size(); ++i) {
    const arrow::Array& column = *batch.column(static_cast<int>(i));
    FindNaN(plan_->columns()[i], column, &has_nan_);
    array_nulls_[i] += column.null_count();
  }
}

std::string StatisticsCollector::ToJson(const parquet::FileMetaData& footer) const {
  std::vector<Texts> leaves(static_cast<size_t>(plan_->leaf_count()));
  const auto& columns = plan_->columns();
  for (size_t i = 0; i < columns.size(); ++i) {
    FillLeaves(columns[i], footer, has_nan_, &leaves);
    if (columns[i].kind == TypeKind::kArray || columns[i].kind == TypeKind::kMap) {
      leaves[static_cast<size_t>(columns[i].first_leaf)].null_count =
          fmt::format("{}", array_nulls_[i]);
    }
  }
  std::string out;
  JsonObject object(&out);
  object.Number("numRecords", footer.num_rows());
  const std::pair<const char*, std::optional<std::string> Texts::*> sections[] = {
      {"minValues", &Texts::minimum},
      {"maxValues", &Texts::maximum},
      {"nullCount", &Texts::null_count}};
  for (const auto& [name, section] : sections) {
    object.Raw(name, ObjectOf(columns, leaves, section).value_or("{}"));
  }
  object.Close();
  return out;
}

std::optional<std::string> TruncateMinimum(std::string_view value) {
  std::string_view rest = value;
  for (int i = 0; i < kPrefixCodePoints && !rest.empty(); ++i) {
    const CodePoint point = DecodeCodePoint(rest);
    if (point.bytes == 0) return std::nullopt;
    rest.remove_prefix(static_cast<size_t>(point.bytes));
  }
  return std::string(value.substr(0, value.size() - rest.size()));
}

std::optional<std::string> TruncateMaximum(std::string_view value) {
  std::string_view rest = value;
  for (int i = 0; !rest.empty(); ++i) {
    const CodePoint next = DecodeCodePoint(rest);
    if (next.bytes == 0) return std::nullopt;
    if (i >= kPrefixCodePoints) {
      if (i >= kMaximumCodePointsMax) return std::nullopt;
      const std::string prefix(value.substr(0, value.size() - rest.size()));
      if (next.value < 0x7F) return prefix + '\x7F';
      if (next.value > 0x7F && next.value < 0x10FFFF) return prefix + "\xF4\x8F\xBF\xBF";
    }
    rest.remove_prefix(static_cast<size_t>(next.bytes));
  }
  return std::string(value);
}

std::optional<std::string> DateText(int32_t days) {
  if (days < kFirstDay || days > kLastDay) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{days}}};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

std::optional<std::string> TimestampBoundText(int64_t micros, Rounding rounding) {
  int64_t millis = micros / 1000;
  const int64_t rest = micros % 1000;
  if (rounding == Rounding::kDown && rest < 0) --millis;
  if (rounding == Rounding::kUp && rest > 0) ++millis;
  int64_t days = millis / kMillisPerDay;
  int64_t of_day = millis % kMillisPerDay;
  if (of_day < 0) {
    of_day += kMillisPerDay;
    --days;
  }
  if (days < kFirstDay || days > kLastDay) return std::nullopt;
  return fmt::format("{}T{:02}:{:02}:{:02}.{:03}", *DateText(static_cast<int32_t>(days)),
                     of_day / 3'600'000, of_day / 60'000 % 60, of_day / 1000 % 60,
                     of_day % 1000);
}

}  // namespace arrowport::delta
