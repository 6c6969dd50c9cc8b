#include "delta/z_order.h"

#include <arrow/array.h>
#include <arrow/type_traits.h>
#include <arrow/util/endian.h>
#include <arrow/visit_array_inline.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace arrowport::delta {
namespace {

constexpr size_t kRankBits = 10;
constexpr size_t kRankMax = (size_t{1} << kRankBits) - 1;
constexpr size_t kCutsMax = kRankMax - 1;  // rank 0 is NULL's
constexpr int kColumnsMax = 16;
/// Texts are compared by so many bytes at most.
constexpr size_t kTextBytesMax = 64;

void AppendBigEndian(uint64_t value, std::string* out) {
  const uint64_t bytes = arrow::bit_util::ToBigEndian(value);
  out->append(reinterpret_cast<const char*>(&bytes), sizeof(bytes));
}

constexpr uint64_t kSign = uint64_t{1} << 63;

/// Doubles order as their bits once negative ones are turned around; NaN comes last.
uint64_t OrderedBits(double value) {
  if (std::isnan(value)) return UINT64_MAX;
  const auto bits = std::bit_cast<uint64_t>(value == 0 ? 0.0 : value);
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

/// How many of `cuts`, which ascend, are at or below `value`; without branches that a
/// processor would guess wrong half of the time.
size_t RankOf(const std::vector<uint64_t>& cuts, uint64_t value) {
  const uint64_t* begin = cuts.data();
  size_t count = cuts.size();
  while (count > 1) {
    const size_t half = count / 2;
    begin += begin[half - 1] <= value ? half : 0;
    count -= half;
  }
  return static_cast<size_t>(begin - cuts.data()) + (count == 1 && *begin <= value ? 1 : 0);
}

size_t RankOf(const std::vector<std::string>& cuts, std::string_view value) {
  return static_cast<size_t>(std::upper_bound(cuts.begin(), cuts.end(), value) -
                             cuts.begin());
}

/// Calls `take(row, number)` or `take(row, text)` for every value; both compare, text byte
/// by byte, as values do.
template <typename Take>
class Comparable {
 public:
  explicit Comparable(Take take) : take_(std::move(take)) {}

  template <typename ArrayType>
  arrow::Status Visit(const ArrayType& array) {
    using Type = typename ArrayType::TypeClass;
    for (int64_t row = 0; row < array.length(); ++row) {
      if (array.IsNull(row)) continue;
      if constexpr (arrow::is_boolean_type<Type>::value) {
        take_(row, uint64_t{array.Value(row)});
      } else if constexpr (arrow::is_base_binary_type<Type>::value) {
        take_(row, array.GetView(row).substr(0, kTextBytesMax));
      } else if constexpr (std::is_same_v<Type, arrow::Decimal128Type>) {
        const arrow::Decimal128 value(array.GetValue(row));
        std::string text;
        AppendBigEndian(static_cast<uint64_t>(value.high_bits()) ^ kSign, &text);
        AppendBigEndian(value.low_bits(), &text);
        take_(row, std::string_view(text));
      } else if constexpr (std::is_same_v<Type, arrow::FloatType> ||
                           std::is_same_v<Type, arrow::DoubleType>) {
        take_(row, OrderedBits(array.Value(row)));
      } else if constexpr (arrow::is_integer_type<Type>::value ||
                           arrow::is_date_type<Type>::value ||
                           arrow::is_timestamp_type<Type>::value) {
        take_(row, static_cast<uint64_t>(static_cast<int64_t>(array.Value(row))) ^ kSign);
      } else {
        return Error(ErrorCode::kInvalidArgument, "rows cannot be ordered by a column of ",
                     "type ", array.type()->ToString());
      }
    }
    return {};
  }

 private:
  Take take_;
};

template <typename Take>
arrow::Status VisitComparable(const arrow::Array& array, Take take) {
  Comparable<Take> visitor(std::move(take));
  return arrow::VisitArrayInline(array, &visitor);
}

/// Ascending, each but the last of as many values as the next.
template <typename Value>
std::vector<Value> CutsOf(std::vector<Value> values) {
  std::sort(values.begin(), values.end());
  std::vector<Value> cuts;
  for (size_t cut = 1; cut <= kCutsMax && !values.empty(); ++cut) {
    const Value& value = values[cut * values.size() / (kCutsMax + 1)];
    // A cut at the lowest value would part nothing.
    if (value != (cuts.empty() ? values.front() : cuts.back())) cuts.push_back(value);
  }
  return cuts;
}

/// The bits of `rank` of column `index` where they stand in a key; those that do not fit
/// would part rows that are next to each other anyway.
uint64_t Interleaved(uint64_t rank, size_t index, size_t columns) {
  uint64_t key = 0;
  for (size_t bit = 0; bit < kRankBits; ++bit) {
    const size_t position = bit * columns + index;
    if (position >= 64) break;
    key |= (rank >> (kRankBits - 1 - bit) & 1) << (63 - position);
  }
  return key;
}

}  // namespace

arrow::Result<ZOrderCurve> ZOrderCurve::Make(
    const std::vector<std::shared_ptr<arrow::RecordBatch>>& samples,
    const std::shared_ptr<arrow::Schema>& columns) {
  if (columns->num_fields() < 1 || columns->num_fields() > kColumnsMax) {
    return Error(ErrorCode::kInvalidArgument, "rows are ordered by 1 to ", kColumnsMax,
                 " columns, not ", columns->num_fields());
  }
  ZOrderCurve curve;
  for (int i = 0; i < columns->num_fields(); ++i) {
    std::vector<uint64_t> numbers;
    std::vector<std::string> texts;
    for (const auto& batch : samples) {
      ARROW_RETURN_NOT_OK(VisitComparable(*batch->column(i), [&](int64_t, auto value) {
        if constexpr (std::is_same_v<decltype(value), uint64_t>) {
          numbers.push_back(value);
        } else {
          texts.emplace_back(value);
        }
      }));
    }
    Column column;
    column.numbers = CutsOf(std::move(numbers));
    column.texts = CutsOf(std::move(texts));
    const size_t cuts = column.numbers.size() + column.texts.size();
    for (size_t rank = 0; rank <= cuts; ++rank) {
      // Few distinct values are spread over all ranks, so that every column has a say in
      // the first bits.
      const uint64_t spread = 1 + rank * kRankMax / (cuts + 1);
      column.bits.push_back(Interleaved(spread, static_cast<size_t>(i),
                                        static_cast<size_t>(columns->num_fields())));
    }
    curve.columns_.push_back(std::move(column));
  }
  return curve;
}

arrow::Status ZOrderCurve::Keys(const arrow::RecordBatch& columns,
                                std::vector<uint64_t>* keys) const {
  keys->assign(static_cast<size_t>(columns.num_rows()), 0);
  for (size_t i = 0; i < columns_.size(); ++i) {
    const Column& column = columns_[i];
    ARROW_RETURN_NOT_OK(VisitComparable(
        *columns.column(static_cast<int>(i)), [&](int64_t row, auto value) {
          size_t rank = 0;
          if constexpr (std::is_same_v<decltype(value), uint64_t>) {
            rank = RankOf(column.numbers, value);
          } else {
            rank = RankOf(column.texts, value);
          }
          (*keys)[static_cast<size_t>(row)] |= column.bits[rank];
        }));
  }
  return {};
}

}  // namespace arrowport::delta
