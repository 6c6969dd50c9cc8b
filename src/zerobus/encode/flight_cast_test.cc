#include "zerobus/encode/flight_cast.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "zerobus/encode/descriptor.h"
#include "zerobus/encode/expected_value_test.h"
#include "zerobus/encode/random_batch_test.h"
#include "zerobus/encode/variant_value.h"

namespace arrowport::zerobus::encode {
namespace {

using arrow::field;

/// The same value, decimals as text.
void ExpectSameValue(const Value& found, const Value& wanted, const std::string& where) {
  if (wanted.kind == Value::kDecimal) {
    ASSERT_EQ(found.kind, Value::kText) << where;
    ExpectSameJson(found.text, wanted, where);
    return;
  }
  ASSERT_EQ(found.kind, wanted.kind) << where;
  EXPECT_EQ(found.integer, wanted.integer) << where;
  EXPECT_TRUE(found.number == wanted.number || wanted.number != wanted.number) << where;
  EXPECT_EQ(found.text, wanted.text) << where;
  ASSERT_EQ(found.elements.size(), wanted.elements.size()) << where;
  for (size_t i = 0; i < wanted.elements.size(); ++i) {
    ExpectSameValue(found.elements[i], wanted.elements[i], where + "[]");
  }
  ASSERT_EQ(found.members.size(), wanted.members.size()) << where;
  for (const auto& [name, value] : wanted.members) {
    auto member = found.members.find(name);
    if (member != found.members.end()) {
      ExpectSameValue(member->second, value, where + "." + name);
    } else {
      EXPECT_EQ(wanted.kind, Value::kMap) << where << name;  // a decimal key
    }
  }
}

class RandomCasts : public ::testing::TestWithParam<int> {};

TEST_P(RandomCasts, KeepEveryValue) {
  const uint32_t seed = static_cast<uint32_t>(GetParam()) * 104729 + 7;
  SCOPED_TRACE("seed " + std::to_string(seed));
  auto batch = RandomBatch({.seed = seed, .row_count = 40});
  SCOPED_TRACE(batch->schema()->ToString());
  auto table = TableSchema::FromArrow(*batch->schema()).ValueOrDie();
  auto cast = CastToTable(*batch, table);
  ASSERT_TRUE(cast.ok()) << cast.status();
  ASSERT_TRUE((*cast)->ValidateFull().ok()) << (*cast)->ValidateFull();
  EXPECT_TRUE((*cast)->schema()->Equals(*FlightSchemaOf(table), true));
  for (int64_t row = 0; row < batch->num_rows() && !HasFailure(); ++row) {
    ExpectSameValue(ExpectedRow(**cast, row), ExpectedRow(*batch, row),
                    "row " + std::to_string(row));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomCasts, ::testing::Range(0, 150));

std::shared_ptr<arrow::RecordBatch> OneColumn(std::shared_ptr<arrow::Array> array) {
  return arrow::RecordBatch::Make(arrow::schema({field("c", array->type())}),
                                  array->length(), {array});
}

template <typename Builder, typename T>
std::shared_ptr<arrow::Array> Values(const std::vector<T>& values) {
  Builder builder;
  for (const auto& value : values) EXPECT_TRUE(builder.Append(value).ok());
  return builder.Finish().ValueOrDie();
}

TableSchema TableOf(TypeId id, bool nullable = true) {
  return TableSchema::Make({{"c", {.id = id}, nullable, 0}}).ValueOrDie();
}

TEST(FlightCast, ErrorsNameColumnAndRow) {
  auto batch = OneColumn(Values<arrow::Int64Builder, int64_t>({1, 2, 40000}));
  auto cast = CastToTable(*batch, TableOf(TypeId::kSmallInt));
  ASSERT_FALSE(cast.ok());
  EXPECT_EQ(CodeOf(cast.status()), ErrorCode::kSchemaMismatch);
  EXPECT_NE(cast.status().message().find("row 2"), std::string::npos) << cast.status();
  EXPECT_NE(cast.status().message().find(": c"), std::string::npos) << cast.status();
  auto text = OneColumn(Values<arrow::StringBuilder, std::string>({"a", "\xff"}));
  EXPECT_EQ(CodeOf(CastToTable(*text, TableOf(TypeId::kString)).status()),
            ErrorCode::kBadData);
  arrow::Int64Builder with_null;
  ASSERT_TRUE(with_null.AppendNull().ok());
  auto null = OneColumn(with_null.Finish().ValueOrDie());
  EXPECT_EQ(CodeOf(CastToTable(*null, TableOf(TypeId::kBigInt, false)).status()),
            ErrorCode::kConstraintViolation);
  EXPECT_EQ(CodeOf(CastToTable(*text, TableOf(TypeId::kInt)).status()),
            ErrorCode::kSchemaMismatch);
}

// Row 1: text, row 2: the list's struct, row 4: text and list; the rest can be cast.
TEST(FlightCast, FindsEveryBadRow) {
  auto member = std::make_shared<arrow::Int32Builder>();
  auto element = std::make_shared<arrow::StructBuilder>(
      arrow::struct_({field("m", arrow::int32())}), arrow::default_memory_pool(),
      std::vector<std::shared_ptr<arrow::ArrayBuilder>>{member});
  arrow::ListBuilder lists(arrow::default_memory_pool(), element);
  for (int row = 0; row < 6; ++row) {
    ASSERT_TRUE(lists.Append().ok());
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(element->Append().ok());
      const bool bad = (row == 2 || row == 4) && i == 1;
      ASSERT_TRUE(member->Append(bad ? 70000 : i).ok());
    }
  }
  auto text = Values<arrow::StringBuilder, std::string>({"a", "\xff", "c", "d", "\xfe", ""});
  auto list = lists.Finish().ValueOrDie();
  auto batch = arrow::RecordBatch::Make(
      arrow::schema({field("t", arrow::utf8()), field("l", list->type())}), 6, {text, list});
  TableType small{.id = TypeId::kSmallInt};
  TableType members{.id = TypeId::kStruct, .children = {{"m", small, true}}};
  auto table = TableSchema::Make(
                   {{"t", {.id = TypeId::kString}, true, 0},
                    {"l", {.id = TypeId::kArray, .children = {{"element", members, true}}}, true, 1}})
                   .ValueOrDie();
  ASSERT_FALSE(CastToTable(*batch, table).ok());
  auto found = FindUncastableRows(*batch, table).ValueOrDie();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].row, 1);
  EXPECT_EQ(CodeOf(found[0].status), ErrorCode::kBadData);
  EXPECT_EQ(found[1].row, 2);
  EXPECT_EQ(CodeOf(found[1].status), ErrorCode::kSchemaMismatch);
  EXPECT_EQ(found[2].row, 4);
  EXPECT_TRUE(CastToTable(*batch->Slice(0, 1), table).ok());
  EXPECT_TRUE(FindUncastableRows(*batch->Slice(3, 1), table).ValueOrDie().empty());
  auto other = OneColumn(text);
  EXPECT_EQ(CodeOf(FindUncastableRows(*other, table).status()), ErrorCode::kColumnNotFound);
}

