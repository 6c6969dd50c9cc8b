#include "zerobus/encode/row_encoder.h"

#include <arrow/api.h>
#include <arrow/extension/uuid.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "zerobus/encode/descriptor.h"
#include "zerobus/encode/encoded_rows_test.h"
#include "zerobus/encode/expected_value_test.h"

namespace arrowport::zerobus::encode {
namespace {

namespace pb = google::protobuf;
using arrow::field;
using ArrayPtr = std::shared_ptr<arrow::Array>;
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

template <typename Builder, typename T>
ArrayPtr Values(const std::vector<std::optional<T>>& values,
                std::shared_ptr<arrow::DataType> type) {
  Builder builder(type, arrow::default_memory_pool());
  for (const auto& value : values) {
    EXPECT_TRUE((value ? builder.Append(*value) : builder.AppendNull()).ok());
  }
  return builder.Finish().ValueOrDie();
}
ArrayPtr Int64s(const std::vector<std::optional<int64_t>>& values) {
  return Values<arrow::Int64Builder, int64_t>(values, arrow::int64());
}
ArrayPtr Texts(const std::vector<std::optional<std::string>>& values) {
  return Values<arrow::StringBuilder, std::string>(values, arrow::utf8());
}
ArrayPtr Times(const std::vector<std::optional<int64_t>>& values,
               arrow::TimeUnit::type unit) {
  return Values<arrow::TimestampBuilder, int64_t>(values, arrow::timestamp(unit, "UTC"));
}

TableType Type(TypeId id, int32_t precision = 0, int32_t scale = 0) {
  return {.id = id, .precision = precision, .scale = scale};
}

struct OneColumn {
  ArrayPtr array;
  TableType type;
  bool nullable = true;
};

EncodedRows Encoded(const OneColumn& column, RowEncoder* = nullptr,
                    const EncodeOptions& options = {}, bool json = false) {
  auto batch = arrow::RecordBatch::Make(
      arrow::schema({field("c", column.array->type())}), column.array->length(),
      {column.array});
  auto table = TableSchema::Make({{"c", column.type, column.nullable, 0}}).ValueOrDie();
  auto encoder =
      json ? RowEncoder::MakeJson(*batch->schema(), table, options)
           : RowEncoder::MakeProtobuf(*batch->schema(),
                                      MakeDescriptor(table).ValueOrDie(), &table, options);
  EXPECT_TRUE(encoder.ok()) << encoder.status();
  if (!encoder.ok()) return {};
  auto rows = (*encoder)->Encode(*batch);
  EXPECT_TRUE(rows.ok()) << rows.status();
  return rows.ok() ? std::move(rows).ValueUnsafe() : EncodedRows{};
}

EncodedRows EncodedJson(const OneColumn& column, const EncodeOptions& options = {}) {
  return Encoded(column, nullptr, options, true);
}

/// Both encoders must fail the same rows for the same reason.
void ExpectFailures(const OneColumn& column, const std::string& wanted,
                    const EncodeOptions& options = {}) {
  EXPECT_EQ(Failures(Encoded(column, nullptr, options)), wanted);
  EXPECT_EQ(Failures(EncodedJson(column, options)), wanted);
}

std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (char c : bytes) {
    hex += kDigits[static_cast<uint8_t>(c) >> 4];
    hex += kDigits[c & 15];
  }
  return hex;
}

TEST(RowEncoder, DefaultValuesAreWrittenAndNullsAreNot) {
  OneColumn zero{Int64s({0, std::nullopt, -1}), Type(TypeId::kBigInt)};
  EncodedRows rows = Encoded(zero);
  EXPECT_EQ(Hex(rows.rows[0]), "0800");
  EXPECT_EQ(rows.rows[1].size(), 0u);
  EXPECT_NE(rows.rows[1].data(), nullptr);
  EXPECT_EQ(Hex(rows.rows[2]), "08ffffffffffffffffff01");
  EXPECT_EQ(Hex(Encoded({Texts({""}), Type(TypeId::kString)}).rows[0]), "0a00");
  auto small = Values<arrow::Int32Builder, int32_t>({-5}, arrow::int32());
  EXPECT_EQ(Hex(Encoded({small, Type(TypeId::kInt)}).rows[0]), "08fbffffffffffffffff01");
  rows = EncodedJson(zero);
  EXPECT_EQ(rows.rows[0], R"({"c":0})");
  EXPECT_EQ(rows.rows[1], "{}");
}

TEST(RowEncoder, IntegersOutsideTheColumnFailTheirRow) {
  auto wide = Int64s({127, 128, -128, -129, std::nullopt, kMax, kMin});
  ExpectFailures({wide, Type(TypeId::kTinyInt)},
                 "1:SCHEMA_MISMATCH 3:SCHEMA_MISMATCH 5:SCHEMA_MISMATCH 6:SCHEMA_MISMATCH");
  ExpectFailures({Int64s({32767, 32768, -32768, -32769}), Type(TypeId::kSmallInt)},
                 "1:SCHEMA_MISMATCH 3:SCHEMA_MISMATCH");
  ExpectFailures({Int64s({2147483647, 2147483648, -2147483648LL, -2147483649LL}),
                  Type(TypeId::kInt)},
                 "1:SCHEMA_MISMATCH 3:SCHEMA_MISMATCH");
  auto huge = Values<arrow::UInt64Builder, uint64_t>(
      {0, uint64_t{kMax}, uint64_t{kMax} + 1, std::numeric_limits<uint64_t>::max()},
      arrow::uint64());
  ExpectFailures({huge, Type(TypeId::kBigInt)}, "2:SCHEMA_MISMATCH 3:SCHEMA_MISMATCH");
  ExpectFailures({huge, Type(TypeId::kDecimal, 20, 0)}, "");
  EXPECT_EQ(EncodedJson({huge, Type(TypeId::kDecimal, 20, 0)}).rows[3],
            R"({"c":"18446744073709551615"})");
  EXPECT_EQ(EncodedJson({huge, Type(TypeId::kBigInt)}).rows[1],
            R"({"c":9223372036854775807})");
}

TEST(RowEncoder, TimestampsAndDatesFloorAndAreCheckedForOverflow) {
  auto text = [](const OneColumn& column, size_t row) {
    return std::string(EncodedJson(column).rows[row]);
  };
  OneColumn nanos{Times({-1, -1000, -1001, 999, kMin}, arrow::TimeUnit::NANO),
                  Type(TypeId::kTimestamp)};
  EXPECT_EQ(text(nanos, 0), R"({"c":-1})");
  EXPECT_EQ(text(nanos, 1), R"({"c":-1})");
  EXPECT_EQ(text(nanos, 2), R"({"c":-2})");
  EXPECT_EQ(text(nanos, 3), R"({"c":0})");
  EXPECT_EQ(text(nanos, 4), R"({"c":-9223372036854776})");
  ExpectFailures({Times({9223372036854, 9223372036855, -9223372036855},
                        arrow::TimeUnit::SECOND),
                  Type(TypeId::kTimestamp)},
                 "1:SCHEMA_MISMATCH 2:SCHEMA_MISMATCH");
  ExpectFailures({Times({9223372036854775, 9223372036854776, kMin}, arrow::TimeUnit::MILLI),
                  Type(TypeId::kTimestamp)},
                 "1:SCHEMA_MISMATCH 2:SCHEMA_MISMATCH");
  OneColumn dates{Values<arrow::Date64Builder, int64_t>({-1, 86399999, 86400000, kMax},
                                                        arrow::date64()),
                  Type(TypeId::kDate)};
  EXPECT_EQ(text(dates, 0), R"({"c":-1})");
  EXPECT_EQ(text(dates, 1), R"({"c":0})");
  EXPECT_EQ(text(dates, 2), R"({"c":1})");
  ExpectFailures(dates, "3:SCHEMA_MISMATCH");
}

TEST(RowEncoder, DecimalsTakeTheScaleOfTheColumnOrFail) {
  auto type = arrow::decimal128(10, 3);
  auto array = Values<arrow::Decimal128Builder, arrow::Decimal128>(
      {1500, -5, 0, 12345, 9999990, std::nullopt}, type);
  OneColumn same{array, Type(TypeId::kDecimal, 10, 3)};
  EncodedRows rows = EncodedJson(same);
  EXPECT_EQ(rows.rows[0], R"({"c":"1.500"})");
  EXPECT_EQ(rows.rows[1], R"({"c":"-0.005"})");
  EXPECT_EQ(rows.rows[2], R"({"c":"0.000"})");
  EXPECT_EQ(rows.rows[3], R"({"c":"12.345"})");
  EXPECT_EQ(EncodedJson({array, Type(TypeId::kDecimal, 12, 5)}).rows[0],
            R"({"c":"1.50000"})");
  // One fraction digit, four in all: -0.005 and 12.345 lose digits, 9999.990 is too long.
  ExpectFailures({array, Type(TypeId::kDecimal, 4, 1)},
                 "1:SCHEMA_MISMATCH 3:SCHEMA_MISMATCH 4:SCHEMA_MISMATCH");
  auto whole = Int64s({7, 1000, -3});
  rows = EncodedJson({whole, Type(TypeId::kDecimal, 5, 2)});
  EXPECT_EQ(rows.rows[0], R"({"c":"7.00"})");
  EXPECT_EQ(Failures(rows), "1:SCHEMA_MISMATCH");
  auto widest = Values<arrow::Decimal256Builder, arrow::Decimal256>(
      {arrow::Decimal256("-" + std::string(76, '9')), arrow::Decimal256("1")},
      arrow::decimal256(76, 76));
  rows = EncodedJson({widest, Type(TypeId::kDecimal, 76, 76)});
  EXPECT_EQ(rows.rows[0], R"({"c":"-0.)" + std::string(76, '9') + R"("})");
  EXPECT_EQ(rows.rows[1], R"({"c":"0.)" + std::string(75, '0') + R"(1"})");
}

TEST(RowEncoder, TextMustBeUtf8InItsOwnCell) {
  // Together "\xc3" and "\xa9" are a character; neither cell is text.
  ExpectFailures({Texts({"a", "\xc3", "\xa9", "é", "\xff", ""}), Type(TypeId::kString)},
                 "1:BAD_DATA 2:BAD_DATA 4:BAD_DATA");
  ExpectFailures({Texts({"a", "\xc3", "\xa9", "b"}), Type(TypeId::kString)},
                 "1:BAD_DATA 2:BAD_DATA");
  ExpectFailures({Texts({"\xc3", std::nullopt, "\xa9"}), Type(TypeId::kString)},
                 "0:BAD_DATA 2:BAD_DATA");
  ExpectFailures({Texts({"\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80"}),
                  Type(TypeId::kString)},
                 "0:BAD_DATA 1:BAD_DATA 2:BAD_DATA");
  ExpectFailures({Texts({"{\"a\":[1,null]}", "{a:1}", "", "1 2", "\"\xff\"", "null"}),
                  Type(TypeId::kVariant)},
                 "1:BAD_DATA 2:BAD_DATA 3:BAD_DATA 4:BAD_DATA");
}

TEST(RowEncoder, NullsWhereNoneMayBe) {
  ExpectFailures({Int64s({1, std::nullopt, 3, std::nullopt}), Type(TypeId::kBigInt), false},
                 "1:CONSTRAINT_VIOLATION 3:CONSTRAINT_VIOLATION");
  auto members = arrow::StructArray::Make({Int64s({1, std::nullopt, std::nullopt})},
                                          {field("x", arrow::int64())},
                                          arrow::Buffer::FromString("\x03"))
                     .ValueOrDie();
  TableType type = Type(TypeId::kStruct);
  type.children.push_back({"x", Type(TypeId::kBigInt), false});
  // Row 2 is a null struct: its member counts for nothing.
  ExpectFailures({members, type}, "1:CONSTRAINT_VIOLATION");
}

ArrayPtr Lists(const std::vector<std::vector<std::optional<int64_t>>>& lists) {
  arrow::ListBuilder builder(arrow::default_memory_pool(),
                             std::make_shared<arrow::Int64Builder>());
  auto* values = static_cast<arrow::Int64Builder*>(builder.value_builder());
  for (const auto& list : lists) {
    EXPECT_TRUE(builder.Append().ok());
    for (const auto& v : list) {
      EXPECT_TRUE((v ? values->Append(*v) : values->AppendNull()).ok());
    }
  }
  return builder.Finish().ValueOrDie();
}

TEST(RowEncoder, NullElementsFailOrAreDropped) {
  TableType type = Type(TypeId::kArray);
  type.children.push_back({"element", Type(TypeId::kBigInt), true});
  OneColumn column{Lists({{1, 2}, {3, std::nullopt}, {}, {std::nullopt}}), type};
  ExpectFailures(column, "1:CONSTRAINT_VIOLATION 3:CONSTRAINT_VIOLATION");
  EncodeOptions drop;
  drop.null_elements = NullElements::kDrop;
  EncodedRows rows = Encoded(column, nullptr, drop);
  EXPECT_EQ(Failures(rows), "");
  EXPECT_EQ(Hex(rows.rows[0]), "08010802");
  EXPECT_EQ(Hex(rows.rows[1]), "0803");
  EXPECT_EQ(Hex(rows.rows[2]), "");
  EXPECT_EQ(EncodedJson(column, drop).rows[1], R"({"c":[3]})");
  EXPECT_EQ(EncodedJson(column, drop).rows[2], R"({"c":[]})");
}

OneColumn Maps(const std::vector<std::pair<std::string, std::optional<int64_t>>>& entries,
               const std::vector<int32_t>& offsets) {
  arrow::Int32Builder ends;
  EXPECT_TRUE(ends.AppendValues(offsets).ok());
  std::vector<std::optional<std::string>> keys;
  std::vector<std::optional<int64_t>> items;
  for (const auto& [key, item] : entries) {
    keys.emplace_back(key);
    items.push_back(item);
  }
  TableType type = Type(TypeId::kMap);
  type.children = {{"key", Type(TypeId::kString), false},
                   {"value", Type(TypeId::kBigInt), true}};
  return {arrow::MapArray::FromArrays(ends.Finish().ValueOrDie(), Texts(keys),
                                      Int64s(items)).ValueOrDie(),
          type};
}

TEST(RowEncoder, OfEqualMapKeysTheLastStays) {
  OneColumn column =
      Maps({{"k", 1}, {"j", 2}, {"k", 3}, {"k", 4}, {"k", std::nullopt}}, {0, 3, 5, 5});
  EncodeOptions drop;
  drop.null_elements = NullElements::kDrop;
  EncodedRows rows = Encoded(column, nullptr, drop);
  EXPECT_EQ(Hex(rows.rows[0]), "0a050a016a1002" "0a050a016b1003");
  EXPECT_EQ(Hex(rows.rows[1]), "0a050a016b1004");
  EXPECT_EQ(EncodedJson(column, drop).rows[0], R"({"c":{"k":3,"j":2}})");
  ExpectFailures(column, "1:CONSTRAINT_VIOLATION");
}

TEST(RowEncoder, OnlyTheLargeRowFails) {
  std::vector<std::optional<std::string>> texts = {std::string(100, 'a'),
                                                   std::string(90, 'a'), "b"};
  EncodeOptions options;
  options.row_bytes_max = 98;  // 90 bytes, {"c":""}
  ExpectFailures({Texts(texts), Type(TypeId::kString)}, "0:TOO_LARGE", options);
  options.row_bytes_max = 92;
  EXPECT_EQ(Failures(Encoded({Texts(texts), Type(TypeId::kString)}, nullptr, options)),
            "0:TOO_LARGE");
  options.row_bytes_max = 91;
  EXPECT_EQ(Failures(Encoded({Texts(texts), Type(TypeId::kString)}, nullptr, options)),
            "0:TOO_LARGE 1:TOO_LARGE");
}

TEST(RowEncoder, LongListsAreCutIntoSmallerBlocks) {
  std::vector<std::vector<std::optional<int64_t>>> lists(600);
  for (size_t i = 0; i < lists.size(); ++i) {
    lists[i].assign(i % 7 == 0 ? 3000 : 3, static_cast<int64_t>(i));
  }
  lists[300].assign(400000, 1);
  lists[301].back() = std::nullopt;
  TableType type = Type(TypeId::kArray);
  type.children.push_back({"element", Type(TypeId::kBigInt), true});
  EncodeOptions options;
  options.row_bytes_max = 900000;
  EncodedRows rows = Encoded({Lists(lists), type}, nullptr, options);
  EXPECT_EQ(Failures(rows), "301:CONSTRAINT_VIOLATION");
  EXPECT_EQ(rows.rows[300].size(), 800000u);
  EXPECT_EQ(rows.rows[7].size(), 6000u);
  EXPECT_EQ(rows.rows[599].size(), 9u);
  options.row_bytes_max = 799999;
  EXPECT_EQ(Failures(Encoded({Lists(lists), type}, nullptr, options)),
            "300:TOO_LARGE 301:CONSTRAINT_VIOLATION");
}

TEST(RowEncoder, OverlappingListsDoNotMultiplyWithoutBound) {
  // Each of 1,000 inner lists is all of the 100,000 elements; so is each of 50 rows.
  const std::vector<int32_t> zeros(1000, 0), inner_sizes(1000, 100000);
  const std::vector<int32_t> outer_sizes(50, 1000);
  arrow::Int8Builder elements;
  ASSERT_TRUE(elements.AppendValues(std::vector<int8_t>(100000, 1)).ok());
  auto inner = arrow::ArrayData::Make(
      arrow::list_view(arrow::int8()), 1000,
      {nullptr, arrow::Buffer::FromVector(zeros), arrow::Buffer::FromVector(inner_sizes)},
      {elements.Finish().ValueOrDie()->data()});
  auto member = arrow::struct_({field("l", inner->type)});
  auto structs = arrow::ArrayData::Make(member, 1000, {nullptr}, {inner});
  auto outer = arrow::ArrayData::Make(
      arrow::list_view(member), 50,
      {nullptr, arrow::Buffer::FromVector(zeros), arrow::Buffer::FromVector(outer_sizes)},
      {structs});
  TableType type = TableTypeOf(*outer->type).ValueOrDie();
  EncodeOptions options;
  options.row_bytes_max = 1000000;
  OneColumn column{arrow::MakeArray(outer), type};
  EXPECT_EQ(Encoded(column, nullptr, options).failed_rows.size(), 50u);
  EXPECT_EQ(EncodedJson(column, options).failed_rows.size(), 50u);
}

/// Ten thousand rows with bad ones of every kind among them.
TEST(RowEncoder, ExactlyTheBadRowsAreReported) {
  std::vector<std::optional<std::string>> texts;
  std::vector<std::optional<int64_t>> numbers, required;
  std::map<int64_t, ErrorCode> bad;
  for (int64_t i = 0; i < 10000; ++i) {
    texts.emplace_back("row " + std::to_string(i));
    numbers.emplace_back(i);
    required.emplace_back(i);
    if (i % 911 == 5) texts.back() = "\xff", bad[i] = ErrorCode::kBadData;
    if (i % 577 == 9) numbers.back() = kMax, bad[i] = ErrorCode::kSchemaMismatch;
    if (i % 1009 == 3) required.back().reset(), bad[i] = ErrorCode::kConstraintViolation;
    if (i % 2003 == 1) texts.back() = std::string(5000, 'x'), bad[i] = ErrorCode::kTooLarge;
  }
  for (int64_t i = 4096; i < 5300; ++i) texts[i] = "\xfe", bad[i] = ErrorCode::kBadData;
  auto schema = arrow::schema({field("t", arrow::utf8()), field("n", arrow::int64()),
                               field("r", arrow::int64())});
  auto batch = arrow::RecordBatch::Make(schema, 10000,
                                        {Texts(texts), Int64s(numbers), Int64s(required)});
  auto table = TableSchema::Make({{"t", Type(TypeId::kString), true, 0},
                                  {"n", Type(TypeId::kInt), true, 1},
                                  {"r", Type(TypeId::kBigInt), false, 2}})
                   .ValueOrDie();
  EncodeOptions options;
  options.row_bytes_max = 1000;
  auto proto = MakeDescriptor(table).ValueOrDie();
  auto encoder = RowEncoder::MakeProtobuf(*schema, proto, &table, options).ValueOrDie();
  EncodedRows rows = encoder->Encode(*batch).ValueOrDie();
  std::map<int64_t, ErrorCode> found;
  for (const FailedRow& row : rows.failed_rows) found[row.row] = CodeOf(row.status);
  EXPECT_EQ(found.size(), rows.failed_rows.size());
  // A row may be bad twice; the first column tells.
  for (const auto& [row, code] : bad) EXPECT_TRUE(found.contains(row)) << row;
  EXPECT_EQ(found.size(), bad.size());
  EXPECT_EQ(found[4096], ErrorCode::kBadData);
  EXPECT_EQ(found[1], ErrorCode::kTooLarge);
  auto compiled = CompiledDescriptor::Make(proto).ValueOrDie();
  pb::DynamicMessageFactory factory;
  std::unique_ptr<pb::Message> message(factory.GetPrototype(&compiled->message())->New());
  for (size_t i = 0; i < rows.rows.size(); ++i) {
    if (bad.contains(static_cast<int64_t>(i))) continue;
    ASSERT_TRUE(message->ParseFromString(std::string(rows.rows[i])));
    ExpectSame(*message, ExpectedRow(*batch, static_cast<int64_t>(i)), "row ");
  }
}

TEST(RowEncoder, NumbersAreTheDescriptors) {
  pb::DescriptorProto proto;
  ASSERT_TRUE(pb::TextFormat::ParseFromString(R"(name: "Air"
    field { name: "late" number: 536870911 label: LABEL_OPTIONAL type: TYPE_STRING }
    field { name: "inner" number: 2047 label: LABEL_OPTIONAL type: TYPE_MESSAGE
            type_name: ".my.Air.Inner" }
    field { name: "unused" number: 3 label: LABEL_OPTIONAL type: TYPE_BYTES }
    field { name: "wide" number: 16 label: LABEL_REQUIRED type: TYPE_DOUBLE }
    nested_type { name: "Inner"
      field { name: "b" number: 1 label: LABEL_REPEATED type: TYPE_INT64 }
      field { name: "a" number: 20000 label: LABEL_REQUIRED type: TYPE_BOOL } })",
                                              &proto));
  auto list = Lists({{1, -2}, {}, {3}});
  auto flags = Values<arrow::BooleanBuilder, bool>({true, false, true}, arrow::boolean());
  auto inner = arrow::StructArray::Make({flags, list},
                                        arrow::FieldVector{field("a", flags->type()),
                                                           field("b", list->type())})
                   .ValueOrDie();
  auto wide = Values<arrow::FloatBuilder, float>({1.5f, -0.0f, 3e38f}, arrow::float32());
  auto schema = arrow::schema({field("wide", wide->type()), field("inner", inner->type()),
                               field("late", arrow::utf8())});
  auto batch = arrow::RecordBatch::Make(schema, 3,
                                        {wide, inner, Texts({"x", std::nullopt, ""})});
  auto encoder = RowEncoder::MakeProtobuf(*schema, proto, nullptr);
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  EncodedRows rows = (*encoder)->Encode(*batch).ValueOrDie();
  auto compiled = CompiledDescriptor::Make(proto).ValueOrDie();
  pb::DynamicMessageFactory factory;
  std::unique_ptr<pb::Message> message(factory.GetPrototype(&compiled->message())->New());
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(message->ParseFromString(std::string(rows.rows[i])));
    EXPECT_TRUE(message->GetReflection()->GetUnknownFields(*message).empty());
    const auto& inside = message->GetReflection()->GetMessage(
        *message, compiled->message().FindFieldByName("inner"));
    EXPECT_EQ(inside.GetReflection()->FieldSize(
                  inside, inside.GetDescriptor()->FindFieldByName("b")),
              i == 0 ? 2 : i == 1 ? 0 : 1);
    EXPECT_EQ(inside.GetReflection()->GetBool(
                  inside, inside.GetDescriptor()->FindFieldByName("a")),
              i != 1);
    EXPECT_EQ(message->GetReflection()->HasField(
                  *message, compiled->message().FindFieldByName("late")),
              i != 1);
    EXPECT_EQ(message->GetReflection()->GetDouble(
                  *message, compiled->message().FindFieldByName("wide")),
              static_cast<const arrow::FloatArray&>(*wide).Value(static_cast<int64_t>(i)));
  }
}

