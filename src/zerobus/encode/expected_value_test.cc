#include "zerobus/encode/expected_value_test.h"

#include <arrow/api.h>
#include <arrow/util/float16.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <utility>

namespace arrowport::zerobus::encode {
namespace {

namespace pb = google::protobuf;
using arrow::Scalar;
using arrow::Type;
using ScalarPtr = std::shared_ptr<Scalar>;

template <typename S, typename T>
const S& As(const T& scalar) {
  return static_cast<const S&>(scalar);
}

int64_t Floor(int64_t value, int64_t by) {
  return static_cast<int64_t>(
      std::floor(static_cast<long double>(value) / static_cast<long double>(by)));
}

ScalarPtr Decoded(ScalarPtr scalar) {
  while (true) {
    if (scalar->type->id() == Type::DICTIONARY) {
      if (!scalar->is_valid) return arrow::MakeNullScalar(arrow::null());
      scalar = static_cast<const arrow::DictionaryScalar&>(*scalar)
                   .GetEncodedValue().ValueOrDie();
    } else if (scalar->type->id() == Type::RUN_END_ENCODED) {
      scalar = static_cast<const arrow::RunEndEncodedScalar&>(*scalar).value;
    } else {
      return scalar;
    }
  }
}

std::string KeyText(const Value& key) {
  switch (key.kind) {
    case Value::kBoolean:
      return key.integer ? "true" : "false";
    case Value::kInteger:
      return std::to_string(key.integer);
    case Value::kDecimal:
      return key.decimal.ToIntegerString() + "e-" + std::to_string(key.scale);
    default:
      return key.text;
  }
}

Value Number(Value::Kind kind, int64_t integer, double number = 0) {
  Value value{kind};
  value.integer = integer;
  value.number = number;
  return value;
}

Value ExpectedMap(const arrow::MapScalar& map) {
  Value value{Value::kMap};
  const auto& entries = static_cast<const arrow::StructArray&>(*map.value);
  for (int64_t i = 0; i < entries.length(); ++i) {
    auto item = Expected(entries.field(1)->GetScalar(i).ValueOrDie());
    auto key = Expected(entries.field(0)->GetScalar(i).ValueOrDie());
    if (item) value.members.insert_or_assign(KeyText(*key), *item);
  }
  return value;
}

Value ExpectedDecimal(arrow::Decimal256 decimal, int32_t scale) {
  Value value{Value::kDecimal};
  value.decimal = scale < 0 ? decimal.Rescale(scale, 0).ValueOrDie() : decimal;
  value.scale = std::max(0, scale);
  return value;
}

Value ExpectedTimestamp(const Scalar& scalar) {
  int64_t raw = As<arrow::TimestampScalar>(scalar).value;
  switch (As<arrow::TimestampType>(*scalar.type).unit()) {
    case arrow::TimeUnit::SECOND:
      return Number(Value::kInteger, raw * 1000000);
    case arrow::TimeUnit::MILLI:
      return Number(Value::kInteger, raw * 1000);
    case arrow::TimeUnit::MICRO:
      return Number(Value::kInteger, raw);
    default:
      return Number(Value::kInteger, Floor(raw, 1000));
  }
}

Value ExpectedValue(const Scalar& scalar) {
  switch (scalar.type->id()) {
    case Type::BOOL:
      return Number(Value::kBoolean, As<arrow::BooleanScalar>(scalar).value);
    case Type::INT8:
      return Number(Value::kInteger, As<arrow::Int8Scalar>(scalar).value);
    case Type::INT16:
      return Number(Value::kInteger, As<arrow::Int16Scalar>(scalar).value);
    case Type::INT32:
      return Number(Value::kInteger, As<arrow::Int32Scalar>(scalar).value);
    case Type::INT64:
      return Number(Value::kInteger, As<arrow::Int64Scalar>(scalar).value);
    case Type::UINT8:
      return Number(Value::kInteger, As<arrow::UInt8Scalar>(scalar).value);
    case Type::UINT16:
      return Number(Value::kInteger, As<arrow::UInt16Scalar>(scalar).value);
    case Type::UINT32:
      return Number(Value::kInteger, As<arrow::UInt32Scalar>(scalar).value);
    case Type::UINT64:
      return ExpectedDecimal(
          arrow::Decimal256(arrow::Decimal128(0, As<arrow::UInt64Scalar>(scalar).value)), 0);
    case Type::HALF_FLOAT:
      return Number(Value::kFloat, 0,
                    arrow::util::Float16::FromBits(As<arrow::HalfFloatScalar>(scalar).value)
                        .ToFloat());
    case Type::FLOAT:
      return Number(Value::kFloat, 0, As<arrow::FloatScalar>(scalar).value);
    case Type::DOUBLE:
      return Number(Value::kDouble, 0, As<arrow::DoubleScalar>(scalar).value);
    case Type::DATE32:
      return Number(Value::kInteger, As<arrow::Date32Scalar>(scalar).value);
    case Type::DATE64:
      return Number(Value::kInteger, Floor(As<arrow::Date64Scalar>(scalar).value, 86400000));
    case Type::TIMESTAMP:
      return ExpectedTimestamp(scalar);
    case Type::DECIMAL32:
      return ExpectedDecimal(
          arrow::Decimal256(int64_t{As<arrow::Decimal32Scalar>(scalar).value.value()}),
          As<arrow::DecimalType>(*scalar.type).scale());
    case Type::DECIMAL64:
      return ExpectedDecimal(
          arrow::Decimal256(As<arrow::Decimal64Scalar>(scalar).value.value()),
          As<arrow::DecimalType>(*scalar.type).scale());
    case Type::DECIMAL128:
      return ExpectedDecimal(arrow::Decimal256(As<arrow::Decimal128Scalar>(scalar).value),
                             As<arrow::DecimalType>(*scalar.type).scale());
    case Type::DECIMAL256:
      return ExpectedDecimal(As<arrow::Decimal256Scalar>(scalar).value,
                             As<arrow::DecimalType>(*scalar.type).scale());
    default: {
      const auto& bytes = As<arrow::BaseBinaryScalar>(scalar);
      bool text = arrow::is_string(scalar.type->id()) ||
                  scalar.type->id() == Type::STRING_VIEW;
      Value value{text ? Value::kText : Value::kBytes};
      value.text = std::string(bytes.view());
      return value;
    }
  }
}

void ExpectSameNumber(double found, double wanted, const std::string& where) {
  if (std::isnan(wanted)) {
    EXPECT_TRUE(std::isnan(found)) << where;
  } else {
    EXPECT_EQ(found, wanted) << where;
    EXPECT_EQ(std::signbit(found), std::signbit(wanted)) << where;
  }
}

void ExpectSameDecimal(const std::string& text, const Value& wanted,
                       const std::string& where) {
  arrow::Decimal256 parsed;
  int32_t precision, scale;
  ASSERT_TRUE(arrow::Decimal256::FromString(text, &parsed, &precision, &scale).ok())
      << where << text;
  EXPECT_EQ(scale, wanted.scale) << where << text;
  EXPECT_EQ(parsed, wanted.decimal) << where << text;
  EXPECT_EQ(text.find_first_not_of("-0123456789."), std::string::npos) << where << text;
  size_t digit = text.find_first_not_of('-');
  EXPECT_TRUE(text[digit] != '0' || digit + 1 == text.size() || text[digit + 1] == '.')
      << where << text;
}

/// One value of a field, singular (index < 0) or repeated.
void ExpectSameField(const pb::Message& message, const pb::FieldDescriptor* field,
                     int index, const Value& wanted, const std::string& where) {
  const pb::Reflection& r = *message.GetReflection();
#define GET(TYPE) (index < 0 ? r.Get##TYPE(message, field) \
                             : r.GetRepeated##TYPE(message, field, index))
  switch (field->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      EXPECT_EQ(wanted.kind, Value::kBoolean) << where;
      EXPECT_EQ(GET(Bool), wanted.integer != 0) << where;
      break;
    case pb::FieldDescriptor::CPPTYPE_INT32:
      EXPECT_EQ(wanted.kind, Value::kInteger) << where;
      EXPECT_EQ(GET(Int32), wanted.integer) << where;
      break;
    case pb::FieldDescriptor::CPPTYPE_INT64:
      EXPECT_EQ(wanted.kind, Value::kInteger) << where;
      EXPECT_EQ(GET(Int64), wanted.integer) << where;
      break;
    case pb::FieldDescriptor::CPPTYPE_FLOAT:
      EXPECT_EQ(wanted.kind, Value::kFloat) << where;
      ExpectSameNumber(GET(Float), wanted.number, where);
      break;
    case pb::FieldDescriptor::CPPTYPE_DOUBLE:
      EXPECT_EQ(wanted.kind, Value::kDouble) << where;
      ExpectSameNumber(GET(Double), wanted.number, where);
      break;
    case pb::FieldDescriptor::CPPTYPE_STRING:
      if (wanted.kind == Value::kDecimal) {
        ExpectSameDecimal(GET(String), wanted, where);
      } else {
        EXPECT_EQ(field->type() == pb::FieldDescriptor::TYPE_BYTES,
                  wanted.kind == Value::kBytes) << where;
        EXPECT_EQ(GET(String), wanted.text) << where;
      }
      break;
    case pb::FieldDescriptor::CPPTYPE_MESSAGE:
      EXPECT_EQ(wanted.kind, Value::kStruct) << where;
      ExpectSame(GET(Message), wanted, where);
      break;
    default:
      FAIL() << where << field->type_name();
  }
#undef GET
}

std::string FoundKey(const pb::Message& entry, const Value& wanted_map) {
  const pb::FieldDescriptor* key = entry.GetDescriptor()->map_key();
  const pb::Reflection& r = *entry.GetReflection();
  switch (key->cpp_type()) {
    case pb::FieldDescriptor::CPPTYPE_BOOL:
      return r.GetBool(entry, key) ? "true" : "false";
    case pb::FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(r.GetInt32(entry, key));
    case pb::FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(r.GetInt64(entry, key));
    default: {
      std::string text = r.GetString(entry, key);
      if (wanted_map.members.contains(text)) return text;
      arrow::Decimal256 parsed;
      int32_t precision, scale;
      if (!arrow::Decimal256::FromString(text, &parsed, &precision, &scale).ok()) {
        return text;
      }
      return parsed.ToIntegerString() + "e-" + std::to_string(scale);
    }
  }
}

std::string Base64Decoded(const std::string& text) {
  static const std::string alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<uint32_t>(alphabet.find(c));
    count += 6;
    if (count >= 8) bytes += static_cast<char>(bits >> (count -= 8));
  }
  EXPECT_EQ(text.size() % 4, 0u);
  return bytes;
}

}  // namespace

