#include "zerobus/encode/table_schema.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace arrowport::zerobus::encode {
namespace {

std::string Column(const std::string& name, const std::string& type_name, int position,
                   const nlohmann::json& type_json = nullptr) {
  nlohmann::json column = {{"name", name}, {"type_name", type_name}, {"position", position}};
  if (type_json.is_string()) {
    column["type_json"] = type_json;
  } else if (!type_json.is_null()) {
    column["type_json"] = type_json.dump();
  }
  return column.dump();
}

TableType TypeOf(const std::string& column) {
  auto table = TableSchema::FromUnityCatalogJson("[" + column + "]");
  EXPECT_TRUE(table.ok()) << table.status();
  return table.ok() ? table->columns().at(0).type : TableType{};
}

ErrorCode CodeFor(const std::string& columns) {
  auto table = TableSchema::FromUnityCatalogJson(columns);
  EXPECT_FALSE(table.ok()) << columns;
  return table.ok() ? ErrorCode::kInternal : CodeOf(table.status());
}

TEST(TableSchema, EveryScalarName) {
  const std::pair<const char*, TypeId> names[] = {
      {"BOOLEAN", TypeId::kBoolean},     {"BYTE", TypeId::kTinyInt},
      {"TINYINT", TypeId::kTinyInt},     {"SHORT", TypeId::kSmallInt},
      {"SMALLINT", TypeId::kSmallInt},   {"INT", TypeId::kInt},
      {"INTEGER", TypeId::kInt},         {"LONG", TypeId::kBigInt},
      {"BIGINT", TypeId::kBigInt},       {"FLOAT", TypeId::kFloat},
      {"DOUBLE", TypeId::kDouble},       {"STRING", TypeId::kString},
      {"CHAR", TypeId::kString},         {"BINARY", TypeId::kBinary},
      {"DATE", TypeId::kDate},           {"TIMESTAMP", TypeId::kTimestamp},
      {"VARIANT", TypeId::kVariant},     {"TIMESTAMP_NTZ", TypeId::kTimestampNtz},
      {"varchar(12)", TypeId::kString},
  };
  for (const auto& [name, id] : names) EXPECT_EQ(TypeOf(Column("c", name, 0)).id, id) << name;
}

TEST(TableSchema, DecimalFromTextOrJson) {
  TableType from_text =
      TypeOf(R"json({"name":"d","type_name":"DECIMAL","type_text":"decimal(12, 3)"})json");
  EXPECT_EQ(from_text.ToString(), "DECIMAL(12,3)");
  EXPECT_EQ(TypeOf(Column("d", "DECIMAL", 0, "\"decimal(38,0)\"")).ToString(),
            "DECIMAL(38,0)");
  EXPECT_EQ(TypeOf(Column("d", "DECIMAL", 0, "decimal(7,7)")).ToString(), "DECIMAL(7,7)");
  for (const char* bad : {"decimal(39,0)", "decimal(5,6)", "decimal(0,0)", "decimal(5,-1)"}) {
    EXPECT_EQ(CodeFor("[" + Column("d", "DECIMAL", 0, bad) + "]"),
              ErrorCode::kUnsupportedType)
        << bad;
  }
  for (const char* bad : {"decimal(5", "decimal(x,1)", "decimal(5,1) y", "decimal(,)"}) {
    EXPECT_EQ(CodeFor("[" + Column("d", "DECIMAL", 0, bad) + "]"),
              ErrorCode::kInvalidArgument)
        << bad;
  }
}

TEST(TableSchema, NestedTypesBareAndInAField) {
  nlohmann::json type = nlohmann::json::parse(R"json({"type":"struct","fields":[
    {"name":"city","type":"string","nullable":false,"metadata":{}},
    {"name":"spots","type":{"type":"array","containsNull":true,"elementType":
      {"type":"struct","fields":[{"name":"x","type":"long","nullable":true}]}}},
    {"name":"tags","type":{"type":"map","keyType":"string","valueType":"decimal(5,2)",
      "valueContainsNull":false}}]})json");
  const std::string wanted =
      "STRUCT<city: STRING NOT NULL, spots: ARRAY<STRUCT<x: BIGINT>>, "
      "tags: MAP<STRING, DECIMAL(5,2)>>";
  EXPECT_EQ(TypeOf(Column("s", "STRUCT", 0, type)).ToString(), wanted);
  nlohmann::json field = {
      {"name", "s"}, {"type", type}, {"nullable", false}, {"metadata", {}}};
  EXPECT_EQ(TypeOf(Column("s", "STRUCT", 0, field)).ToString(), wanted);
  // A struct with a member called "name" is no field object.
  EXPECT_EQ(TypeOf(Column("s", "ARRAY", 0,
                          nlohmann::json::parse(
                              R"({"type":"array","elementType":"timestamp_ntz"})")))
                .ToString(),
            "ARRAY<TIMESTAMP_NTZ>");
}