TEST(RowEncoder, HostileArraysFailTheirRows) {
  // Offsets that leave the buffer or run backwards, behind a valid first and last one.
  std::vector<int32_t> offsets = {0, 1, 1000000, 1, -5, 2, 3};
  auto data = arrow::ArrayData::Make(
      arrow::utf8(), 6,
      {nullptr, arrow::Buffer::FromVector(offsets), arrow::Buffer::FromString("abc")});
  ExpectFailures({arrow::MakeArray(data), Type(TypeId::kString)},
                 "1:BAD_DATA 2:BAD_DATA 3:BAD_DATA 4:BAD_DATA");
  auto list = arrow::ArrayData::Make(arrow::list(arrow::int64()), 6,
                                     {nullptr, arrow::Buffer::FromVector(offsets)},
                                     {Int64s({1, 2, 3})->data()});
  TableType type = Type(TypeId::kArray);
  type.children.push_back({"element", Type(TypeId::kBigInt), true});
  ExpectFailures({arrow::MakeArray(list), type},
                 "1:BAD_DATA 2:BAD_DATA 3:BAD_DATA 4:BAD_DATA");
  auto dictionary = arrow::ArrayData::Make(
      arrow::dictionary(arrow::int32(), arrow::utf8()), 6,
      {nullptr, arrow::Buffer::FromVector(std::vector<int32_t>{0, 1, 2, -1, 1 << 30, 1})});
  dictionary->dictionary = Texts({"x", "y"})->data();
  ExpectFailures({arrow::MakeArray(dictionary), Type(TypeId::kString)},
                 "2:BAD_DATA 3:BAD_DATA 4:BAD_DATA");
}

