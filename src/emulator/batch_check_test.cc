#include "emulator/batch_check.h"

#include <arrow/api.h>
#include <arrow/json/from_string.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace arrowport::emulator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using zerobus::encode::TableSchema;

TableSchema TestTable() {
  const auto table = TableSchema::FromUnityCatalogJson(R"json([
    {"name": "id", "type_name": "LONG", "type_text": "bigint", "nullable": false,
     "position": 0},
    {"name": "price", "type_name": "DECIMAL", "type_text": "decimal(5,2)",
     "type_json": "\"decimal(5,2)\"", "position": 1},
    {"name": "place", "type_name": "STRUCT", "type_text": "struct<floor:int>", "position": 2,
     "type_json": "{\"type\":\"struct\",\"fields\":[{\"name\":\"floor\",\"type\":\"integer\",\"nullable\":false,\"metadata\":{}}]}"},
    {"name": "doc", "type_name": "VARIANT", "type_text": "variant", "position": 3}])json");
  EXPECT_TRUE(table.ok()) << table.status();
  return *table;
}

std::shared_ptr<arrow::Field> Id() { return arrow::field("id", arrow::int64()); }
std::shared_ptr<arrow::Field> Price() {
  return arrow::field("price", arrow::large_utf8());
}
std::shared_ptr<arrow::Field> Place() {
  return arrow::field("place", arrow::struct_({arrow::field("floor", arrow::int32())}));
}

std::vector<std::string> Causes(const arrow::FieldVector& fields,
                                const FlightRules& rules = {}) {
  return JudgeSchema(*arrow::schema(fields), TestTable(), rules).causes;
}

TEST(JudgeSchemaTest, EachCauseIsNamedOnce) {
  EXPECT_THAT(Causes({Id(), Price(), Place()}), IsEmpty());
  EXPECT_THAT(Causes({Price()}), ElementsAre("MISSING_REQUIRED_COLUMN"));
  EXPECT_THAT(Causes({Price(), Id()}), ElementsAre("FIELD_OUT_OF_ORDER"));
  EXPECT_THAT(
      Causes({Id(), arrow::field("a", arrow::int8()), arrow::field("b", arrow::int8())}),
      ElementsAre("FIELD_NOT_IN_TABLE"));
  EXPECT_THAT(Causes({Id(), Id()}), ElementsAre("FIELD_COUNT_MISMATCH"));
  const auto variant = arrow::struct_({arrow::field("metadata", arrow::large_binary()),
                                       arrow::field("value", arrow::large_binary())});
  EXPECT_THAT(Causes({Id(), arrow::field("doc", variant)}), IsEmpty());
  EXPECT_THAT(Causes({arrow::field("id", arrow::int32()),
                      arrow::field("price", arrow::decimal128(5, 2)),
                      arrow::field("doc", arrow::large_utf8()), Place(),
                      arrow::field("more", arrow::int8())}),
              UnorderedElementsAre("TYPE_INCOMPATIBLE", "FIELD_OUT_OF_ORDER",
                                   "FIELD_NOT_IN_TABLE", "FIELD_COUNT_MISMATCH"));
}

TEST(JudgeSchemaTest, RulesLoosenIt) {
  FlightRules rules;
  rules.near_types = true;
  rules.reordered = true;
  EXPECT_THAT(Causes({arrow::field("price", arrow::utf8()), Id()}, rules), IsEmpty());
  rules.missing_nullable = false;
  EXPECT_THAT(Causes({Id(), Price(), Place()}, rules),
              ElementsAre("FIELD_COUNT_MISMATCH"));
}

TEST(CheckBatchTest, ValuesAreJudged) {
  const auto schema = arrow::schema({Id(), Price(), Place()});
  const auto check = [&](const std::string& rows) {
    const auto array =
        *arrow::json::ArrayFromJSONString(arrow::struct_(schema->fields()), rows);
    const auto batch = *arrow::RecordBatch::FromStructArray(array);
    const arrow::Status status = CheckBatch(*batch, TestTable());
    if (!status.ok()) {
      EXPECT_EQ(CodeOf(status), ErrorCode::kBadData);
    }
    return status.ok() ? "" : status.message();
  };
  EXPECT_EQ(check(R"([[1, "1.50", [3]], [2, null, null]])"), "");
  EXPECT_THAT(check(R"([[1, null, null], [null, null, null]])"), HasSubstr("id"));
  EXPECT_THAT(check(R"([[1, "1.505", null]])"), HasSubstr("price"));
  EXPECT_THAT(check(R"([[1, null, [null]]])"), HasSubstr("place.floor"));
}

TEST(RowIdsTest, AreJsonTexts) {
  const auto schema = arrow::schema({Id(), arrow::field("name", arrow::large_utf8())});
  const auto array = *arrow::json::ArrayFromJSONString(arrow::struct_(schema->fields()),
                                                       R"([[-1, "a\"b"], [null, null]])");
  const auto batch = *arrow::RecordBatch::FromStructArray(array);
  EXPECT_EQ(RowIds(*batch, ""), "-1,null");
  EXPECT_EQ(RowIds(*batch, "name"), "\"a\\\"b\",null");
  EXPECT_EQ(RowIds(*batch, "nothing"), "null,null");
}

}  // namespace
}  // namespace arrowport::emulator