TEST(TableSchema, PositionsOrderSkipAndDefault) {
  auto table = TableSchema::FromUnityCatalogJson(
      "[" + Column("b", "INT", 4) + "," + Column("gone", "INTERVAL", -1) + "," +
      R"({"name":"c","type_name":"LONG","nullable":false},)" + Column("a", "STRING", 0) +
      "]");
  ASSERT_TRUE(table.ok()) << table.status();
  ASSERT_EQ(table->columns().size(), 3u);
  EXPECT_EQ(table->columns()[0].name, "a");
  EXPECT_EQ(table->columns()[1].name, "c");
  EXPECT_EQ(table->columns()[1].position, 2);
  EXPECT_FALSE(table->columns()[1].nullable);
  EXPECT_EQ(table->columns()[2].position, 4);
  EXPECT_TRUE(table->columns()[2].nullable);
  EXPECT_EQ(table->Find("gone"), nullptr);
}

TEST(TableSchema, HostileColumnsAreRefused) {
  for (const char* bad : {"", "{}", "[1]", "[{}]", R"([{"name":1,"type_name":"INT"}])",
                          R"([{"name":"a"}])", R"([{"name":"a","type_name":"STRUCT"}])",
                          R"([{"name":"a","type_name":"INT","position":"0"}])",
                          R"([{"name":"a","type_name":"INT","position":99999999999}])",
                          R"([{"name":"a","type_name":"STRUCT","type_json":"[]"}])",
                          R"([{"name":"a","type_name":"STRUCT","type_json":"{}"}])",
                          R"([{"name":"a","type_name":"MAP","type_json":"\"long\""}])"}) {
    EXPECT_EQ(CodeFor(bad), ErrorCode::kInvalidArgument) << bad;
  }
  EXPECT_EQ(CodeFor("[" + Column("a", "INTERVAL", 0) + "]"), ErrorCode::kUnsupportedType);
  EXPECT_EQ(CodeFor("[" + Column("a", "INT", 0) + "," + Column("a", "INT", 1) + "]"),
            ErrorCode::kSchemaMismatch);
  EXPECT_EQ(CodeFor("[" + Column("a", "INT", 1) + "," + Column("b", "INT", 1) + "]"),
            ErrorCode::kSchemaMismatch);
  std::string deep = "\"long\"";
  for (int i = 0; i < 20000; ++i) deep = R"({"type":"array","elementType":)" + deep + "}";
  EXPECT_EQ(CodeFor("[" + Column("a", "ARRAY", 0, deep) + "]"), ErrorCode::kUnsupportedType);
}

TEST(TableSchema, FromArrow) {
  using arrow::field;
  auto schema = arrow::schema(
      {field("i", arrow::uint8(), false), field("nothing", arrow::null()),
       field("u", arrow::uint64()), field("d", arrow::decimal128(5, -2)),
       field("t", arrow::timestamp(arrow::TimeUnit::SECOND, "Asia/Tokyo")),
       field("n", arrow::dictionary(arrow::int8(), arrow::utf8())),
       field("l", arrow::list(arrow::struct_({field("x", arrow::float16(), false),
                                              field("none", arrow::null())}))),
       field("m", arrow::map(arrow::utf8(), arrow::date64()))});
  auto table = TableSchema::FromArrow(*schema);
  ASSERT_TRUE(table.ok()) << table.status();
  std::string text;
  for (const TableColumn& column : table->columns()) {
    text += std::to_string(column.position) + " " + column.type.ToString() + "\n";
  }
  EXPECT_EQ(text,
            "0 SMALLINT\n2 DECIMAL(20,0)\n3 DECIMAL(7,0)\n4 TIMESTAMP\n5 STRING\n"
            "6 ARRAY<STRUCT<x: FLOAT NOT NULL>>\n7 MAP<STRING, DATE>\n");
}

TEST(TableSchema, ArrowTypesWithoutTableTypeAreRefused) {
  for (const auto& type :
       {arrow::time32(arrow::TimeUnit::SECOND), arrow::time64(arrow::TimeUnit::NANO),
        arrow::duration(arrow::TimeUnit::MICRO), arrow::month_interval(),
        arrow::dense_union({arrow::field("a", arrow::int8())}), arrow::list(arrow::null()),
        arrow::decimal128(5, -300)}) {
    auto table = TableSchema::FromArrow(*arrow::schema({arrow::field("c", type)}));
    ASSERT_FALSE(table.ok()) << type->ToString();
    EXPECT_EQ(CodeOf(table.status()), ErrorCode::kUnsupportedType) << table.status();
  }
  auto required = arrow::schema({arrow::field("c", arrow::null(), false)});
  EXPECT_FALSE(TableSchema::FromArrow(*required).ok());
}

}  // namespace
}  // namespace arrowport::zerobus::encode
