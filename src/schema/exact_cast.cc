#include "schema/exact_cast.h"

#include <arrow/array/array_nested.h>
#include <arrow/array/util.h>
#include <arrow/compute/api.h>
#include <arrow/compute/initialize.h>
#include <arrow/extension_type.h>
#include <arrow/scalar.h>
#include <arrow/util/bitmap_ops.h>

#include <algorithm>

#include "base/error.h"
#include "schema/column_match.h"
#include "schema/exact_number.h"

namespace arrowport::schema {
namespace {

using arrow::Array;
using arrow::DataType;
using arrow::Type;
using ArrayPtr = std::shared_ptr<Array>;
using TypePtr = std::shared_ptr<DataType>;

constexpr size_t kShownBytesMax = 64;

/// How values of one type become values of another.
enum class Rule {
  kNone,           ///< not offered
  kRelabel,        ///< same buffers, other type object
  kMicroInterval,  ///< same type, but nanoseconds must be whole microseconds
  kToInterval,     ///< durations, months, days + milliseconds into month_day_nano
  kNulls,          ///< the null type into anything
  kUnwrap,         ///< from an extension type's storage
  kWrap,           ///< into an extension type's storage
  kDecode,         ///< dictionaries and run-end encoding
  kArrow,          ///< Arrow's safe cast is exact
  kRoundTrip,      ///< Arrow's cast and back again must give the same
  kNumber,
  kHalf,  ///< by way of float
  kIntegerToDecimal,
  kFloatToDecimal,
  kDecimalToFloat,
  kZonedTimestamp,  ///< other unit, zone names aside
  kList,
  kFixedSizeList,
  kStruct,
  kMap,
};

arrow::Status Initialize() {
  static const arrow::Status status = arrow::compute::Initialize();
  return status;
}

arrow::Status DoesNotFit(const DataType& to) {
  return Error(ErrorCode::kSchemaMismatch, "a value does not fit exactly into ",
               to.ToString());
}

bool IsListKind(Type::type id) {
  return id == Type::LIST || id == Type::LARGE_LIST || id == Type::LIST_VIEW ||
         id == Type::LARGE_LIST_VIEW || id == Type::FIXED_SIZE_LIST;
}
bool IsTextKind(Type::type id) {
  return id == Type::STRING || id == Type::LARGE_STRING || id == Type::STRING_VIEW;
}
bool IsBytesKind(Type::type id) {
  return id == Type::BINARY || id == Type::LARGE_BINARY || id == Type::BINARY_VIEW;
}
bool IsDate(Type::type id) { return id == Type::DATE32 || id == Type::DATE64; }
bool IsTime(Type::type id) { return id == Type::TIME32 || id == Type::TIME64; }
bool IsFloat(Type::type id) { return id == Type::FLOAT || id == Type::DOUBLE; }
bool IsZoned(const DataType& type) {
  return !static_cast<const arrow::TimestampType&>(type).timezone().empty();
}

bool SameChildren(const DataType& from, const DataType& to) {
  if (from.num_fields() != to.num_fields()) return false;
  for (int i = 0; i < from.num_fields(); ++i) {
    if (!IsIdentityCast(*from.field(i)->type(), *to.field(i)->type())) return false;
  }
  return true;
}

Rule NumberRule(const DataType& from, const DataType& to) {
  const Type::type a = from.id(), b = to.id();
  if (a == Type::HALF_FLOAT) {
    return CanCast(*arrow::float32(), to) ? Rule::kHalf : Rule::kNone;
  }
  if (b == Type::HALF_FLOAT) return IsFloat(a) ? Rule::kRoundTrip : Rule::kNone;
  const bool from_number = arrow::is_integer(a) || IsFloat(a);
  if (from_number && (arrow::is_integer(b) || IsFloat(b))) return Rule::kNumber;
  if (arrow::is_decimal(a) && (arrow::is_decimal(b) || arrow::is_integer(b))) {
    return Rule::kArrow;
  }
  if (arrow::is_integer(a) && arrow::is_decimal(b)) return Rule::kIntegerToDecimal;
  if (IsFloat(a) && arrow::is_decimal(b)) return Rule::kFloatToDecimal;
  if (arrow::is_decimal(a) && IsFloat(b)) return Rule::kDecimalToFloat;
  return Rule::kNone;
}

Rule TimeRule(const DataType& from, const DataType& to) {
  const Type::type a = from.id(), b = to.id();
  if (a == Type::TIMESTAMP && b == Type::TIMESTAMP) {
    if (IsZoned(from) != IsZoned(to)) return Rule::kNone;
    return IsZoned(from) ? Rule::kZonedTimestamp : Rule::kArrow;
  }
  if (IsDate(a) && IsDate(b)) return Rule::kRoundTrip;
  if (IsDate(a) && b == Type::TIMESTAMP && !IsZoned(to)) return Rule::kRoundTrip;
  if (a == Type::TIMESTAMP && IsDate(b) && !IsZoned(from)) return Rule::kRoundTrip;
  if (IsTime(a) && IsTime(b)) return Rule::kArrow;
  if (a == Type::DURATION && b == Type::DURATION) return Rule::kArrow;
  return Rule::kNone;
}

Rule NestedRule(const DataType& from, const DataType& to) {
  if (from.id() == Type::MAP && to.id() == Type::MAP) {
    return CanCast(*from.field(0)->type(), *to.field(0)->type()) ? Rule::kMap
                                                                 : Rule::kNone;
  }
  if (IsListKind(from.id()) && IsListKind(to.id())) {
    if (!CanCast(*from.field(0)->type(), *to.field(0)->type())) return Rule::kNone;
    if (to.id() != Type::FIXED_SIZE_LIST) return Rule::kList;
    const bool same_size =
        from.id() == Type::FIXED_SIZE_LIST &&
        static_cast<const arrow::FixedSizeListType&>(from).list_size() ==
            static_cast<const arrow::FixedSizeListType&>(to).list_size();
    return same_size ? Rule::kFixedSizeList : Rule::kNone;
  }
  if (from.id() != Type::STRUCT || to.id() != Type::STRUCT) return Rule::kNone;
  auto match = internal::MatchColumns(from.fields(), to.fields());
  if (!match.ok() || !match->unmatched.empty()) return Rule::kNone;
  for (int i = 0; i < from.num_fields(); ++i) {
    if (!CanCast(*from.field(i)->type(), *to.field(match->target[i])->type())) {
      return Rule::kNone;
    }
  }
  return Rule::kStruct;
}

Rule RuleFor(const DataType& from, const DataType& to) {
  const Type::type a = from.id(), b = to.id();
  if (a == Type::INTERVAL_MONTH_DAY_NANO && b == a) return Rule::kMicroInterval;
  if (IsIdentityCast(from, to)) return Rule::kRelabel;
  if (b == Type::INTERVAL_MONTH_DAY_NANO &&
      (a == Type::DURATION || a == Type::INTERVAL_MONTHS || a == Type::INTERVAL_DAY_TIME)) {
    return Rule::kToInterval;
  }
  if (a == Type::NA) return Rule::kNulls;
  if (a == Type::EXTENSION) {
    const auto& storage = *static_cast<const arrow::ExtensionType&>(from).storage_type();
    return CanCast(storage, to) ? Rule::kUnwrap : Rule::kNone;
  }
  if (b == Type::EXTENSION) {
    const auto& storage = *static_cast<const arrow::ExtensionType&>(to).storage_type();
    return CanCast(from, storage) ? Rule::kWrap : Rule::kNone;
  }
  if (a == Type::DICTIONARY) {
    const auto& value = *static_cast<const arrow::DictionaryType&>(from).value_type();
    return CanCast(value, to) ? Rule::kDecode : Rule::kNone;
  }
  if (a == Type::RUN_END_ENCODED) {
    const auto& value = *static_cast<const arrow::RunEndEncodedType&>(from).value_type();
    return CanCast(value, to) ? Rule::kDecode : Rule::kNone;
  }
  if (IsTextKind(a) && IsTextKind(b)) return Rule::kArrow;
  if ((IsBytesKind(a) || a == Type::FIXED_SIZE_BINARY) && IsBytesKind(b)) {
    return Rule::kArrow;
  }
  if (Rule rule = NumberRule(from, to); rule != Rule::kNone) return rule;
  if (Rule rule = TimeRule(from, to); rule != Rule::kNone) return rule;
  return NestedRule(from, to);
}

std::shared_ptr<arrow::ArrayData> Relabel(const std::shared_ptr<arrow::ArrayData>& data,
                                          const TypePtr& to) {
  auto copy = data->Copy();
  copy->type = to;
  if (to->id() == Type::EXTENSION) {
    const auto& storage = static_cast<const arrow::ExtensionType&>(*to).storage_type();
    copy->child_data = Relabel(data, storage)->child_data;
    return copy;
  }
  for (size_t i = 0; i < copy->child_data.size() && to->num_fields() > 0; ++i) {
    copy->child_data[i] =
        Relabel(copy->child_data[i], to->field(static_cast<int>(i))->type());
  }
  return copy;
}

arrow::Result<ArrayPtr> ArrowCast(const Array& array, const TypePtr& to,
                                  bool safe = true) {
  auto options = safe ? arrow::compute::CastOptions::Safe(to)
                      : arrow::compute::CastOptions::Unsafe(to);
  arrow::Result<ArrayPtr> cast = arrow::compute::Cast(array, to, options);
  if (cast.ok() || cast.status().IsOutOfMemory()) return cast;
  return DoesNotFit(*to);
}

arrow::Result<ArrayPtr> RoundTrip(const Array& array, const TypePtr& to) {
  ARROW_ASSIGN_OR_RAISE(ArrayPtr there, ArrowCast(array, to, /*safe=*/false));
  ARROW_ASSIGN_OR_RAISE(ArrayPtr back, ArrowCast(*there, array.type(), /*safe=*/false));
  if (!back->Equals(array, arrow::EqualOptions::Defaults().nans_equal(true))) {
    return DoesNotFit(*to);
  }
  return there;
}

arrow::Result<ArrayPtr> IntegerToDecimal(const Array& array, const TypePtr& to) {
  // Arrow refuses an int64 for any decimal below 19 digits by type; going by way of a
  // decimal that holds them all leaves it to the values.
  auto wide = array.type_id() == Type::UINT64 ? arrow::decimal128(20, 0)
                                              : arrow::decimal128(19, 0);
  ARROW_ASSIGN_OR_RAISE(ArrayPtr decimals, ArrowCast(array, wide));
  return ExactCast(decimals, to);
}

arrow::Result<ArrayPtr> FloatToDecimal(const ArrayPtr& array, const TypePtr& to) {
  ARROW_ASSIGN_OR_RAISE(ArrayPtr doubles, ExactCast(array, arrow::float64()));
  if (to->id() == Type::DECIMAL128) return internal::DoubleToDecimal(*doubles, to);
  const auto& decimal = static_cast<const arrow::DecimalType&>(*to);
  const int precision = std::min(decimal.precision(), 38);
  auto wide = arrow::decimal128(precision, std::min(decimal.scale(), precision));
  ARROW_ASSIGN_OR_RAISE(ArrayPtr decimals, internal::DoubleToDecimal(*doubles, wide));
  return ExactCast(decimals, to);
}

arrow::Result<ArrayPtr> DecimalToFloat(const ArrayPtr& array, const TypePtr& to) {
  ArrayPtr decimals = array;
  if (array->type_id() != Type::DECIMAL128) {
    const auto& decimal = static_cast<const arrow::DecimalType&>(*array->type());
    auto wide = arrow::decimal128(38, std::min(decimal.scale(), 38));
    ARROW_ASSIGN_OR_RAISE(decimals, ExactCast(array, wide));
  }
  ARROW_ASSIGN_OR_RAISE(ArrayPtr doubles, internal::DecimalToDouble(*decimals));
  return ExactCast(doubles, to);
}

arrow::Result<ArrayPtr> ZonedTimestamp(const ArrayPtr& array, const TypePtr& to) {
  // Both count from the epoch in UTC; without the zone names no time zone is looked up.
  auto unit = [](const DataType& type) {
    return arrow::timestamp(static_cast<const arrow::TimestampType&>(type).unit());
  };
  ArrayPtr naive = arrow::MakeArray(Relabel(array->data(), unit(*array->type())));
  ARROW_ASSIGN_OR_RAISE(ArrayPtr cast, ArrowCast(*naive, unit(*to)));
  return arrow::MakeArray(Relabel(cast->data(), to));
}

arrow::Result<ArrayPtr> MicroInterval(const ArrayPtr& array, const TypePtr& to) {
  const auto& intervals = static_cast<const arrow::MonthDayNanoIntervalArray&>(*array);
  for (int64_t i = 0; i < intervals.length(); ++i) {
    if (intervals.IsValid(i) && intervals.GetValue(i).nanoseconds % 1000 != 0) {
      return DoesNotFit(*to);
    }
  }
  return array;
}

// The interval of one valid value; nothing when its nanoseconds overflow or are no whole
// microseconds, which is what the storage keeps.
std::optional<arrow::MonthDayNanoIntervalType::MonthDayNanos> IntervalAt(const Array& array,
                                                                         int64_t row) {
  if (array.type_id() == Type::INTERVAL_MONTHS) {
    return {{static_cast<const arrow::MonthIntervalArray&>(array).Value(row), 0, 0}};
  }
  if (array.type_id() == Type::INTERVAL_DAY_TIME) {
    const auto value = static_cast<const arrow::DayTimeIntervalArray&>(array).GetValue(row);
    return {{0, value.days, int64_t{value.milliseconds} * 1'000'000}};
  }
  constexpr int64_t kNanosOf[] = {1'000'000'000, 1'000'000, 1'000, 1};
  const auto unit = static_cast<const arrow::DurationType&>(*array.type()).unit();
  const int64_t value = static_cast<const arrow::DurationArray&>(array).Value(row);
  int64_t nanos = 0;
  if (__builtin_mul_overflow(value, kNanosOf[unit], &nanos) || nanos % 1000 != 0) return {};
  return {{0, 0, nanos}};
}

arrow::Result<ArrayPtr> ToInterval(const ArrayPtr& array, const TypePtr& to) {
  arrow::MonthDayNanoIntervalBuilder builder;
  ARROW_RETURN_NOT_OK(builder.Reserve(array->length()));
  for (int64_t i = 0; i < array->length(); ++i) {
    if (array->IsNull(i)) {
      builder.UnsafeAppendNull();
      continue;
    }
    const auto interval = IntervalAt(*array, i);
    if (!interval) return DoesNotFit(*to);
    builder.UnsafeAppend(*interval);
  }
  return builder.Finish();
}

std::shared_ptr<arrow::Buffer> NoBuffer() { return nullptr; }

arrow::Result<std::shared_ptr<arrow::Buffer>> CopyValidity(const Array& array) {
  if (array.null_count() == 0) return NoBuffer();
  return arrow::internal::CopyBitmap(arrow::default_memory_pool(),
                                     array.null_bitmap_data(), array.offset(),
                                     array.length());
}

/// The lists of `array` around other values; null lists are left without values, so
/// that what hides under them is never judged.
template <typename Lists>
arrow::Result<ArrayPtr> WithValues(const Array& array, const TypePtr& type,
                                   const ArrayPtr& values) {
  using Offset = typename Lists::offset_type;
  const auto& lists = static_cast<const Lists&>(array);
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> offsets,
                        arrow::AllocateBuffer((array.length() + 1) * sizeof(Offset)));
  auto* out = reinterpret_cast<Offset*>(offsets->mutable_data());
  out[0] = 0;
  for (int64_t i = 0; i < array.length(); ++i) {
    out[i + 1] = out[i] + (lists.IsValid(i) ? lists.value_length(i) : 0);
  }
  ARROW_ASSIGN_OR_RAISE(auto validity, CopyValidity(array));
  return arrow::MakeArray(arrow::ArrayData::Make(
      type, array.length(), {std::move(validity), std::move(offsets)}, {values->data()},
      array.null_count()));
}

template <typename Lists>
arrow::Result<ArrayPtr> CastLists(const ArrayPtr& array, const TypePtr& to) {
  ARROW_ASSIGN_OR_RAISE(ArrayPtr values, static_cast<const Lists&>(*array).Flatten());
  ARROW_ASSIGN_OR_RAISE(values, ExactCast(values, to->field(0)->type()));
  constexpr bool large = sizeof(typename Lists::offset_type) == 8;
  TypePtr like = large ? arrow::large_list(to->field(0)) : arrow::list(to->field(0));
  ARROW_ASSIGN_OR_RAISE(ArrayPtr lists, WithValues<Lists>(*array, like, values));
  if (like->id() == to->id()) return arrow::MakeArray(Relabel(lists->data(), to));
  return ArrowCast(*lists, to);
}

arrow::Result<ArrayPtr> CastList(const ArrayPtr& array, const TypePtr& to) {
  switch (array->type_id()) {
    case Type::LIST:
      return CastLists<arrow::ListArray>(array, to);
    case Type::LARGE_LIST:
      return CastLists<arrow::LargeListArray>(array, to);
    case Type::LIST_VIEW:
      return CastLists<arrow::ListViewArray>(array, to);
    case Type::LARGE_LIST_VIEW:
      return CastLists<arrow::LargeListViewArray>(array, to);
    default: {
      ARROW_ASSIGN_OR_RAISE(ArrayPtr lists,
                            ArrowCast(*array, arrow::list(array->type()->field(0))));
      return CastLists<arrow::ListArray>(lists, to);
    }
  }
}

arrow::Result<ArrayPtr> CastFixedSizeList(const ArrayPtr& array, const TypePtr& to) {
  const auto& lists = static_cast<const arrow::FixedSizeListArray&>(*array);
  const int64_t size = lists.list_type()->list_size();
  ArrayPtr values = lists.values()->Slice(lists.offset() * size, lists.length() * size);
  ARROW_ASSIGN_OR_RAISE(values, ExactCast(values, to->field(0)->type()));
  ARROW_ASSIGN_OR_RAISE(auto validity, CopyValidity(*array));
  return arrow::MakeArray(arrow::ArrayData::Make(
      to, array->length(), {std::move(validity)}, {values->data()}, array->null_count()));
}

arrow::Result<ArrayPtr> CastStruct(const ArrayPtr& array, const TypePtr& to) {
  const auto& rows = static_cast<const arrow::StructArray&>(*array);
  ARROW_ASSIGN_OR_RAISE(auto match,
                        internal::MatchColumns(array->type()->fields(), to->fields()));
  std::vector<std::shared_ptr<arrow::ArrayData>> children(to->num_fields());
  for (int i = 0; i < array->num_fields(); ++i) {
    const int target = match.target[i];
    ARROW_ASSIGN_OR_RAISE(ArrayPtr child, rows.GetFlattenedField(i));
    ARROW_ASSIGN_OR_RAISE(child, ExactCast(child, to->field(target)->type()));
    children[target] = child->data();
  }
  for (int i = 0; i < to->num_fields(); ++i) {
    if (children[i]) continue;
    ARROW_ASSIGN_OR_RAISE(ArrayPtr nulls,
                          arrow::MakeArrayOfNull(to->field(i)->type(), array->length()));
    children[i] = nulls->data();
  }
  ARROW_ASSIGN_OR_RAISE(auto validity, CopyValidity(*array));
  return arrow::MakeArray(
      arrow::ArrayData::Make(to, array->length(), {std::move(validity)},
                             std::move(children), array->null_count()));
}

arrow::Result<ArrayPtr> CastMap(const ArrayPtr& array, const TypePtr& to) {
  ARROW_ASSIGN_OR_RAISE(ArrayPtr flat,
                        static_cast<const arrow::MapArray&>(*array).Flatten());
  const auto& entries = static_cast<const arrow::StructArray&>(*flat);
  const TypePtr entry_type = to->field(0)->type();
  std::vector<std::shared_ptr<arrow::ArrayData>> children;
  for (int i = 0; i < 2; ++i) {
    ARROW_ASSIGN_OR_RAISE(ArrayPtr child,
                          ExactCast(entries.field(i), entry_type->field(i)->type()));
    children.push_back(child->data());
  }
  ArrayPtr values = arrow::MakeArray(arrow::ArrayData::Make(
      entry_type, flat->length(), {NoBuffer()}, std::move(children), 0));
  return WithValues<arrow::MapArray>(*array, to, values);
}

arrow::Result<ArrayPtr> Wrap(const ArrayPtr& array, const TypePtr& to) {
  const auto& extension = static_cast<const arrow::ExtensionType&>(*to);
  ARROW_ASSIGN_OR_RAISE(ArrayPtr storage, ExactCast(array, extension.storage_type()));
  return arrow::MakeArray(Relabel(storage->data(), to));
}

arrow::Result<ArrayPtr> Decode(const ArrayPtr& array, const TypePtr& to) {
  ArrayPtr decoded;
  if (array->type_id() == Type::DICTIONARY) {
    const auto& type = static_cast<const arrow::DictionaryType&>(*array->type());
    ARROW_ASSIGN_OR_RAISE(decoded, ArrowCast(*array, type.value_type()));
  } else {
    ARROW_ASSIGN_OR_RAISE(auto datum, arrow::compute::RunEndDecode(array));
    decoded = datum.make_array();
  }
  return ExactCast(decoded, to);
}

arrow::Result<ArrayPtr> Apply(Rule rule, const ArrayPtr& array, const TypePtr& to) {
  switch (rule) {
    case Rule::kNone:
      return Error(ErrorCode::kSchemaMismatch,
                   "type does not fit: ", array->type()->ToString(), " into ",
                   to->ToString());
    case Rule::kRelabel:
      return arrow::MakeArray(Relabel(array->data(), to));
    case Rule::kMicroInterval:
      return MicroInterval(array, to);
    case Rule::kToInterval:
      return ToInterval(array, to);
    case Rule::kNulls:
      return arrow::MakeArrayOfNull(to, array->length());
    case Rule::kUnwrap:
      return ExactCast(static_cast<const arrow::ExtensionArray&>(*array).storage(), to);
    case Rule::kWrap:
      return Wrap(array, to);
    case Rule::kDecode:
      return Decode(array, to);
    case Rule::kArrow:
      return ArrowCast(*array, to);
    case Rule::kRoundTrip:
      return RoundTrip(*array, to);
    case Rule::kNumber:
      return internal::CastNumber(*array, to);
    case Rule::kHalf: {
      ARROW_ASSIGN_OR_RAISE(ArrayPtr floats, ArrowCast(*array, arrow::float32()));
      return ExactCast(floats, to);
    }
    case Rule::kIntegerToDecimal:
      return IntegerToDecimal(*array, to);
    case Rule::kFloatToDecimal:
      return FloatToDecimal(array, to);
    case Rule::kDecimalToFloat:
      return DecimalToFloat(array, to);
    case Rule::kZonedTimestamp:
      return ZonedTimestamp(array, to);
    case Rule::kList:
      return CastList(array, to);
    case Rule::kFixedSizeList:
      return CastFixedSizeList(array, to);
    case Rule::kStruct:
      return CastStruct(array, to);
    case Rule::kMap:
      return CastMap(array, to);
  }
  return DoesNotFit(*to);
}

}  // namespace