TEST(FlightCast, SharesWhatFitsAndFillsWhatIsLeftOut) {
  auto batch = OneColumn(Values<arrow::Int64Builder, int64_t>({1, 2, 3}));
  auto table = TableSchema::Make({{"d", {.id = TypeId::kString}, true, 0},
                                  {"c", {.id = TypeId::kBigInt}, false, 1}})
                   .ValueOrDie();
  auto cast = CastToTable(*batch, table).ValueOrDie();
  ASSERT_TRUE(cast->ValidateFull().ok());
  EXPECT_EQ(cast->column(0)->null_count(), 3);
  EXPECT_EQ(cast->column_data(1)->buffers[1], batch->column_data(0)->buffers[1]);
  auto required = TableSchema::Make({{"d", {.id = TypeId::kString}, false, 0},
                                     {"c", {.id = TypeId::kBigInt}, false, 1}})
                      .ValueOrDie();
  EXPECT_EQ(CodeOf(CastToTable(*batch, required).status()), ErrorCode::kColumnNotFound);
}

// "é" is two bytes: together the values are UTF-8, but not when one ends in its middle.
TEST(FlightCast, TextSharesItsValuesAndIsStillJudgedOneByOne) {
  auto text = Values<arrow::StringBuilder, std::string>({"skipped", "aé", "", "bc", "d"});
  auto table = TableOf(TypeId::kString);
  for (const auto& batch : {OneColumn(text), OneColumn(text->Slice(1, 3))}) {
    auto cast = CastToTable(*batch, table).ValueOrDie();
    ASSERT_TRUE(cast->ValidateFull().ok()) << cast->ValidateFull();
    EXPECT_EQ(cast->column_data(0)->buffers[2]->data(), text->data()->buffers[2]->data());
    ASSERT_EQ(cast->num_rows(), batch->num_rows());
    for (int64_t row = 0; row < cast->num_rows(); ++row) {
      EXPECT_EQ(static_cast<const arrow::LargeStringArray&>(*cast->column(0)).GetView(row),
                static_cast<const arrow::StringArray&>(*batch->column(0)).GetView(row));
    }
  }
  const int32_t offsets[] = {0, 1, 2, 3};
  auto cut = std::make_shared<arrow::StringArray>(
      3, arrow::Buffer::Wrap(offsets, 4), std::make_shared<arrow::Buffer>("\xc3\xa9z"));
  auto found = FindUncastableRows(*OneColumn(cut), table).ValueOrDie();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(CodeOf(CastToTable(*OneColumn(cut), table).status()), ErrorCode::kBadData);
  // A null may stand on bytes that are no text.
  const uint8_t valid = 0b100;
  auto null = std::make_shared<arrow::StringArray>(
      3, arrow::Buffer::Wrap(offsets, 4), std::make_shared<arrow::Buffer>("\xff\xfez"),
      arrow::Buffer::Wrap(&valid, 1));
  auto cast = CastToTable(*OneColumn(null), table).ValueOrDie();
  EXPECT_EQ(cast->column(0)->null_count(), 2);
  const int32_t backward[] = {0, 2, 1, 3};
  auto wild = std::make_shared<arrow::StringArray>(
      3, arrow::Buffer::Wrap(backward, 4), std::make_shared<arrow::Buffer>("abc"));
  EXPECT_FALSE(CastToTable(*OneColumn(wild), table).ok());
}