std::optional<Value> Expected(std::shared_ptr<Scalar> scalar) {
  scalar = Decoded(std::move(scalar));
  if (!scalar->is_valid || scalar->type->id() == Type::NA) return std::nullopt;
  if (scalar->type->id() == Type::STRUCT) {
    const auto& fields = As<arrow::StructScalar>(*scalar);
    Value value{Value::kStruct};
    for (int i = 0; i < scalar->type->num_fields(); ++i) {
      auto member = Expected(fields.value[static_cast<size_t>(i)]);
      if (member) value.members.emplace(scalar->type->field(i)->name(), *member);
    }
    return value;
  }
  if (scalar->type->id() == Type::MAP) return ExpectedMap(As<arrow::MapScalar>(*scalar));
  if (arrow::is_list_like(scalar->type->id()) || arrow::is_list_view(*scalar->type)) {
    const auto& list = As<arrow::BaseListScalar>(*scalar);
    Value value{Value::kList};
    for (int64_t i = 0; i < list.value->length(); ++i) {
      auto element = Expected(list.value->GetScalar(i).ValueOrDie());
      if (element) value.elements.push_back(*element);
    }
    return value;
  }
  return ExpectedValue(*scalar);
}

Value ExpectedRow(const arrow::RecordBatch& batch, int64_t row) {
  Value wanted{Value::kStruct};
  for (int i = 0; i < batch.num_columns(); ++i) {
    auto value = Expected(batch.column(i)->GetScalar(row).ValueOrDie());
    if (value) wanted.members.emplace(batch.column_name(i), *value);
  }
  return wanted;
}

