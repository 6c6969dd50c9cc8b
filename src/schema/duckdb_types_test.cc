#include "schema/duckdb_types.h"

#include <arrow/api.h>
#include <arrow/extension/bool8.h>
#include <arrow/extension/json.h>
#include <arrow/extension/uuid.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace arrowport::schema {
namespace {

using arrow::TimeUnit;
using ::testing::HasSubstr;

TEST(DuckDbTypes, SqlAndStoredType) {
  struct Case {
    std::shared_ptr<arrow::DataType> type;
    const char* sql;
    std::shared_ptr<arrow::DataType> stored;
  };
  const auto interval = arrow::month_day_nano_interval();
  const Case cases[] = {
      {arrow::null(), "INTEGER", arrow::int32()},
      {arrow::uint64(), "UBIGINT", arrow::uint64()},
      {arrow::float16(), "FLOAT", arrow::float32()},
      {arrow::decimal128(5, 2), "DECIMAL(5,2)", arrow::decimal128(5, 2)},
      {arrow::smallest_decimal(5, 2), "DECIMAL(5,2)", arrow::decimal128(5, 2)},
      {arrow::decimal128(5, -2), "DECIMAL(7,0)", arrow::decimal128(7, 0)},
      {arrow::decimal128(3, 5), "DECIMAL(5,5)", arrow::decimal128(5, 5)},
      {arrow::decimal256(76, 10), "DECIMAL(38,10)", arrow::decimal128(38, 10)},
      {arrow::date64(), "DATE", arrow::date32()},
      {arrow::time32(TimeUnit::SECOND), "TIME", arrow::time64(TimeUnit::MICRO)},
      {arrow::time64(TimeUnit::NANO), "TIME_NS", arrow::time64(TimeUnit::NANO)},
      {arrow::timestamp(TimeUnit::NANO), "TIMESTAMP_NS",
       arrow::timestamp(TimeUnit::NANO)},
      {arrow::timestamp(TimeUnit::NANO, "Europe/Paris"), "TIMESTAMP WITH TIME ZONE",
       arrow::timestamp(TimeUnit::MICRO, "UTC")},
      {arrow::duration(TimeUnit::NANO), "INTERVAL", interval},
      {arrow::day_time_interval(), "INTERVAL", interval},
      {arrow::large_utf8(), "VARCHAR", arrow::utf8()},
      {arrow::utf8_view(), "VARCHAR", arrow::utf8()},
      {arrow::fixed_size_binary(4), "BLOB", arrow::binary()},
      {arrow::large_list(arrow::large_utf8()), "VARCHAR[]", arrow::list(arrow::utf8())},
      {arrow::fixed_size_list(arrow::float32(), 3), "FLOAT[3]",
       arrow::fixed_size_list(arrow::float32(), 3)},
      {arrow::fixed_size_list(arrow::float32(), 0), "FLOAT[]",
       arrow::list(arrow::float32())},
      {arrow::struct_({arrow::field("a", arrow::int8(), false),
                       arrow::field("q\"x", arrow::utf8())}),
       "STRUCT(\"a\" TINYINT, \"q\"\"x\" VARCHAR)",
       arrow::struct_(
           {arrow::field("a", arrow::int8()), arrow::field("q\"x", arrow::utf8())})},
      {arrow::map(arrow::utf8(), arrow::list(arrow::int32())), "MAP(VARCHAR, INTEGER[])",
       arrow::map(arrow::utf8(), arrow::list(arrow::int32()))},
      {arrow::dictionary(arrow::int8(), arrow::utf8()), "VARCHAR", arrow::utf8()},
      {arrow::run_end_encoded(arrow::int32(), arrow::float64()), "DOUBLE",
       arrow::float64()},
      {arrow::extension::uuid(), "UUID", arrow::extension::uuid()},
      {arrow::extension::json(), "JSON", arrow::utf8()},
      {arrow::extension::bool8(), "BOOLEAN", arrow::boolean()},
  };
  for (const Case& c : cases) {
    auto mapped = DuckDbTypeOf(*arrow::field("c", c.type));
    ASSERT_TRUE(mapped.ok()) << c.type->ToString() << ": " << mapped.status().ToString();
    EXPECT_EQ(mapped->sql, c.sql) << c.type->ToString();
    EXPECT_TRUE(mapped->stored->Equals(*c.stored))
        << c.type->ToString() << " -> " << mapped->stored->ToString();
  }
}

TEST(DuckDbTypes, RefusedByName) {
  const auto sparse = arrow::sparse_union({arrow::field("a", arrow::int8())});
  auto unknown =
      arrow::field("c", arrow::binary(), true,
                   arrow::key_value_metadata({"ARROW:extension:name"}, {"geoarrow.wkb"}));
  auto deep = arrow::int8();
  for (int i = 0; i < 100; ++i) deep = arrow::list(deep);
  const std::shared_ptr<arrow::Field> cases[] = {
      arrow::field("c", sparse),
      arrow::field("c", arrow::list(arrow::struct_({arrow::field("u", sparse)}))),
      arrow::field("c", arrow::struct_({})),
      arrow::field("c", arrow::decimal256(76, 40)),
      arrow::field("c", deep),
      unknown,
  };
  for (const auto& field : cases) {
    auto mapped = DuckDbTypeOf(*field);
    ASSERT_FALSE(mapped.ok()) << field->ToString();
    EXPECT_EQ(CodeOf(mapped.status()), ErrorCode::kUnsupportedType);
    EXPECT_THAT(mapped.status().message(), HasSubstr("c"));
  }
  EXPECT_THAT(DuckDbTypeOf(*cases[1]).status().message(), HasSubstr("c[].u"));
}

TEST(DuckDbTypes, MemberNamesAreChecked) {
  for (const auto& type : {arrow::struct_({arrow::field("a", arrow::int8()),
                                           arrow::field("A", arrow::int8())}),
                           arrow::struct_({arrow::field("", arrow::int8())})}) {
    auto mapped = DuckDbTypeOf(*arrow::field("c", type));
    ASSERT_FALSE(mapped.ok()) << type->ToString();
    EXPECT_EQ(CodeOf(mapped.status()), ErrorCode::kInvalidName);
  }
}

TEST(DuckDbTypes, KnownExtensionByMetadataAlone) {
  auto json =
      arrow::field("c", arrow::large_utf8(), true,
                   arrow::key_value_metadata({"ARROW:extension:name"}, {"arrow.json"}));
  EXPECT_EQ(DuckDbTypeOf(*json)->sql, "JSON");
}

}  // namespace
}  // namespace arrowport::schema
