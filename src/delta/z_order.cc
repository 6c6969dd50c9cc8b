#include "delta/z_order.h"

#include <arrow/array.h>
#include <arrow/builder.h>
#include <arrow/type_traits.h>
#include <arrow/util/endian.h>
#include <arrow/visit_array_inline.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace arrowport::delta {
namespace {

constexpr int kRankBits = 10;
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

/// Calls `take(row, text)` for every value; text compares byte by byte as values do.
template <typename Take>
class Comparable {
 public:
  explicit Comparable(Take take) : take_(std::move(take)) {}

  template <typename ArrayType>
  arrow::Status Visit(const ArrayType& array) {
    using Type = typename ArrayType::TypeClass;
    std::string text;
    for (int64_t row = 0; row < array.length(); ++row) {
      text.clear();
      if (array.IsNull(row)) continue;
      if constexpr (arrow::is_boolean_type<Type>::value) {
        text.push_back(array.Value(row) ? 1 : 0);
      } else if constexpr (arrow::is_base_binary_type<Type>::value) {
        text = array.GetView(row).substr(0, kTextBytesMax);
      } else if constexpr (std::is_same_v<Type, arrow::Decimal128Type>) {
        const arrow::Decimal128 value(array.GetValue(row));
        AppendBigEndian(static_cast<uint64_t>(value.high_bits()) ^ kSign, &text);
        AppendBigEndian(value.low_bits(), &text);
      } else if constexpr (std::is_same_v<Type, arrow::FloatType> ||
                           std::is_same_v<Type, arrow::DoubleType>) {
        AppendBigEndian(OrderedBits(array.Value(row)), &text);
      } else if constexpr (arrow::is_integer_type<Type>::value ||
                           arrow::is_date_type<Type>::value ||
                           arrow::is_timestamp_type<Type>::value) {
        const auto value = static_cast<int64_t>(array.Value(row));
        AppendBigEndian(static_cast<uint64_t>(value) ^ kSign, &text);
      } else {
        return Error(ErrorCode::kInvalidArgument, "rows cannot be ordered by a column of ",
                     "type ", array.type()->ToString());
      }
      take_(row, text);
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
    Cuts values;
    for (const auto& batch : samples) {
      ARROW_RETURN_NOT_OK(VisitComparable(
          *batch->column(i),
          [&](int64_t, const std::string& text) { values.push_back(text); }));
    }
    std::sort(values.begin(), values.end());
    Cuts cuts;
    for (size_t cut = 1; cut <= kCutsMax && !values.empty(); ++cut) {
      const std::string& value = values[cut * values.size() / (kCutsMax + 1)];
      // A cut at the lowest value would part nothing.
      if (value != (cuts.empty() ? values.front() : cuts.back())) cuts.push_back(value);
    }
    curve.cuts_.push_back(std::move(cuts));
  }
  return curve;
}

arrow::Result<std::shared_ptr<arrow::Array>> ZOrderCurve::Keys(
    const arrow::RecordBatch& columns) const {
  const auto count = cuts_.size();
  std::vector<std::vector<uint16_t>> ranks(
      count, std::vector<uint16_t>(static_cast<size_t>(columns.num_rows()), 0));
  for (size_t i = 0; i < count; ++i) {
    const Cuts& cuts = cuts_[i];
    ARROW_RETURN_NOT_OK(VisitComparable(
        *columns.column(static_cast<int>(i)), [&](int64_t row, const std::string& text) {
          const auto above = std::upper_bound(cuts.begin(), cuts.end(), text);
          // Few distinct values are spread over all ranks, so that every column has a say
          // in the first bits.
          const auto position = static_cast<size_t>(above - cuts.begin());
          ranks[i][static_cast<size_t>(row)] =
              static_cast<uint16_t>(1 + position * kRankMax / (cuts.size() + 1));
        }));
  }
  const size_t key_bytes = (count * kRankBits + 7) / 8;
  arrow::BinaryBuilder builder;
  std::string key;
  for (size_t row = 0; row < static_cast<size_t>(columns.num_rows()); ++row) {
    key.assign(key_bytes, '\0');
    size_t position = 0;
    for (int bit = kRankBits - 1; bit >= 0; --bit) {
      for (size_t i = 0; i < count; ++i, ++position) {
        if ((ranks[i][row] >> bit & 1) != 0) {
          key[position / 8] = static_cast<char>(key[position / 8] | 0x80 >> (position % 8));
        }
      }
    }
    ARROW_RETURN_NOT_OK(builder.Append(key));
  }
  return builder.Finish();
}

}  // namespace arrowport::delta