void ExpectSame(const pb::Message& message, const Value& wanted, const std::string& where) {
  const pb::Reflection& r = *message.GetReflection();
  EXPECT_TRUE(r.GetUnknownFields(message).empty()) << where;
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const pb::FieldDescriptor* field = message.GetDescriptor()->field(i);
    std::string here = where + "." + field->name() + " ";
    auto found = wanted.members.find(field->name());
    const Value* value = found == wanted.members.end() ? nullptr : &found->second;
    if (!field->is_repeated()) {
      ASSERT_EQ(r.HasField(message, field), value != nullptr) << here;
      if (value) ExpectSameField(message, field, -1, *value, here);
    } else if (field->is_map()) {
      size_t count = value ? value->members.size() : 0;
      ASSERT_EQ(static_cast<size_t>(r.FieldSize(message, field)), count) << here;
      for (int j = 0; j < static_cast<int>(count); ++j) {
        const pb::Message& entry = r.GetRepeatedMessage(message, field, j);
        auto item = value->members.find(FoundKey(entry, *value));
        ASSERT_NE(item, value->members.end()) << here << entry.ShortDebugString();
        ExpectSameField(entry, entry.GetDescriptor()->map_value(), -1, item->second, here);
      }
    } else {
      size_t count = value ? value->elements.size() : 0;
      ASSERT_EQ(static_cast<size_t>(r.FieldSize(message, field)), count) << here;
      for (size_t j = 0; j < count; ++j) {
        ExpectSameField(message, field, static_cast<int>(j), value->elements[j], here);
      }
    }
  }
}

