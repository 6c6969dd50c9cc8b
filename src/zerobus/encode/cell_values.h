// Readers of plain values in Arrow buffers: small, copied into the loops that use them.
// Element i counts from the array's offset. Unaligned buffers are fine.
#pragma once

#include <arrow/array/data.h>
#include <arrow/type.h>
#include <arrow/util/bit_util.h>
#include <arrow/util/float16.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <type_traits>
#include <utility>

#include "zerobus/encode/decimal_text.h"
#include "zerobus/encode/plan.h"

namespace arrowport::zerobus::encode::internal {

template <typename T>
inline T LoadAt(const uint8_t* raw, int64_t position) {
  T value;
  std::memcpy(&value, raw + position * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

/// Start of the fixed-size values of `array`, its offset applied.
inline const uint8_t* FixedValues(const arrow::ArrayData& array, int64_t value_bytes) {
  const auto& buffer = array.buffers[1];
  return buffer ? buffer->data() + array.offset * value_bytes : nullptr;
}

inline int64_t FloorDivide(int64_t value, int64_t divisor) {
  int64_t quotient = value / divisor;
  return quotient - (value % divisor < 0);
}

// Readers of integers: false when the value does not fit the column.

struct BoolReader {
  static constexpr bool kAlwaysFits = true;
  const uint8_t* bits;
  int64_t offset;
  bool Read(int64_t i, int64_t* value) const {
    *value = arrow::bit_util::GetBit(bits, offset + i);
    return true;
  }
};

template <typename T, bool kChecked>
struct IntegerReader {
  static constexpr bool kAlwaysFits = !kChecked;
  const uint8_t* raw;
  int64_t low = 0;
  int64_t high = 0;
  bool Read(int64_t i, int64_t* value) const {
    T loaded = LoadAt<T>(raw, i);
    *value = static_cast<int64_t>(loaded);
    if constexpr (!kChecked) return true;
    if (std::is_same_v<T, uint64_t> && *value < 0) return false;
    return *value >= low && *value <= high;
  }
};

struct Date64Reader {
  static constexpr bool kAlwaysFits = false;
  static constexpr int64_t kDayMs = 86'400'000;
  const uint8_t* raw;
  bool Read(int64_t i, int64_t* value) const {
    *value = FloorDivide(LoadAt<int64_t>(raw, i), kDayMs);
    return *value >= std::numeric_limits<int32_t>::min() &&
           *value <= std::numeric_limits<int32_t>::max();
  }
};

struct MultipliedReader {
  static constexpr bool kAlwaysFits = false;
  const uint8_t* raw;
  int64_t factor;
  bool Read(int64_t i, int64_t* value) const {
    return !__builtin_mul_overflow(LoadAt<int64_t>(raw, i), factor, value);
  }
};

struct NanosecondReader {
  static constexpr bool kAlwaysFits = true;
  const uint8_t* raw;
  bool Read(int64_t i, int64_t* value) const {
    *value = FloorDivide(LoadAt<int64_t>(raw, i), 1000);
    return true;
  }
};

// Readers of floating point numbers.

template <typename From, typename To>
struct FloatReader {
  using Value = To;
  const uint8_t* raw;
  Value Read(int64_t i) const { return static_cast<Value>(LoadAt<From>(raw, i)); }
};

template <typename To>
struct HalfReader {
  using Value = To;
  const uint8_t* raw;
  Value Read(int64_t i) const {
    return static_cast<Value>(
        arrow::util::Float16::FromBits(LoadAt<uint16_t>(raw, i)).ToFloat());
  }
};

// Readers of bytes: false when offsets lead outside the buffer. The result points into
// Arrow's buffers (or into the views).

template <typename Offset>
struct OffsetBytesReader {
  static constexpr bool kContiguous = true;
  const uint8_t* offsets;
  const uint8_t* data;
  int64_t data_bytes;
  int64_t OffsetAt(int64_t i) const { return LoadAt<Offset>(offsets, i); }
  bool Read(int64_t i, std::string_view* value) const {
    int64_t begin = OffsetAt(i);
    int64_t end = OffsetAt(i + 1);
    if (begin < 0 || end < begin || end > data_bytes) return false;
    *value = {reinterpret_cast<const char*>(data) + begin, static_cast<size_t>(end - begin)};
    return true;
  }
};

struct ViewBytesReader {
  static constexpr bool kContiguous = false;
  const uint8_t* views;
  const arrow::ArrayData* array;
  bool Read(int64_t i, std::string_view* value) const {
    using View = arrow::BinaryViewType::c_type;
    const uint8_t* at = views + i * static_cast<int64_t>(sizeof(View));
    int32_t size = LoadAt<int32_t>(at, 0);
    if (size < 0) return false;
    if (size <= arrow::BinaryViewType::kInlineSize) {
      *value = {reinterpret_cast<const char*>(at) + 4, static_cast<size_t>(size)};
      return true;
    }
    int64_t buffer_index = int64_t{LoadAt<int32_t>(at, 2)} + 2;
    int64_t offset = LoadAt<int32_t>(at, 3);
    if (buffer_index < 2 || buffer_index >= static_cast<int64_t>(array->buffers.size())) {
      return false;
    }
    const auto& buffer = array->buffers[static_cast<size_t>(buffer_index)];
    if (!buffer || offset < 0 || offset + size > buffer->size()) return false;
    *value = {reinterpret_cast<const char*>(buffer->data()) + offset,
              static_cast<size_t>(size)};
    return true;
  }
};

struct FixedBytesReader {
  static constexpr bool kContiguous = false;
  const uint8_t* raw;
  int64_t width;
  bool Read(int64_t i, std::string_view* value) const {
    *value = {reinterpret_cast<const char*>(raw) + i * width, static_cast<size_t>(width)};
    return true;
  }
};

/// Decimals, and integers bound for a DECIMAL column.
struct DecimalReader {
  const uint8_t* raw;
  int32_t value_bytes;
  bool is_signed;
  int32_t scale;
  DecimalColumn column;
  /// As WriteDecimal.
  char* Write(int64_t i, char* out) const {
    WideInteger integer{};
    const uint8_t* at = raw + i * value_bytes;
    integer.limb_count = value_bytes <= 8 ? 2 : value_bytes / 8;
    std::memcpy(integer.limbs, at, static_cast<size_t>(value_bytes));
    if (value_bytes <= 8 && is_signed && (at[value_bytes - 1] & 0x80) != 0) {
      std::memset(reinterpret_cast<uint8_t*>(integer.limbs) + value_bytes, 0xff,
                  static_cast<size_t>(16 - value_bytes));
    }
    return WriteDecimal(integer, scale, column, out);
  }
};

template <typename T, typename Use>
auto WithIntegerReader(const FieldPlan& plan, const arrow::ArrayData& array, Use&& use) {
  int64_t low = std::numeric_limits<int64_t>::min();
  int64_t high = std::numeric_limits<int64_t>::max();
  switch (plan.target) {
    case TypeId::kTinyInt:
      low = std::numeric_limits<int8_t>::min(), high = std::numeric_limits<int8_t>::max();
      break;
    case TypeId::kSmallInt:
      low = std::numeric_limits<int16_t>::min(), high = std::numeric_limits<int16_t>::max();
      break;
    case TypeId::kInt:
      low = std::numeric_limits<int32_t>::min(), high = std::numeric_limits<int32_t>::max();
      break;
    default:
      break;
  }
  const uint8_t* raw = FixedValues(array, sizeof(T));
  bool fits = std::in_range<int64_t>(std::numeric_limits<T>::max()) &&
              static_cast<int64_t>(std::numeric_limits<T>::min()) >= low &&
              static_cast<int64_t>(std::numeric_limits<T>::max()) <= high;
  if (fits) return use(IntegerReader<T, false>{raw});
  return use(IntegerReader<T, true>{raw, low, high});
}

/// Calls `use` with the reader of integers (also booleans, dates and timestamps) for the
/// values of `array`. REQUIRES: plan.target is such a type.
template <typename Use>
auto WithVarintReader(const FieldPlan& plan, const arrow::ArrayData& array, Use&& use) {
  switch (plan.value_type->id()) {
    case arrow::Type::BOOL:
      return use(BoolReader{FixedValues(array, 0), array.offset});
    case arrow::Type::INT8:
      return WithIntegerReader<int8_t>(plan, array, use);
    case arrow::Type::INT16:
      return WithIntegerReader<int16_t>(plan, array, use);
    case arrow::Type::INT32:
      return WithIntegerReader<int32_t>(plan, array, use);
    case arrow::Type::UINT8:
      return WithIntegerReader<uint8_t>(plan, array, use);
    case arrow::Type::UINT16:
      return WithIntegerReader<uint16_t>(plan, array, use);
    case arrow::Type::UINT32:
      return WithIntegerReader<uint32_t>(plan, array, use);
    case arrow::Type::UINT64:
      return WithIntegerReader<uint64_t>(plan, array, use);
    case arrow::Type::DATE32:
      return use(IntegerReader<int32_t, false>{FixedValues(array, 4)});
    case arrow::Type::DATE64:
      return use(Date64Reader{FixedValues(array, 8)});
    case arrow::Type::TIMESTAMP:
      switch (static_cast<const arrow::TimestampType&>(*plan.value_type).unit()) {
        case arrow::TimeUnit::SECOND:
          return use(MultipliedReader{FixedValues(array, 8), 1'000'000});
        case arrow::TimeUnit::MILLI:
          return use(MultipliedReader{FixedValues(array, 8), 1'000});
        case arrow::TimeUnit::NANO:
          return use(NanosecondReader{FixedValues(array, 8)});
        default:
          return use(IntegerReader<int64_t, false>{FixedValues(array, 8)});
      }
    default:
      return WithIntegerReader<int64_t>(plan, array, use);
  }
}

/// The same for FLOAT (To = float) and DOUBLE (To = double).
template <typename To, typename Use>
auto WithFloatReader(const FieldPlan& plan, const arrow::ArrayData& array, Use&& use) {
  switch (plan.value_type->id()) {
    case arrow::Type::HALF_FLOAT:
      return use(HalfReader<To>{FixedValues(array, 2)});
    case arrow::Type::FLOAT:
      return use(FloatReader<float, To>{FixedValues(array, 4)});
    default:
      return use(FloatReader<double, To>{FixedValues(array, 8)});
  }
}

template <typename Offset>
OffsetBytesReader<Offset> MakeOffsetBytesReader(const arrow::ArrayData& array) {
  static const Offset kNoOffsets[2] = {0, 0};
  const uint8_t* offsets = reinterpret_cast<const uint8_t*>(kNoOffsets);
  if (array.buffers[1] && array.buffers[1]->size() > 0) {
    offsets = FixedValues(array, sizeof(Offset));
  }
  const auto& data = array.buffers[2];
  return {offsets, data ? data->data() : nullptr, data ? data->size() : 0};
}

/// The same for STRING, VARIANT and BINARY.
template <typename Use>
auto WithBytesReader(const FieldPlan& plan, const arrow::ArrayData& array, Use&& use) {
  switch (plan.value_type->id()) {
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return use(MakeOffsetBytesReader<int32_t>(array));
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return use(MakeOffsetBytesReader<int64_t>(array));
    case arrow::Type::STRING_VIEW:
    case arrow::Type::BINARY_VIEW:
      return use(ViewBytesReader{
          FixedValues(array, sizeof(arrow::BinaryViewType::c_type)), &array});
    default: {
      int64_t width =
          static_cast<const arrow::FixedSizeBinaryType&>(*plan.value_type).byte_width();
      return use(FixedBytesReader{FixedValues(array, width), width});
    }
  }
}

/// The same for DECIMAL.
inline DecimalReader MakeDecimalReader(const FieldPlan& plan,
                                       const arrow::ArrayData& array) {
  const arrow::DataType& type = *plan.value_type;
  int32_t bytes = static_cast<const arrow::FixedWidthType&>(type).bit_width() / 8;
  bool decimal = arrow::is_decimal(type.id());
  return {FixedValues(array, bytes), bytes, decimal || arrow::is_signed_integer(type.id()),
          decimal ? static_cast<const arrow::DecimalType&>(type).scale() : 0,
          DecimalColumn{plan.precision, plan.scale}};
}

/// Where the elements of one list cell lie in the child array.
struct ListRange {
  int64_t first;
  int64_t count;
};

/// Lists of every layout, and maps. Immutable.
class ListReader {
 public:
  ListReader(const FieldPlan& plan, const arrow::ArrayData& array);
  /// False when the list leads outside its child.
  bool Read(int64_t i, ListRange* range) const;

 private:
  enum class Layout : uint8_t { kOffsets32, kOffsets64, kFixed, kViews32, kViews64 };
  Layout layout_ = Layout::kOffsets32;
  const uint8_t* offsets_ = nullptr;
  const uint8_t* sizes_ = nullptr;
  int64_t array_offset_ = 0;
  int64_t width_ = 0;
  int64_t child_length_ = 0;
};

}  // namespace arrowport::zerobus::encode::internal
