#include "wire/http/value_text.h"

#include <arrow/api.h>
#include <arrow/extension/uuid.h>
#include <arrow/json/from_string.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace arrowport::wire::http {
namespace {

std::string Json(const std::shared_ptr<arrow::Array>& array, int64_t row = 0) {
  std::string out;
  AppendJsonValue(*array, row, &out);
  return out;
}

std::string Csv(const std::shared_ptr<arrow::Array>& array, int64_t row = 0) {
  std::string out;
  AppendCsvValue(*array, row, &out);
  return out;
}

std::shared_ptr<arrow::Array> From(const std::shared_ptr<arrow::DataType>& type,
                                   const std::string& json) {
  auto array = arrow::json::ArrayFromJSONString(type, json);
  EXPECT_TRUE(array.ok()) << array.status();
  return *array;
}

TEST(ValueText, NumbersAreExact) {
  EXPECT_EQ(Json(From(arrow::int64(), "[-9223372036854775808]")), "-9223372036854775808");
  EXPECT_EQ(Json(From(arrow::uint64(), "[18446744073709551615]")),
            "18446744073709551615");
  EXPECT_EQ(Json(From(arrow::int8(), "[-5]")), "-5");
  EXPECT_EQ(Json(From(arrow::float64(), "[0.1]")), "0.1");
  EXPECT_EQ(Json(From(arrow::float32(), "[0.1]")), "0.1");
  EXPECT_EQ(Json(From(arrow::boolean(), "[true]")), "true");
  EXPECT_EQ(Json(From(arrow::decimal128(38, 2), "[\"-12345678901234567890.12\"]")),
            "\"-12345678901234567890.12\"");
  EXPECT_EQ(Csv(From(arrow::decimal128(5, 2), "[\"1.50\"]")), "1.50");
}

TEST(ValueText, NotFiniteIsNullInJson) {
  auto scalar = arrow::MakeScalar(std::numeric_limits<double>::quiet_NaN());
  auto nan = *arrow::MakeArrayFromScalar(*scalar, 1);
  auto inf = *arrow::MakeArrayFromScalar(*arrow::MakeScalar(-INFINITY), 1);
  EXPECT_EQ(Json(nan), "null");
  EXPECT_EQ(Csv(nan), "nan");
  EXPECT_EQ(Csv(inf), "-inf");
}

TEST(ValueText, TimesAreIso8601) {
  using arrow::TimeUnit;
  EXPECT_EQ(Json(From(arrow::date32(), "[0]")), "\"1970-01-01\"");
  EXPECT_EQ(Json(From(arrow::date32(), "[-719529]")), "\"-0001-12-31\"");
  EXPECT_EQ(Json(From(arrow::date32(), "[11016]")), "\"2000-02-29\"");
  EXPECT_EQ(Json(From(arrow::timestamp(TimeUnit::MICRO), "[-1]")),
            "\"1969-12-31T23:59:59.999999\"");
  EXPECT_EQ(Json(From(arrow::timestamp(TimeUnit::NANO, "Europe/Berlin"), "[1500000000]")),
            "\"1970-01-01T00:00:01.500000000Z\"");
  EXPECT_EQ(Json(From(arrow::timestamp(TimeUnit::SECOND), "[86399]")),
            "\"1970-01-01T23:59:59\"");
  EXPECT_EQ(Json(From(arrow::time64(TimeUnit::MICRO), "[3661000001]")),
            "\"01:01:01.000001\"");
  EXPECT_EQ(Json(From(arrow::duration(TimeUnit::MILLI), "[-1500]")), "\"PT-1.500S\"");
  EXPECT_EQ(Json(From(arrow::month_day_nano_interval(), "[[14, -3, 1000000000]]")),
            "\"P14M-3DT1S\"");
}

TEST(ValueText, TextAndBinary) {
  auto text = From(arrow::utf8(), R"(["a\"b\\\n\u0001ä", "", null])");
  EXPECT_EQ(Json(text), "\"a\\\"b\\\\\\n\\u0001ä\"");
  EXPECT_EQ(Csv(text), "\"a\"\"b\\\n\x01ä\"");
  EXPECT_EQ(Csv(text, 1), "\"\"");
  EXPECT_EQ(Csv(text, 2), "");
  EXPECT_EQ(Json(text, 2), "null");
  EXPECT_EQ(Json(From(arrow::binary(), "[\"abc\"]")), "\"YWJj\"");
  auto storage = From(arrow::fixed_size_binary(16), "[\"0123456789abcdef\"]");
  EXPECT_EQ(Json(arrow::ExtensionType::WrapArray(arrow::extension::uuid(), storage)),
            "\"30313233-3435-3637-3839-616263646566\"");
}

TEST(ValueText, NestedValues) {
  auto type =
      arrow::struct_({arrow::field("a", arrow::list(arrow::int32())),
                      arrow::field("m", arrow::map(arrow::utf8(), arrow::int8()))});
  auto nested = From(type, R"([{"a": [1, null], "m": [["k", 1]]}, null])");
  EXPECT_EQ(Json(nested), R"({"a":[1,null],"m":{"k":1}})");
  EXPECT_EQ(Csv(nested), "\"{\"\"a\"\":[1,null],\"\"m\"\":{\"\"k\"\":1}}\"");
  EXPECT_EQ(Json(nested, 1), "null");
  EXPECT_EQ(Json(From(arrow::dictionary(arrow::int8(), arrow::utf8()), "[\"x\"]")),
            "\"x\"");
  EXPECT_EQ(Csv(From(arrow::dictionary(arrow::int8(), arrow::utf8()), "[\"x\"]")), "x");
  EXPECT_EQ(Json(From(arrow::map(arrow::int32(), arrow::int32()), "[[[1, 2]]]")),
            "{\"1\":2}");
}

}  // namespace
}  // namespace arrowport::wire::http
