#include "zerobus/encode/explicit_cast.h"

#include <arrow/array.h>
#include <arrow/builder.h>
#include <arrow/compute/cast.h>
#include <arrow/extension_type.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "zerobus/encode/table_schema.h"

namespace arrowport::zerobus::encode {
namespace {

using arrow::Type;
using TypePointer = std::shared_ptr<arrow::DataType>;
using DataPointer = std::shared_ptr<arrow::ArrayData>;

// --- Types ---

arrow::Status Refuse(const arrow::DataType& type, const char* why) {
  return Error(ErrorCode::kUnsupportedType, "cannot be sent ", why, ": ",
               type.ToString().substr(0, 200));
}

arrow::Result<TypePointer> IntegerOf(const TypePointer& type) {
  switch (type->id()) {
    case Type::TIME32:
    case Type::INTERVAL_MONTHS:
      return arrow::int32();
    case Type::TIME64:
    case Type::DURATION:
      return arrow::int64();
    default:
      return Refuse(*type, "as one integer, cast it to text");
  }
}

arrow::Result<TypePointer> TextOf(const TypePointer& type) {
  if (type->id() == Type::SPARSE_UNION || type->id() == Type::DENSE_UNION) {
    for (const auto& member : type->fields()) {
      const bool known = TextOf(member->type()).ok() ||
                         arrow::compute::CanCast(*member->type(), *arrow::large_utf8());
      if (!known) return Refuse(*type, "as text, a member has none");
    }
    return arrow::large_utf8();
  }
  const bool is_interval = arrow::is_interval(type->id());
  if (is_interval || arrow::is_time(type->id()) || type->id() == Type::DURATION) {
    return arrow::large_utf8();
  }
  return Refuse(*type, "as text");
}

arrow::Result<TypePointer> CastType(const TypePointer& type, ExplicitCast cast,
                                    int depth);

/// `field` with the type it is sent as; the same pointer when nothing changes.
arrow::Result<std::shared_ptr<arrow::Field>> CastField(
    const std::shared_ptr<arrow::Field>& field, ExplicitCast cast, int depth) {
  auto type = CastType(field->type(), cast, depth);
  if (!type.ok()) return WithContext(field->name().substr(0, 200), type.status());
  return *type == field->type() ? field : field->WithType(*type);
}

arrow::Result<TypePointer> CastStruct(const TypePointer& type, ExplicitCast cast,
                                      int depth) {
  arrow::FieldVector fields;
  bool changed = false;
  for (const auto& field : type->fields()) {
    ARROW_ASSIGN_OR_RAISE(fields.emplace_back(), CastField(field, cast, depth));
    changed |= fields.back() != field;
  }
  return changed ? arrow::struct_(std::move(fields)) : type;
}

arrow::Result<TypePointer> CastMap(const TypePointer& type, ExplicitCast cast,
                                   int depth) {
  const auto& map = static_cast<const arrow::MapType&>(*type);
  ARROW_ASSIGN_OR_RAISE(auto key, CastField(map.key_field(), cast, depth));
  ARROW_ASSIGN_OR_RAISE(auto item, CastField(map.item_field(), cast, depth));
  if (key == map.key_field() && item == map.item_field()) return type;
  return std::make_shared<arrow::MapType>(std::move(key), std::move(item),
                                          map.keys_sorted());
}

arrow::Result<TypePointer> CastList(const TypePointer& type, ExplicitCast cast,
                                    int depth) {
  ARROW_ASSIGN_OR_RAISE(auto field, CastField(type->field(0), cast, depth));
  if (field == type->field(0)) return type;
  switch (type->id()) {
    case Type::LARGE_LIST:
      return arrow::large_list(field);
    case Type::FIXED_SIZE_LIST:
      return arrow::fixed_size_list(
          field, static_cast<const arrow::FixedSizeListType&>(*type).list_size());
    case Type::LIST_VIEW:
      return arrow::list_view(field);
    case Type::LARGE_LIST_VIEW:
      return arrow::large_list_view(field);
    default:
      return arrow::list(field);
  }
}

arrow::Result<TypePointer> CastType(const TypePointer& type, ExplicitCast cast,
                                    int depth) {
  if (depth > kTypeDepthMax) {
    return Error(ErrorCode::kUnsupportedType, "types are nested deeper than ",
                 kTypeDepthMax);
  }
  switch (type->id()) {
    case Type::TIME32:
    case Type::TIME64:
    case Type::DURATION:
    case Type::INTERVAL_MONTHS:
    case Type::INTERVAL_DAY_TIME:
    case Type::INTERVAL_MONTH_DAY_NANO:
    case Type::SPARSE_UNION:
    case Type::DENSE_UNION:
      return cast == ExplicitCast::kIntegers ? IntegerOf(type) : TextOf(type);
    case Type::STRUCT:
      return CastStruct(type, cast, depth + 1);
    case Type::MAP:
      return CastMap(type, cast, depth + 1);
    case Type::LIST:
    case Type::LARGE_LIST:
    case Type::FIXED_SIZE_LIST:
    case Type::LIST_VIEW:
    case Type::LARGE_LIST_VIEW:
      return CastList(type, cast, depth + 1);
    case Type::DICTIONARY: {
      const auto& dictionary = static_cast<const arrow::DictionaryType&>(*type);
      ARROW_ASSIGN_OR_RAISE(auto value,
                            CastType(dictionary.value_type(), cast, depth + 1));
      if (value == dictionary.value_type()) return type;
      return arrow::dictionary(dictionary.index_type(), value, dictionary.ordered());
    }
    case Type::RUN_END_ENCODED: {
      const auto& encoded = static_cast<const arrow::RunEndEncodedType&>(*type);
      ARROW_ASSIGN_OR_RAISE(auto value, CastType(encoded.value_type(), cast, depth + 1));
      if (value == encoded.value_type()) return type;
      return arrow::run_end_encoded(encoded.run_end_type(), value);
    }
    case Type::EXTENSION: {
      const auto& storage =
          static_cast<const arrow::ExtensionType&>(*type).storage_type();
      ARROW_ASSIGN_OR_RAISE(auto value, CastType(storage, cast, depth + 1));
      return value == storage ? type : value;
    }
    default:
      return type;
  }
}

// --- Texts ---

struct Unit {
  uint64_t per_second;
  int digits;
};

Unit UnitOf(arrow::TimeUnit::type unit) {
  switch (unit) {
    case arrow::TimeUnit::SECOND:
      return {1, 0};
    case arrow::TimeUnit::MILLI:
      return {1'000, 3};
    case arrow::TimeUnit::MICRO:
      return {1'000'000, 6};
    case arrow::TimeUnit::NANO:
      break;
  }
  return {1'000'000'000, 9};
}

/// Also of INT64_MIN, whose magnitude is no int64.
uint64_t Magnitude(int64_t value) {
  return value < 0 ? ~static_cast<uint64_t>(value) + 1 : static_cast<uint64_t>(value);
}

std::string Padded(uint64_t value, size_t digits) {
  std::string text = std::to_string(value);
  return text.size() < digits ? std::string(digits - text.size(), '0') + text : text;
}

std::string Fraction(uint64_t value, const Unit& unit) {
  if (unit.digits == 0) return "";
  return "." + Padded(value % unit.per_second, static_cast<size_t>(unit.digits));
}

std::string TimeText(int64_t value, const Unit& unit) {
  const uint64_t size = Magnitude(value);
  const uint64_t seconds = size / unit.per_second;
  return (value < 0 ? "-" : "") + Padded(seconds / 3600, 2) + ":" +
         Padded(seconds / 60 % 60, 2) + ":" + Padded(seconds % 60, 2) +
         Fraction(size, unit);
}

/// "T1.500S", with the sign in front of the number.
std::string SecondsText(int64_t value, const Unit& unit) {
  const uint64_t size = Magnitude(value);
  return std::string("T") + (value < 0 ? "-" : "") +
         std::to_string(size / unit.per_second) + Fraction(size, unit) + "S";
}

template <typename ArrayType, typename Text>
arrow::Result<DataPointer> MakeTexts(const ArrayType& array, Text text) {
  arrow::LargeStringBuilder builder;
  ARROW_RETURN_NOT_OK(builder.Reserve(array.length()));
  for (int64_t i = 0; i < array.length(); ++i) {
    ARROW_RETURN_NOT_OK(array.IsNull(i) ? builder.AppendNull()
                                        : builder.Append(text(array.Value(i))));
  }
  ARROW_ASSIGN_OR_RAISE(const auto made, builder.Finish());
  return made->data();
}

arrow::Result<DataPointer> CastToText(const DataPointer& data);

/// The value of a union's row: which member, and where in it. Errors: kBadData.
arrow::Result<std::pair<int, int64_t>> FindMember(const arrow::UnionArray& array,
                                                  int64_t row) {
  const auto& type = static_cast<const arrow::UnionType&>(*array.type());
  const int8_t code = array.raw_type_codes()[row];
  const int member = code < 0 ? -1 : type.child_ids()[static_cast<size_t>(code)];
  int64_t index = row + array.offset();
  if (array.mode() == arrow::UnionMode::DENSE) {
    index = static_cast<const arrow::DenseUnionArray&>(array).value_offset(row);
  }
  if (member < 0 || index < 0 ||
      index >= array.data()->child_data[static_cast<size_t>(member)]->length) {
    return Error(ErrorCode::kBadData, "a union's type code or offset points nowhere");
  }
  return std::pair(member, index);
}

arrow::Result<DataPointer> UnionTexts(const arrow::UnionArray& array) {
  std::vector<std::shared_ptr<arrow::LargeStringArray>> members;
  for (const DataPointer& member : array.data()->child_data) {
    ARROW_ASSIGN_OR_RAISE(auto text, CastToText(member));
    members.push_back(std::make_shared<arrow::LargeStringArray>(text));
  }
  arrow::LargeStringBuilder builder;
  for (int64_t row = 0; row < array.length(); ++row) {
    ARROW_ASSIGN_OR_RAISE(const auto found, FindMember(array, row));
    const auto& texts = *members[static_cast<size_t>(found.first)];
    ARROW_RETURN_NOT_OK(texts.IsNull(found.second)
                            ? builder.AppendNull()
                            : builder.Append(texts.GetView(found.second)));
  }
  ARROW_ASSIGN_OR_RAISE(const auto made, builder.Finish());
  return made->data();
}

arrow::Result<DataPointer> CastToText(const DataPointer& data) {
  const auto array = arrow::MakeArray(data);
  switch (data->type->id()) {
    case Type::TIME32: {
      const auto unit = UnitOf(static_cast<const arrow::Time32Type&>(*data->type).unit());
      return MakeTexts(static_cast<const arrow::Time32Array&>(*array),
                       [&](int32_t value) { return TimeText(value, unit); });
    }
    case Type::TIME64: {
      const auto unit = UnitOf(static_cast<const arrow::Time64Type&>(*data->type).unit());
      return MakeTexts(static_cast<const arrow::Time64Array&>(*array),
                       [&](int64_t value) { return TimeText(value, unit); });
    }
    case Type::DURATION: {
      const auto unit =
          UnitOf(static_cast<const arrow::DurationType&>(*data->type).unit());
      return MakeTexts(static_cast<const arrow::DurationArray&>(*array),
                       [&](int64_t value) { return "P" + SecondsText(value, unit); });
    }
    case Type::INTERVAL_MONTHS:
      return MakeTexts(static_cast<const arrow::MonthIntervalArray&>(*array),
                       [](int32_t value) { return "P" + std::to_string(value) + "M"; });
    case Type::INTERVAL_DAY_TIME:
      return MakeTexts(
          static_cast<const arrow::DayTimeIntervalArray&>(*array), [](const auto& value) {
            return "P" + std::to_string(value.days) + "D" +
                   SecondsText(value.milliseconds, UnitOf(arrow::TimeUnit::MILLI));
          });
    case Type::INTERVAL_MONTH_DAY_NANO:
      return MakeTexts(
          static_cast<const arrow::MonthDayNanoIntervalArray&>(*array),
          [](const auto& value) {
            return "P" + std::to_string(value.months) + "M" + std::to_string(value.days) +
                   "D" + SecondsText(value.nanoseconds, UnitOf(arrow::TimeUnit::NANO));
          });
    case Type::SPARSE_UNION:
    case Type::DENSE_UNION:
      return UnionTexts(static_cast<const arrow::UnionArray&>(*array));
    default: {
      ARROW_ASSIGN_OR_RAISE(const auto text,
                            arrow::compute::Cast(*array, arrow::large_utf8()));
      return text->data();
    }
  }
}

// --- Data ---

arrow::Result<DataPointer> CastData(const DataPointer& data, const TypePointer& to) {
  if (data->type == to || data->type->Equals(*to)) return data;
  switch (data->type->id()) {
    case Type::TIME32:
    case Type::TIME64:
    case Type::DURATION:
    case Type::INTERVAL_MONTHS:
    case Type::INTERVAL_DAY_TIME:
    case Type::INTERVAL_MONTH_DAY_NANO:
    case Type::SPARSE_UNION:
    case Type::DENSE_UNION: {
      if (to->id() == Type::LARGE_STRING) return CastToText(data);
      DataPointer integers = data->Copy();  // the same bytes
      integers->type = to;
      return integers;
    }
    case Type::EXTENSION: {
      DataPointer storage = data->Copy();
      storage->type =
          static_cast<const arrow::ExtensionType&>(*data->type).storage_type();
      return CastData(storage, to);
    }
    default:
      break;
  }
  DataPointer changed = data->Copy();
  changed->type = to;
  for (size_t i = 0; i < changed->child_data.size(); ++i) {
    ARROW_ASSIGN_OR_RAISE(
        changed->child_data[i],
        CastData(data->child_data[i], to->field(static_cast<int>(i))->type()));
  }
  if (data->dictionary) {
    ARROW_ASSIGN_OR_RAISE(
        changed->dictionary,
        CastData(data->dictionary,
                 static_cast<const arrow::DictionaryType&>(*to).value_type()));
  }
  return changed;
}

}  // namespace

arrow::Result<std::shared_ptr<arrow::Schema>> ExplicitCastSchema(
    const std::shared_ptr<arrow::Schema>& schema, ExplicitCast cast) {
  arrow::FieldVector fields;
  bool changed = false;
  for (const auto& field : schema->fields()) {
    ARROW_ASSIGN_OR_RAISE(fields.emplace_back(), CastField(field, cast, 1));
    changed |= fields.back() != field;
  }
  return changed ? arrow::schema(std::move(fields), schema->metadata()) : schema;
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> ExplicitCastBatch(
    const std::shared_ptr<arrow::RecordBatch>& batch,
    const std::shared_ptr<arrow::Schema>& to) {
  std::vector<DataPointer> columns;
  for (int i = 0; i < batch->num_columns(); ++i) {
    auto column = CastData(batch->column_data(i), to->field(i)->type());
    if (!column.ok()) {
      return WithContext(batch->schema()->field(i)->name().substr(0, 200),
                         column.status());
    }
    columns.push_back(*std::move(column));
  }
  return arrow::RecordBatch::Make(to, batch->num_rows(), std::move(columns));
}

}  // namespace arrowport::zerobus::encode
