#include "delta/partition_value.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace arrowport::delta {
namespace {

DataType TypeOf(std::string_view name) {
  const auto schema = ParseSchema(R"({"type":"struct","fields":[{"name":"a","type":")" +
                                  std::string(name) + R"("}]})");
  return *(*schema)->fields[0].type;
}

std::string Value(std::string_view type, const std::string& text) {
  const auto value = ParsePartitionValue(text, TypeOf(type));
  if (!value.ok()) {
    EXPECT_EQ(CodeOf(value.status()), ErrorCode::kStorageCorrupt);
    return "refused";
  }
  EXPECT_TRUE((*value)->type->Equals(*ToArrowType(TypeOf(type), NameStyle::kLogical)));
  return (*value)->ToString();
}

TEST(PartitionValue, EveryType) {
  EXPECT_EQ(Value("string", "a=b %"), "a=b %");
  EXPECT_EQ(Value("long", "-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(Value("byte", "127"), "127");
  EXPECT_EQ(Value("boolean", "true"), "true");
  EXPECT_EQ(Value("double", "1.0E10"), "1e+10");
  EXPECT_EQ(Value("float", "-Infinity"), "-inf");
  EXPECT_EQ(Value("decimal(5,2)", "1.5"), "1.50");
  EXPECT_EQ(Value("date", "1969-12-31"), "1969-12-31");
  EXPECT_EQ(Value("string", ""), "null");
}

TEST(PartitionValue, Refusals) {
  for (const auto& [type, text] :
       {std::pair{"long", "9223372036854775808"}, {"byte", "128"}, {"integer", "1x"},
        {"integer", " 1"}, {"boolean", "yes"}, {"decimal(5,2)", "1000"},
        {"decimal(5,2)", "1.555"}, {"date", "2024-02-30"}, {"date", "2024-1"},
        {"timestamp", "2024-01-01T25:00:00Z"}, {"timestamp", "now"}}) {
    EXPECT_EQ(Value(type, text), "refused") << type << " " << text;
  }
  EXPECT_EQ(*ParsePartitionValue(std::nullopt, TypeOf("long")).ValueOrDie(),
            *arrow::MakeNullScalar(arrow::int64()));
}

TEST(PartitionValue, Timestamps) {
  constexpr int64_t kNoon = 1704110400LL * 1000000;  // 2024-01-01 12:00 UTC
  EXPECT_EQ(ParseTimestampText("2024-01-01T12:00:00Z"), kNoon);
  EXPECT_EQ(ParseTimestampText("2024-01-01T12:00:00.000001Z"), kNoon + 1);
  EXPECT_EQ(ParseTimestampText("2024-01-01 12:00:00"), kNoon);
  EXPECT_EQ(ParseTimestampText("2024-01-01 12:00:00.5"), kNoon + 500000);
  EXPECT_EQ(ParseTimestampText("2024-01-01T13:30:00+01:30"), kNoon);
  EXPECT_EQ(ParseTimestampText("2024-01-01T04:00:00-0800"), kNoon);
  EXPECT_EQ(ParseTimestampText("1969-12-31T23:59:59.999999Z"), -1);
  EXPECT_EQ(ParseTimestampText("2024-01-01"), kNoon - 43200LL * 1000000);
  EXPECT_EQ(ParseTimestampText("2024-01-01T12:00:00Zx"), std::nullopt);
}

TEST(PartitionValue, DatesFarAway) {
  EXPECT_EQ(ParseDateText("1970-01-01"), 0);
  EXPECT_EQ(ParseDateText("0001-01-01"), -719162);
  EXPECT_EQ(ParseDateText("9999-12-31"), 2932896);
  EXPECT_EQ(ParseDateText("+12000-01-01"), 3663382);
  EXPECT_EQ(ParseDateText("-0001-01-01"), -719893);
  EXPECT_EQ(ParseDateText("2024-01-01 00:00:00"), 19723);
  EXPECT_EQ(ParseDateText("2024-01-01 00:00:01"), std::nullopt);
}

}  // namespace
}  // namespace arrowport::delta
