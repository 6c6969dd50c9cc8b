// Every Arrow type once: what it becomes in the three modes, or that it is refused by
// name.
#include <arrow/api.h>
#include <arrow/json/from_string.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "zerobus/encode/descriptor.h"
#include "zerobus/encode/explicit_cast.h"
#include "zerobus/encode/flight_cast.h"
#include "zerobus/encode/row_encoder.h"

namespace arrowport::zerobus::encode {
namespace {

using arrow::field;
using arrow::TimeUnit;
using ::testing::HasSubstr;
using TypePointer = std::shared_ptr<arrow::DataType>;

struct Cell {
  TypePointer type;
  std::string values;   ///< JSON array, as Arrow reads it
  std::string derived;  ///< type of the column that a table for it would have
  std::string rows;     ///< JSON mode, one row after the other
  TypePointer flight;   ///< Flight mode
};

void PrintTo(const Cell& cell, std::ostream* out) { *out << cell.type->ToString(); }

std::vector<Cell> Cells() {
  const auto text = arrow::large_utf8();
  const auto bytes = arrow::large_binary();
  const auto zoned = arrow::timestamp(TimeUnit::MICRO, "UTC");
  const auto wall = arrow::timestamp(TimeUnit::MICRO);
  std::vector<Cell> cells = {
      {arrow::boolean(), "[true, null]", "BOOLEAN", R"({"c":true}{})", arrow::boolean()},
      {arrow::int8(), "[-128, 0]", "TINYINT", R"({"c":-128}{"c":0})", arrow::int8()},
      {arrow::int16(), "[-3]", "SMALLINT", R"({"c":-3})", arrow::int16()},
      {arrow::int32(), "[-3]", "INT", R"({"c":-3})", arrow::int32()},
      {arrow::int64(), "[9223372036854775807]", "BIGINT", R"({"c":9223372036854775807})",
       arrow::int64()},
      {arrow::uint8(), "[255]", "SMALLINT", R"({"c":255})", arrow::int16()},
      {arrow::uint16(), "[65535]", "INT", R"({"c":65535})", arrow::int32()},
      {arrow::uint32(), "[4294967295]", "BIGINT", R"({"c":4294967295})", arrow::int64()},
      {arrow::uint64(), "[18446744073709551615]", "DECIMAL(20,0)",
       R"({"c":"18446744073709551615"})", text},
      {arrow::float16(), "[1.5]", "FLOAT", R"({"c":1.5})", arrow::float32()},
      {arrow::float32(), "[0.25]", "FLOAT", R"({"c":0.25})", arrow::float32()},
      {arrow::float64(), "[0.1]", "DOUBLE", R"({"c":0.1})", arrow::float64()},
      {arrow::decimal32(5, 2), R"(["1.50"])", "DECIMAL(5,2)", R"({"c":"1.50"})", text},
      {arrow::decimal64(5, 2), R"(["1.50"])", "DECIMAL(5,2)", R"({"c":"1.50"})", text},
      {arrow::decimal128(5, 2), R"(["-1.50"])", "DECIMAL(5,2)", R"({"c":"-1.50"})", text},
      {arrow::decimal256(5, 2), R"(["1.50"])", "DECIMAL(5,2)", R"({"c":"1.50"})", text},
      {arrow::utf8(), R"(["ä"])", "STRING", R"({"c":"ä"})", text},
      {arrow::large_utf8(), R"(["ä"])", "STRING", R"({"c":"ä"})", text},
      {arrow::utf8_view(), R"(["ä"])", "STRING", R"({"c":"ä"})", text},
      {arrow::binary(), R"(["ab"])", "BINARY", R"({"c":"YWI="})", bytes},
      {arrow::large_binary(), R"(["ab"])", "BINARY", R"({"c":"YWI="})", bytes},
      {arrow::binary_view(), R"(["ab"])", "BINARY", R"({"c":"YWI="})", bytes},
      {arrow::fixed_size_binary(2), R"(["ab"])", "BINARY", R"({"c":"YWI="})", bytes},
      {arrow::date32(), "[-1]", "DATE", R"({"c":-1})", arrow::date32()},
      {arrow::date64(), "[-1]", "DATE", R"({"c":-1})", arrow::date32()},
      {arrow::struct_({field("a", arrow::int8())}), R"([{"a": 1}, null])",
       "STRUCT<a: TINYINT>", R"({"c":{"a":1}}{})",
       arrow::struct_({field("a", arrow::int8())})},
      {arrow::list(arrow::int8()), "[[1, 2], []]", "ARRAY<TINYINT>",
       R"({"c":[1,2]}{"c":[]})", nullptr},
      {arrow::large_list(arrow::int8()), "[[1]]", "ARRAY<TINYINT>", R"({"c":[1]})",
       nullptr},
      {arrow::fixed_size_list(arrow::int8(), 1), "[[1]]", "ARRAY<TINYINT>",
       R"({"c":[1]})", nullptr},
      {arrow::list_view(arrow::int8()), "[[1]]", "ARRAY<TINYINT>", R"({"c":[1]})",
       nullptr},
      {arrow::large_list_view(arrow::int8()), "[[1]]", "ARRAY<TINYINT>", R"({"c":[1]})",
       nullptr},
      {arrow::map(arrow::utf8(), arrow::int8()), R"([[["k", 1]]])",
       "MAP<STRING, TINYINT>", R"({"c":{"k":1}})", nullptr},
      {arrow::dictionary(arrow::int8(), arrow::utf8()), R"(["x"])", "STRING",
       R"({"c":"x"})", text},
  };
  const std::pair<TimeUnit::type, const char*> units[] = {
      {TimeUnit::SECOND, R"({"c":-1000000})"},
      {TimeUnit::MILLI, R"({"c":-1000})"},
      {TimeUnit::MICRO, R"({"c":-1})"},
      {TimeUnit::NANO, R"({"c":-1})"}};
  for (const auto& [unit, row] : units) {
    cells.push_back(
        {arrow::timestamp(unit, "Europe/Berlin"), "[-1]", "TIMESTAMP", row, zoned});
    cells.push_back({arrow::timestamp(unit), "[-1]", "TIMESTAMP_NTZ", row, wall});
  }
  return cells;
}

std::shared_ptr<arrow::RecordBatch> BatchOf(const std::shared_ptr<arrow::Array>& array) {
  return arrow::RecordBatch::Make(arrow::schema({field("c", array->type())}),
                                  array->length(), {array});
}

std::string Joined(const EncodedRows& rows) {
  std::string text;
  for (const std::string_view row : rows.rows) text += row;
  return text;
}

class TypeTable : public ::testing::TestWithParam<Cell> {};

TEST_P(TypeTable, IsConverted) {
  const Cell& cell = GetParam();
  const auto array =
      arrow::json::ArrayFromJSONString(cell.type, cell.values).ValueOrDie();
  const auto batch = BatchOf(array);
  const auto table = TableSchema::FromArrow(*batch->schema());
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->columns()[0].type.ToString(), cell.derived);
  const auto json = RowEncoder::MakeJson(*batch->schema(), *table);
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(Joined((*json)->Encode(*batch).ValueOrDie()), cell.rows);
  const auto proto = RowEncoder::MakeProtobuf(
      *batch->schema(), MakeDescriptor(*table).ValueOrDie(), &*table);
  ASSERT_TRUE(proto.ok()) << proto.status();
  EXPECT_TRUE((*proto)->Encode(*batch).ValueOrDie().failed_rows.empty());
  const auto cast = CastToTable(*batch, *table);
  ASSERT_TRUE(cast.ok()) << cast.status();
  if (cell.flight) {
    EXPECT_TRUE((*cast)->column(0)->type()->Equals(*cell.flight))
        << (*cast)->column(0)->type()->ToString();
  }
  EXPECT_TRUE((*cast)->ValidateFull().ok());
}

INSTANTIATE_TEST_SUITE_P(All, TypeTable, ::testing::ValuesIn(Cells()));

/// With the option that makes something of it, or neither.
struct Refusal {
  TypePointer type;
  bool integers;
};

std::vector<Refusal> Refusals() {
  return {{arrow::time32(TimeUnit::SECOND), true},
          {arrow::time32(TimeUnit::MILLI), true},
          {arrow::time64(TimeUnit::MICRO), true},
          {arrow::time64(TimeUnit::NANO), true},
          {arrow::duration(TimeUnit::SECOND), true},
          {arrow::duration(TimeUnit::MILLI), true},
          {arrow::duration(TimeUnit::MICRO), true},
          {arrow::duration(TimeUnit::NANO), true},
          {arrow::month_interval(), true},
          {arrow::day_time_interval(), false},
          {arrow::month_day_nano_interval(), false},
          {arrow::sparse_union({field("i", arrow::int64())}), false},
          {arrow::dense_union({field("i", arrow::int64())}), false}};
}

TEST(TypesWithoutTableType, AreRefusedByNameUnlessCast) {
  for (const Refusal& refusal : Refusals()) {
    const auto schema = arrow::schema({field("when", refusal.type)});
    const auto refused = TableSchema::FromArrow(*schema);
    ASSERT_FALSE(refused.ok()) << refusal.type->ToString();
    EXPECT_EQ(CodeOf(refused.status()), ErrorCode::kUnsupportedType);
    EXPECT_THAT(refused.status().message(), HasSubstr("when"));
    const auto text = ExplicitCastSchema(schema, ExplicitCast::kText);
    ASSERT_TRUE(text.ok()) << text.status();
    EXPECT_EQ(TableSchema::FromArrow(**text)->columns()[0].type.id, TypeId::kString);
    EXPECT_EQ(ExplicitCastSchema(schema, ExplicitCast::kIntegers).ok(), refusal.integers)
        << refusal.type->ToString();
    // A table that exists has a column of some type, and it does not fit either.
    for (const TypeId id : {TypeId::kString, TypeId::kBigInt}) {
      const auto table = TableSchema::Make({{"when", {.id = id}, true, 0}}).ValueOrDie();
      for (const auto& status :
           {RowEncoder::MakeJson(*schema, table).status(),
            RowEncoder::MakeProtobuf(*schema, MakeDescriptor(table).ValueOrDie(), &table)
                .status(),
            CastToTable(*arrow::RecordBatch::MakeEmpty(schema).ValueOrDie(), table)
                .status()}) {
        ASSERT_FALSE(status.ok());
        EXPECT_THAT(status.message(), HasSubstr("when"));
      }
    }
  }
}

// The list above has every type Arrow knows.
TEST(TypesWithoutTableType, NoTypeIsForgotten) {
  std::set<arrow::Type::type> seen = {arrow::Type::NA, arrow::Type::EXTENSION,
                                      arrow::Type::RUN_END_ENCODED, arrow::Type::MAX_ID};
  for (const Cell& cell : Cells()) seen.insert(cell.type->id());
  for (const Refusal& refusal : Refusals()) seen.insert(refusal.type->id());
  for (int id = 0; id <= arrow::Type::MAX_ID; ++id) {
    EXPECT_TRUE(seen.contains(static_cast<arrow::Type::type>(id))) << id;
  }
}

TEST(TypesWithoutTableType, NullRunEndAndExtension) {
  const auto runs =
      arrow::RunEndEncodedArray::Make(
          2, arrow::json::ArrayFromJSONString(arrow::int32(), "[2]").ValueOrDie(),
          arrow::json::ArrayFromJSONString(arrow::utf8(), R"(["x"])").ValueOrDie())
          .ValueOrDie();
  const auto batch = BatchOf(runs);
  const auto table = TableSchema::FromArrow(*batch->schema()).ValueOrDie();
  EXPECT_EQ(Joined(RowEncoder::MakeJson(*batch->schema(), table)
                       .ValueOrDie()
                       ->Encode(*batch)
                       .ValueOrDie()),
            R"({"c":"x"}{"c":"x"})");
  const auto nulls = BatchOf(std::make_shared<arrow::NullArray>(1));
  EXPECT_TRUE(TableSchema::FromArrow(*nulls->schema())->columns().empty());
  const auto required = TableSchema::Make({{"c", {.id = TypeId::kInt}, false, 0}});
  const auto refused = RowEncoder::MakeJson(*nulls->schema(), *required);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.status().message(), HasSubstr("NOT NULL"));
}

}  // namespace
}  // namespace arrowport::zerobus::encode