TEST(FlightCast, NullElementsStay) {
  arrow::ListBuilder builder(arrow::default_memory_pool(),
                             std::make_shared<arrow::Int64Builder>());
  ASSERT_TRUE(builder.Append().ok());
  ASSERT_TRUE(builder.value_builder()->AppendNull().ok());
  auto batch = OneColumn(builder.Finish().ValueOrDie());
  auto table = TableSchema::FromArrow(*batch->schema()).ValueOrDie();
  auto cast = CastToTable(*batch, table).ValueOrDie();
  const auto& list = static_cast<const arrow::ListArray&>(*cast->column(0));
  EXPECT_EQ(list.value_length(0), 1);
  EXPECT_TRUE(list.values()->IsNull(0));
}

TEST(FlightCast, VariantFromJsonAndFromItsBinaryForm) {
  auto batch = OneColumn(
      Values<arrow::StringBuilder, std::string>({R"({"b":1,"a":[true,null]})", "x"}));
  auto table = TableOf(TypeId::kVariant);
  EXPECT_EQ(CodeOf(CastToTable(*batch, table).status()), ErrorCode::kBadData);
  auto cast = CastToTable(*batch->Slice(0, 1), table).ValueOrDie();
  ASSERT_TRUE(cast->ValidateFull().ok());
  EXPECT_TRUE(cast->schema()->Equals(*FlightSchemaOf(table)));
  auto again = CastToTable(*cast, table);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE((*again)->Equals(*cast));
}

std::string Bytes(std::initializer_list<int> bytes) {
  std::string text;
  for (int byte : bytes) text += static_cast<char>(byte);
  return text;
}

TEST(VariantValue, WorkedOutByHandFromTheFormat) {
  std::string metadata, value;
  ASSERT_TRUE(internal::VariantFromJson(R"({"b":1,"a":[true,null,"hi"]})", &metadata, &value).ok());
  // version 1, sorted, offsets of one byte; two names: "a", "b"
  EXPECT_EQ(metadata, Bytes({0x11, 2, 0, 1, 2, 'a', 'b'}));
  EXPECT_EQ(value, Bytes({0x02, 2, 0, 1, 0, 11, 13,                       // object
                          0x03, 3, 0, 1, 2, 5, 0x04, 0x00, 0x09, 'h', 'i',  // a
                          0x0c, 1}));                                      // b
  ASSERT_TRUE(internal::VariantFromJson("[-129,70000,5000000000,1.5,18446744073709551615]", &metadata,
                              &value)
                  .ok());
  EXPECT_EQ(metadata, Bytes({0x11, 0, 0}));
  EXPECT_EQ(value,
            Bytes({0x03, 5, 0, 3, 8, 17, 26, 44,                        //
                   0x10, 0x7f, 0xff,                                    // int16
                   0x14, 0x70, 0x11, 0x01, 0x00,                        // int32
                   0x18, 0x00, 0xf2, 0x05, 0x2a, 0x01, 0, 0, 0,         // int64
                   0x1c, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f,                  // double
                   0x28, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0,
                   0, 0, 0}));  // decimal16, scale 0
  ASSERT_TRUE(internal::VariantFromJson("\"" + std::string(64, 'x') + "\"", &metadata, &value).ok());
  EXPECT_EQ(value, Bytes({0x40, 64, 0, 0, 0}) + std::string(64, 'x'));
  std::string deep = std::string(200, '[') + std::string(200, ']');
  EXPECT_EQ(CodeOf(internal::VariantFromJson(deep, &metadata, &value)),
            ErrorCode::kBadData);
}

}  // namespace
}  // namespace arrowport::zerobus::encode