TEST(RowEncoder, ExtensionsCountByTheirStorage) {
  auto storage = Values<arrow::FixedSizeBinaryBuilder, std::string>(
      {std::string(16, 'u')}, arrow::fixed_size_binary(16));
  auto array = arrow::ExtensionType::WrapArray(arrow::extension::uuid(), storage);
  EXPECT_EQ(Encoded({array, Type(TypeId::kBinary)}).rows[0],
            "\x0a\x10" + std::string(16, 'u'));
}

TEST(RowEncoder, ColumnsOfTypeNull) {
  auto nothing = std::make_shared<arrow::NullArray>(3);
  EncodedRows rows = Encoded({nothing, Type(TypeId::kString)});
  EXPECT_EQ(Failures(rows), "");
  EXPECT_EQ(rows.bytes, 0);
  auto schema = arrow::schema({field("c", arrow::null())});
  auto table = TableSchema::Make({{"c", Type(TypeId::kString), false, 0}}).ValueOrDie();
  EXPECT_FALSE(RowEncoder::MakeProtobuf(*schema, MakeDescriptor(table).ValueOrDie(), &table)
                   .ok());
  EXPECT_FALSE(RowEncoder::MakeJson(*schema, table).ok());
}

TEST(RowEncoder, TypesThatDoNotFitAreRefused) {
  const std::pair<std::shared_ptr<arrow::DataType>, TableType> misfits[] = {
      {arrow::utf8(), Type(TypeId::kInt)},      {arrow::float64(), Type(TypeId::kFloat)},
      {arrow::int32(), Type(TypeId::kDouble)},  {arrow::int32(), Type(TypeId::kDate)},
      {arrow::binary(), Type(TypeId::kString)}, {arrow::boolean(), Type(TypeId::kInt)},
      {arrow::int64(), Type(TypeId::kString)},
      {arrow::float32(), Type(TypeId::kDecimal, 5, 2)},
      {arrow::timestamp(arrow::TimeUnit::MICRO), Type(TypeId::kTimestamp)},
      {arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"), Type(TypeId::kTimestampNtz)},
      {arrow::time32(arrow::TimeUnit::SECOND), Type(TypeId::kInt)},
      {arrow::duration(arrow::TimeUnit::MICRO), Type(TypeId::kBigInt)},
      {arrow::struct_({}), Type(TypeId::kInt)},
      {arrow::list(arrow::int8()), Type(TypeId::kTinyInt)}};
  for (const auto& [from, to] : misfits) {
    auto schema = arrow::schema({field("c", from)});
    auto table = TableSchema::Make({{"c", to, true, 0}}).ValueOrDie();
    auto made = RowEncoder::MakeProtobuf(*schema, MakeDescriptor(table).ValueOrDie(), &table);
    ASSERT_FALSE(made.ok()) << from->ToString() << to.ToString();
    EXPECT_EQ(CodeOf(made.status()), ErrorCode::kSchemaMismatch) << made.status();
    EXPECT_FALSE(RowEncoder::MakeJson(*schema, table).ok());
  }
}

TEST(RowEncoder, OtherBatchesAndBadOptionsAreRefused) {
  auto schema = arrow::schema({field("c", arrow::int64())});
  auto table = TableSchema::FromArrow(*schema).ValueOrDie();
  auto encoder = RowEncoder::MakeJson(*schema, table).ValueOrDie();
  auto other = arrow::RecordBatch::Make(arrow::schema({field("d", arrow::int64())}), 1,
                                        {Int64s({1})});
  EXPECT_EQ(CodeOf(encoder->Encode(*other).status()), ErrorCode::kSchemaMismatch);
  auto broken = arrow::RecordBatch::Make(
      schema, 5, {arrow::ArrayData::Make(arrow::int64(), 5, {nullptr, nullptr})});
  EXPECT_EQ(CodeOf(encoder->Encode(*broken).status()), ErrorCode::kBadData);
  EncodeOptions options;
  options.row_bytes_max = 0;
  EXPECT_FALSE(RowEncoder::MakeJson(*schema, table, options).ok());
  options.row_bytes_max = int64_t{1} << 31;
  EXPECT_FALSE(RowEncoder::MakeJson(*schema, table, options).ok());
  options = {.entry_field_number = 16};
  EXPECT_FALSE(RowEncoder::MakeJson(*schema, table, options).ok());
  options = {.row_bytes_max = 10, .batch_bytes_max = 20};
  auto many = arrow::RecordBatch::Make(schema, 4, {Int64s({1, 2, 3, 4})});
  auto small = RowEncoder::MakeJson(*schema, table, options).ValueOrDie();
  EXPECT_EQ(CodeOf(small->Encode(*many).status()), ErrorCode::kTooLarge);
  auto empty = encoder->Encode(*many->Slice(0, 0)).ValueOrDie();
  EXPECT_TRUE(empty.rows.empty() && empty.failed_rows.empty());
}

}  // namespace
}  // namespace arrowport::zerobus::encode