void ExpectSameJson(const nlohmann::json& found, const Value& wanted,
                    const std::string& where) {
  switch (wanted.kind) {
    case Value::kInteger:
      ASSERT_TRUE(found.is_number_integer()) << where << found;
      EXPECT_EQ(found.get<int64_t>(), wanted.integer) << where;
      break;
    case Value::kBoolean:
      ASSERT_TRUE(found.is_boolean()) << where << found;
      EXPECT_EQ(found.get<bool>(), wanted.integer != 0) << where;
      break;
    case Value::kFloat:
    case Value::kDouble:
      if (!std::isfinite(wanted.number)) {
        EXPECT_EQ(found, std::isnan(wanted.number) ? "NaN"
                         : wanted.number > 0       ? "Infinity"
                                                   : "-Infinity") << where;
      } else {
        ASSERT_TRUE(found.is_number()) << where << found;
        double number = found.get<double>();
        EXPECT_EQ(wanted.kind == Value::kFloat ? static_cast<float>(number) : number,
                  wanted.number) << where;
      }
      break;
    case Value::kText:
      EXPECT_EQ(found, wanted.text) << where;
      break;
    case Value::kBytes:
      EXPECT_EQ(Base64Decoded(found.get<std::string>()), wanted.text) << where;
      break;
    case Value::kDecimal:
      ExpectSameDecimal(found.get<std::string>(), wanted, where);
      break;
    case Value::kStruct:
      ASSERT_TRUE(found.is_object()) << where << found;
      EXPECT_EQ(found.size(), wanted.members.size()) << where << found;
      for (const auto& [name, value] : wanted.members) {
        ASSERT_TRUE(found.contains(name)) << where << name;
        ExpectSameJson(found[name], value, where + "." + name + " ");
      }
      break;
    case Value::kList:
      ASSERT_EQ(found.size(), wanted.elements.size()) << where << found;
      for (size_t i = 0; i < wanted.elements.size(); ++i) {
        ExpectSameJson(found[i], wanted.elements[i], where + "[] ");
      }
      break;
    case Value::kMap:
      ASSERT_EQ(found.size(), wanted.members.size()) << where << found;
      for (const auto& [key, value] : wanted.members) {
        if (!found.contains(key)) continue;  // decimal keys: text differs from KeyText
        ExpectSameJson(found[key], value, where + "{} ");
      }
      break;
  }
}

}  // namespace arrowport::zerobus::encode