bool IsIdentityCast(const DataType& from, const DataType& to) {
  if (from.id() != to.id() || from.id() == Type::INTERVAL_MONTH_DAY_NANO) return false;
  switch (from.id()) {
    case Type::TIMESTAMP:
      return static_cast<const arrow::TimestampType&>(from).unit() ==
                 static_cast<const arrow::TimestampType&>(to).unit() &&
             IsZoned(from) == IsZoned(to);
    case Type::FIXED_SIZE_LIST:
      return static_cast<const arrow::FixedSizeListType&>(from).list_size() ==
                 static_cast<const arrow::FixedSizeListType&>(to).list_size() &&
             SameChildren(from, to);
    case Type::LIST:
    case Type::LARGE_LIST:
    case Type::LIST_VIEW:
    case Type::LARGE_LIST_VIEW:
      return SameChildren(from, to);
    case Type::MAP:
      return SameChildren(*from.field(0)->type(), *to.field(0)->type());
    case Type::STRUCT:
      for (int i = 0; i < std::min(from.num_fields(), to.num_fields()); ++i) {
        if (from.field(i)->name() != to.field(i)->name()) return false;
      }
      return SameChildren(from, to);
    default:
      return from.Equals(to);
  }
}

bool CanCast(const DataType& from, const DataType& to) {
  return RuleFor(from, to) != Rule::kNone;
}

arrow::Result<ArrayPtr> ExactCast(const ArrayPtr& array, const TypePtr& to) {
  const Rule rule = RuleFor(*array->type(), *to);
  if (rule == Rule::kRelabel && array->type()->Equals(*to)) return array;
  ARROW_RETURN_NOT_OK(Initialize());
  return Apply(rule, array, to);
}

std::optional<int64_t> FirstRowThatDoesNotFit(const ArrayPtr& array, const TypePtr& to) {
  if (ExactCast(array, to).ok()) return std::nullopt;
  int64_t first = 0, length = array->length();
  while (length > 1) {
    const int64_t half = length / 2;
    if (ExactCast(array->Slice(first, half), to).ok()) {
      first += half;
      length -= half;
    } else {
      length = half;
    }
  }
  return first;
}

std::string ShownValue(const Array& array, int64_t row) {
  auto scalar = array.GetScalar(row);
  if (!scalar.ok()) return "?";
  std::string text = (*scalar)->ToString();
  const bool cut = text.size() > kShownBytesMax;
  if (cut) text.resize(kShownBytesMax);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
      c = '?';
    }
  }
  return cut ? text + "..." : text;
}

}  // namespace arrowport::schema
