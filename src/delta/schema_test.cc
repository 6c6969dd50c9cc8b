#include "delta/schema.h"

#include <arrow/api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace arrowport::delta {
namespace {

ErrorCode CodeOfParsing(std::string_view json) {
  const auto parsed = ParseSchema(json);
  EXPECT_FALSE(parsed.ok()) << json;
  return parsed.ok() ? ErrorCode::kInternal : CodeOf(parsed.status());
}

constexpr std::string_view kAllTypes =
    R"({"type":"struct","fields":[)"
    R"({"name":"s","type":"string","nullable":false,"metadata":{"comment":"a \"b\""}},)"
    R"json({"name":"d","type":"decimal(10,2)","nullable":true,"metadata":{}},)json"
    R"({"name":"a","type":{"type":"array","elementType":"long","containsNull":false},)"
    R"("nullable":true,"metadata":{}},)"
    R"({"name":"m","type":{"type":"map","keyType":"string","valueType":{"type":"struct",)"
    R"("fields":[{"name":"x","type":"timestamp_ntz","nullable":true,"metadata":{}}]},)"
    R"("valueContainsNull":true},"nullable":true,"metadata":{}}]})";

TEST(Schema, TextSurvives) {
  const auto parsed = ParseSchema(kAllTypes);
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ(SchemaToJson(**parsed), kAllTypes);
  EXPECT_EQ((*parsed)->ToString(),
            "struct<s:string,d:decimal(10,2),a:array<long>,"
            "m:map<string,struct<x:timestamp_ntz>>>");
}

TEST(Schema, ArrowTypes) {
  const auto arrow_schema = ToArrowSchema(**ParseSchema(kAllTypes), NameStyle::kLogical);
  const auto expected = arrow::schema(
      {arrow::field("s", arrow::utf8(), false), arrow::field("d", arrow::decimal128(10, 2)),
       arrow::field("a", arrow::list(arrow::field("element", arrow::int64(), false))),
       arrow::field("m", arrow::map(arrow::utf8(),
                                    arrow::struct_({arrow::field(
                                        "x", arrow::timestamp(arrow::TimeUnit::MICRO))})))});
  EXPECT_TRUE(arrow_schema->Equals(expected)) << arrow_schema->ToString();
  const auto back = FromArrowSchema(*arrow_schema);
  ASSERT_TRUE(back.ok());
  EXPECT_TRUE((*back)->Equals(**ParseSchema(kAllTypes)));
}

TEST(Schema, PhysicalNamesAndIdsOfColumnMapping) {
  const auto parsed = ParseSchema(
      R"({"type":"struct","fields":[{"name":"a b","type":"long","nullable":true,"metadata":)"
      R"({"delta.columnMapping.id":7,"delta.columnMapping.physicalName":"col-1"}}]})");
  ASSERT_TRUE(parsed.ok());
  const auto physical = ToArrowSchema(**parsed, NameStyle::kPhysical);
  EXPECT_EQ(physical->field(0)->name(), "col-1");
  EXPECT_EQ(physical->field(0)->metadata()->Get("PARQUET:field_id").ValueOr(""), "7");
  EXPECT_EQ(ToArrowSchema(**parsed, NameStyle::kLogical)->field(0)->name(), "a b");
}

TEST(Schema, RefusesByName) {
  const auto unknown = ParseSchema(
      R"({"type":"struct","fields":[{"name":"a","type":"moonphase","nullable":true}]})");
  EXPECT_EQ(CodeOf(unknown.status()), ErrorCode::kUnsupportedType);
  EXPECT_THAT(unknown.status().message(), ::testing::HasSubstr("moonphase"));
  EXPECT_EQ(CodeOfParsing("{"), ErrorCode::kStorageCorrupt);
  EXPECT_EQ(CodeOfParsing(R"("long")"), ErrorCode::kStorageCorrupt);
  EXPECT_EQ(CodeOfParsing(R"({"type":"struct"})"), ErrorCode::kStorageCorrupt);
  EXPECT_EQ(
      CodeOfParsing(
          R"json({"type":"struct","fields":[{"name":"a","type":"decimal(39,0)"}]})json"),
      ErrorCode::kStorageCorrupt);
  EXPECT_EQ(CodeOfParsing(R"({"type":"struct","fields":[{"name":"a","type":"long"},)"
                          R"({"name":"a","type":"long"}]})"),
            ErrorCode::kStorageCorrupt);
  std::string deep = R"("long")";
  for (int i = 0; i < 200; ++i) deep = R"({"type":"array","elementType":)" + deep + "}";
  EXPECT_EQ(CodeOfParsing(R"({"type":"struct","fields":[{"name":"a","type":)" + deep + "}]}"),
            ErrorCode::kTooLarge);
}

TEST(Schema, ArrowTypesWithoutADeltaType) {
  const auto kept = [](std::shared_ptr<arrow::DataType> type) {
    const auto field = FromArrowField(*arrow::field("c", std::move(type)));
    return field.ok() ? field->type->ToString() : field.status().ToString();
  };
  EXPECT_EQ(kept(arrow::uint64()), "decimal(20,0)");
  EXPECT_EQ(kept(arrow::uint8()), "short");
  EXPECT_EQ(kept(arrow::dictionary(arrow::int8(), arrow::large_utf8())), "string");
  EXPECT_EQ(kept(arrow::timestamp(arrow::TimeUnit::NANO, "Europe/Paris")), "timestamp");
  EXPECT_EQ(kept(arrow::fixed_size_list(arrow::float32(), 3)), "array<float>");
  EXPECT_EQ(kept(arrow::decimal256(38, 3)), "decimal(38,3)");
  for (const auto& type :
       {arrow::null(), arrow::time64(arrow::TimeUnit::MICRO), arrow::month_interval(),
        arrow::duration(arrow::TimeUnit::SECOND), arrow::decimal256(39, 0),
        arrow::struct_({}), arrow::list(arrow::null())}) {
    const auto field = FromArrowField(*arrow::field("col", type));
    ASSERT_FALSE(field.ok()) << type->ToString();
    EXPECT_EQ(CodeOf(field.status()), ErrorCode::kUnsupportedType);
    EXPECT_THAT(field.status().message(), ::testing::HasSubstr("col"));
  }
}

TEST(Schema, NamesOfNewTables) {
  const auto code = [](arrow::FieldVector fields) {
    return CodeOf(FromArrowSchema(*arrow::schema(std::move(fields))).status());
  };
  EXPECT_EQ(code({arrow::field("a b", arrow::int8())}), ErrorCode::kInvalidName);
  EXPECT_EQ(code({arrow::field("", arrow::int8())}), ErrorCode::kInvalidName);
  EXPECT_EQ(code({arrow::field("a", arrow::int8()), arrow::field("A", arrow::int8())}),
            ErrorCode::kInvalidName);
  EXPECT_EQ(code({arrow::field("s", arrow::struct_({arrow::field("x=", arrow::int8())}))}),
            ErrorCode::kInvalidName);
}

TEST(Schema, FindsIgnoringCaseWhenClear) {
  const auto schema = **FromArrowSchema(
      *arrow::schema({arrow::field("Id", arrow::int64()), arrow::field("x", arrow::int64())}));
  EXPECT_EQ(FindField(schema, "id")->name, "Id");
  EXPECT_EQ(FindField(schema, "y"), nullptr);
}

}  // namespace
}  // namespace arrowport::delta
