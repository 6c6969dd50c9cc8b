// Every line of docs/reference/types.md, into DuckDB and back.
#include <arrow/extension/bool8.h>
#include <arrow/extension/json.h>
#include <arrow/extension/uuid.h>

#include <fstream>
#include <sstream>

#include "schema/duckdb_types.h"
#include "sink/duckdb/sink_test_fixture.h"

namespace arrowport::sink {
namespace {

using arrow::TimeUnit;
using TypePtr = std::shared_ptr<arrow::DataType>;

struct Line {
  TypePtr field;       ///< what a producer sends
  const char* sql;     ///< the column's type
  TypePtr back;        ///< what DuckDB gives back; null: the stored type
  const char* values;  ///< JSON of the stored type, with nulls
};

std::vector<Line> Lines() {
  const auto item = [](const TypePtr& type) { return arrow::list(type); };
  const char* integers = "[0, 1, null, 127]";
  const char* interval = "[[1, -2, 3000], null, [0, 0, -86400000000000]]";
  const auto mdn = arrow::month_day_nano_interval();
  const auto micros = arrow::time64(TimeUnit::MICRO);
  return {
      {arrow::null(), "INTEGER", arrow::int32(), "[null, null]"},
      {arrow::boolean(), "BOOLEAN", nullptr, "[true, null, false]"},
      {arrow::extension::bool8(), "BOOLEAN", nullptr, "[true, null, false]"},
      {arrow::int8(), "TINYINT", nullptr, "[-128, null, 127]"},
      {arrow::int16(), "SMALLINT", nullptr, "[-32768, null, 32767]"},
      {arrow::int32(), "INTEGER", nullptr, "[-2147483648, null, 2147483647]"},
      {arrow::int64(), "BIGINT", nullptr,
       "[-9223372036854775808, null, 9223372036854775807]"},
      {arrow::uint8(), "UTINYINT", nullptr, "[0, null, 255]"},
      {arrow::uint16(), "USMALLINT", nullptr, "[0, null, 65535]"},
      {arrow::uint32(), "UINTEGER", nullptr, "[0, null, 4294967295]"},
      {arrow::uint64(), "UBIGINT", nullptr, "[0, null, 18446744073709551615]"},
      {arrow::float16(), "FLOAT", arrow::float32(), "[0.5, null, -65504]"},
      {arrow::float32(), "FLOAT", nullptr, "[1.5, null, -3.4028234e38]"},
      {arrow::float64(), "DOUBLE", nullptr, "[0.1, null, -1.7976931348623157e308]"},
      {arrow::smallest_decimal(4, 2), "DECIMAL(4,2)", nullptr,
       R"(["99.99", null, "-99.99"])"},
      {arrow::smallest_decimal(18, 6), "DECIMAL(18,6)", nullptr,
       R"(["999999999999.999999", null])"},
      {arrow::decimal128(38, 10), "DECIMAL(38,10)", nullptr,
       R"(["9999999999999999999999999999.9999999999", null, "-0.0000000001"])"},
      {arrow::decimal256(76, 10), "DECIMAL(38,10)", nullptr, R"(["1.5000000000", null])"},
      {arrow::date32(), "DATE", nullptr, "[0, null, -719162, 2932896]"},
      {arrow::date64(), "DATE", arrow::date32(), "[0, null, 19000]"},
      {arrow::time32(TimeUnit::SECOND), "TIME", micros, "[0, null, 86399000000]"},
      {arrow::time32(TimeUnit::MILLI), "TIME", micros, "[0, null, 86399999000]"},
      {micros, "TIME", nullptr, "[0, null, 86399999999]"},
      {arrow::time64(TimeUnit::NANO), "TIME_NS", nullptr, "[0, null, 86399999999999]"},
      {arrow::timestamp(TimeUnit::SECOND), "TIMESTAMP_S", nullptr,
       "[0, null, -62135596800, 253402300799]"},
      {arrow::timestamp(TimeUnit::MILLI), "TIMESTAMP_MS", nullptr,
       "[0, null, -62135596800000]"},
      {arrow::timestamp(TimeUnit::MICRO), "TIMESTAMP", nullptr,
       "[0, null, -62135596800000000]"},
      {arrow::timestamp(TimeUnit::NANO), "TIMESTAMP_NS", nullptr,
       "[0, null, 1700000000123456789]"},
      {arrow::timestamp(TimeUnit::NANO, "Europe/Paris"), "TIMESTAMP WITH TIME ZONE",
       nullptr, "[0, null, 1700000000123456]"},
      {arrow::duration(TimeUnit::SECOND), "INTERVAL", mdn, interval},
      {arrow::month_interval(), "INTERVAL", mdn, interval},
      {arrow::day_time_interval(), "INTERVAL", mdn, interval},
      {mdn, "INTERVAL", nullptr, interval},
      {arrow::utf8(), "VARCHAR", nullptr, R"(["", null, "a longer text, grüße", "x"])"},
      {arrow::large_utf8(), "VARCHAR", arrow::utf8(), R"(["a", null])"},
      {arrow::utf8_view(), "VARCHAR", arrow::utf8(), R"(["a", null])"},
      {arrow::binary(), "BLOB", nullptr, R"(["", null, "bytes of more than twelve"])"},
      {arrow::large_binary(), "BLOB", arrow::binary(), R"(["a", null])"},
      {arrow::binary_view(), "BLOB", arrow::binary(), R"(["a", null])"},
      {arrow::fixed_size_binary(3), "BLOB", arrow::binary(), R"(["abc", null])"},
      {item(arrow::int32()), "INTEGER[]", nullptr, "[[1, null, 3], null, []]"},
      {arrow::large_list(arrow::utf8()), "VARCHAR[]", item(arrow::utf8()),
       R"([["a", null], null, []])"},
      {arrow::list_view(arrow::int8()), "TINYINT[]", item(arrow::int8()), "[[1], null]"},
      {arrow::fixed_size_list(arrow::float32(), 2), "FLOAT[2]", nullptr,
       "[[1, 2], null, [3, null]]"},
      {arrow::struct_({arrow::field("a", arrow::int8()),
                       arrow::field("b c", item(arrow::utf8()))}),
       "STRUCT(a TINYINT, \"b c\" VARCHAR[])", nullptr,
       R"([{"a": 1, "b c": ["x", null]}, null, {"a": null, "b c": null}])"},
      {arrow::map(arrow::utf8(), arrow::float64()), "MAP(VARCHAR, DOUBLE)", nullptr,
       R"([[["k", 1.5], ["l", null]], null, []])"},
      {arrow::dictionary(arrow::int16(), arrow::utf8()), "VARCHAR", arrow::utf8(),
       R"(["a", null])"},
      {arrow::run_end_encoded(arrow::int32(), arrow::int64()), "BIGINT", arrow::int64(),
       integers},
      {arrow::extension::json(), "JSON", arrow::utf8(), R"(["{\"a\": 1}", null])"},
      {arrow::extension::uuid(), "UUID", arrow::utf8(),
       R"(["0123456789abcdef", null])"},
  };
}

std::shared_ptr<arrow::Array> ArrayOf(const TypePtr& type, const char* json) {
  const bool extension = type->id() == arrow::Type::EXTENSION;
  auto storage =
      extension ? static_cast<const arrow::ExtensionType&>(*type).storage_type() : type;
  auto array = arrow::json::ArrayFromJSONString(storage, json);
  EXPECT_TRUE(array.ok()) << type->ToString() << array.status().ToString();
  if (!array.ok()) return nullptr;
  return extension ? arrow::ExtensionType::WrapArray(type, *array) : *array;
}

class TypesTest : public SinkFixture {};

TEST_F(TypesTest, EveryTypeGoesInAndComesBackEqual) {
  OpenSink();
  int number = 0;
  for (const Line& line : Lines()) {
    SCOPED_TRACE(line.field->ToString());
    const std::string name = "t" + std::to_string(number++);
    auto field = arrow::field("c", line.field);
    auto stored = sink_->StoredType(*field);
    ASSERT_TRUE(stored.ok()) << stored.status().ToString();
    auto table = sink_->Create(Name(name), *arrow::schema({field}));
    ASSERT_TRUE(table.ok()) << table.status().ToString();
    ASSERT_EQ((*table)->columns.size(), 1u);
    EXPECT_TRUE((*table)->columns[0].type->Equals(**stored))
        << (*table)->columns[0].type->ToString() << " vs " << (*stored)->ToString();
    EXPECT_EQ(Ask("SELECT data_type FROM duckdb_columns() WHERE table_name = '" + name +
                  "'"),
              line.sql);
    auto array = ArrayOf(*stored, line.values);
    ASSERT_NE(array, nullptr);
    auto batch = arrow::RecordBatch::Make(
        arrow::schema({arrow::field("c", *stored)}), array->length(), {array});
    ASSERT_TRUE(batch->ValidateFull().ok());
    auto outcomes = Commit({{*table, {batch}, std::nullopt}});
    ASSERT_TRUE(outcomes[0].status.ok()) << outcomes[0].status.ToString();
    auto back = Fetch("SELECT c FROM " + name);
    ASSERT_TRUE(back.ok()) << back.status().ToString();
    auto column = (*back)->column(0);
    const TypePtr expected_type = line.back ? line.back : *stored;
    ASSERT_TRUE(column->type()->Equals(*expected_type)) << column->type()->ToString();
    auto joined = arrow::Concatenate(column->chunks());
    ASSERT_TRUE(joined.ok());
    if ((*stored)->id() == arrow::Type::EXTENSION) {
      EXPECT_EQ(Ask("SELECT c FROM " + name), "30313233-3435-3637-3839-616263646566");
      continue;
    }
    EXPECT_TRUE((*joined)->Equals(*array))
        << "in:\n" << array->ToString() << "\nback:\n" << (*joined)->ToString();
  }
}

TEST_F(TypesTest, TypesStayAfterRestart) {
  OpenSink();
  int number = 0;
  std::vector<std::shared_ptr<const Table>> before;
  for (const Line& line : Lines()) {
    auto table = sink_->Create(Name("t" + std::to_string(number++)),
                               *arrow::schema({arrow::field("c", line.field)}));
    ASSERT_TRUE(table.ok());
    before.push_back(*table);
  }
  Reopen();
  for (const auto& table : before) {
    auto after = sink_->Open(table->name);
    ASSERT_TRUE(after.ok()) << after.status().ToString();
    EXPECT_TRUE((*after)->columns[0].type->Equals(*table->columns[0].type));
  }
}

// Columns that no Arrow field makes, but that a user's own table may have.
TEST_F(TypesTest, ForeignColumnsTakeTheirValues) {
  OpenSink();
  ASSERT_TRUE(Sql("CREATE TYPE mood AS ENUM ('sad', 'happy');"
                  "CREATE TABLE f (h HUGEINT, e mood, b BIT, tz TIMETZ, "
                  "u UNION(a INTEGER, b VARCHAR), es mood[])")
                  .ok());
  auto table = sink_->Open(Name("f"));
  ASSERT_TRUE(table.ok()) << table.status().ToString();
  const std::pair<TypePtr, const char*> columns[] = {
      {arrow::decimal128(38, 0), R"(["-99999999999999999999999999999999999999", null])"},
      {arrow::utf8(), R"(["happy", null])"},
      {arrow::utf8(), R"(["0101", null])"},
      {arrow::utf8(), R"(["12:34:56+02", null])"},
      {arrow::null(), "[null, null]"},
      {arrow::list(arrow::utf8()), R"([["sad", "happy"], null])"},
  };
  arrow::FieldVector fields;
  arrow::ArrayVector arrays;
  for (size_t i = 0; i < std::size(columns); ++i) {
    const Column& column = (*table)->columns[i];
    ASSERT_TRUE(column.type->Equals(*columns[i].first)) << column.name;
    fields.push_back(arrow::field(column.name, column.type));
    arrays.push_back(ArrayOf(column.type, columns[i].second));
  }
  auto batch = arrow::RecordBatch::Make(arrow::schema(fields), 2, arrays);
  auto outcomes = Commit({{*table, {batch}, std::nullopt}});
  ASSERT_TRUE(outcomes[0].status.ok()) << outcomes[0].status.ToString();
  EXPECT_EQ(Ask("SELECT h || ',' || e || ',' || b || ',' || tz || ',' || es FROM f"),
            "-99999999999999999999999999999999999999,happy,0101,12:34:56+02,[sad, happy]");

  auto bad = arrow::RecordBatch::Make(arrow::schema({arrow::field("e", arrow::utf8())}),
                                      1, {ArrayOf(arrow::utf8(), R"(["furious"])")});
  outcomes = Commit({{*table, {bad}, std::nullopt}});
  EXPECT_EQ(CodeOf(outcomes[0].status), ErrorCode::kSchemaMismatch);
}

TEST_F(TypesTest, TextWithNulBytesSurvives) {
  OpenSink();
  auto table = MakeTable("t");
  arrow::StringBuilder names;
  ASSERT_TRUE(names.Append(std::string("a\0b and more than twelve", 24)).ok());
  auto array = *names.Finish();
  auto batch = arrow::RecordBatch::Make(
      arrow::schema({arrow::field("name", arrow::utf8())}), 1, {array});
  auto outcomes = Commit({{table, {batch}, std::nullopt}});
  ASSERT_TRUE(outcomes[0].status.ok()) << outcomes[0].status.ToString();
  auto back = Fetch("SELECT name FROM t");
  ASSERT_TRUE(back.ok());
  EXPECT_TRUE((*back)->column(0)->chunk(0)->Equals(*array));
}

// The page for people says what the code does.
TEST(TypesPage, NamesEverySqlType) {
  const char* source = std::getenv("ARROWPORT_SOURCE_DIR");
  if (source == nullptr) GTEST_SKIP() << "ARROWPORT_SOURCE_DIR is not set";
  std::ifstream in(std::string(source) + "/docs/reference/types.md");
  ASSERT_TRUE(in) << "docs/reference/types.md is missing";
  std::stringstream page;
  page << in.rdbuf();
  for (const char* sql :
       {"BOOLEAN", "TINYINT", "UBIGINT", "FLOAT", "DOUBLE", "DECIMAL(p,s)", "DATE",
        "TIME", "TIME_NS", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP", "TIMESTAMP_NS",
        "TIMESTAMP WITH TIME ZONE", "INTERVAL", "VARCHAR", "BLOB", "STRUCT", "MAP",
        "UUID", "JSON"}) {
    EXPECT_NE(page.str().find(std::string("`") + sql), std::string::npos) << sql;
  }
}

}  // namespace
}  // namespace arrowport::sink
