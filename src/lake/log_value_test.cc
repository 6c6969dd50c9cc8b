#include "lake/log_value.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "lake/file_statistics.h"

namespace arrowport::lake {
namespace {

using delta::DataType;
using delta::TypeKind;

DataType Type(TypeKind kind, int precision = 0, int scale = 0) {
  DataType type;
  type.kind = kind;
  type.precision = precision;
  type.scale = scale;
  return type;
}

std::string Partition(const std::optional<std::string>& text, const DataType& type) {
  auto value = PartitionValue(text, type);
  if (!value.ok()) return std::string(InfoOf(CodeOf(value.status())).name);
  return value->type().ToString() + " " + value->ToString();
}

TEST(LogValueTest, PartitionValues) {
  EXPECT_EQ(Partition("a b", Type(TypeKind::kString)), "VARCHAR a b");
  EXPECT_EQ(Partition("", Type(TypeKind::kString)), "VARCHAR NULL");
  EXPECT_EQ(Partition(std::nullopt, Type(TypeKind::kDate)), "DATE NULL");
  EXPECT_EQ(Partition("-5", Type(TypeKind::kByte)), "TINYINT -5");
  EXPECT_EQ(Partition("300", Type(TypeKind::kByte)), "STORAGE_CORRUPT");
  EXPECT_EQ(Partition("1.5", Type(TypeKind::kInteger)), "STORAGE_CORRUPT");
  EXPECT_EQ(Partition("9223372036854775807", Type(TypeKind::kLong)),
            "BIGINT 9223372036854775807");
  EXPECT_EQ(Partition("12.30", Type(TypeKind::kDecimal, 6, 2)), "DECIMAL(6,2) 12.30");
  EXPECT_EQ(Partition("-0.05", Type(TypeKind::kDecimal, 38, 2)), "DECIMAL(38,2) -0.05");
  EXPECT_EQ(Partition("2020-02-30", Type(TypeKind::kDate)), "STORAGE_CORRUPT");
  EXPECT_EQ(Partition("1999-12-31", Type(TypeKind::kDate)), "DATE 1999-12-31");
  EXPECT_EQ(Partition("2020-01-01 10:00:00.5", Type(TypeKind::kTimestampNtz)),
            "TIMESTAMP 2020-01-01 10:00:00.5");
  EXPECT_EQ(Partition("2020-01-01T10:00:00.000000Z", Type(TypeKind::kTimestamp)),
            "TIMESTAMP WITH TIME ZONE 2020-01-01 10:00:00+00");
  EXPECT_EQ(Partition("true", Type(TypeKind::kBoolean)), "BOOLEAN true");
  DataType list = Type(TypeKind::kArray);
  list.element = std::make_shared<DataType>(Type(TypeKind::kLong));
  EXPECT_EQ(Partition("x", list), "UNSUPPORTED_TYPE");
}

std::string BoundText(std::string_view text, bool is_string, const DataType& type,
                      Bound bound) {
  auto value = StatisticBound(text, is_string, type, bound);
  return value ? value->ToString() : "unknown";
}

TEST(LogValueTest, BoundsAreTrueOfEveryValue) {
  const DataType time = Type(TypeKind::kTimestamp);
  EXPECT_EQ(BoundText("2020-01-01T00:00:00.123Z", true, time, Bound::kMax),
            "2020-01-01 00:00:00.124+00");
  EXPECT_EQ(BoundText("2020-01-01T01:00:00.123+01:00", true, time, Bound::kMin),
            "2020-01-01 00:00:00.122+00");
  EXPECT_EQ(BoundText("soon", true, time, Bound::kMax), "unknown");
  EXPECT_EQ(BoundText("5", false, Type(TypeKind::kLong), Bound::kMax), "5");
  EXPECT_EQ(BoundText("5.5", false, Type(TypeKind::kLong), Bound::kMax), "unknown");
  EXPECT_EQ(BoundText("5", true, Type(TypeKind::kLong), Bound::kMax), "unknown");
  // A maximum of floats leaves NaN out.
  EXPECT_EQ(BoundText("5.5", false, Type(TypeKind::kDouble), Bound::kMax), "unknown");
  auto low = StatisticBound("0.7", false, Type(TypeKind::kDouble), Bound::kMin);
  ASSERT_TRUE(low);
  EXPECT_LE(low->GetValue<double>(), static_cast<double>(0.7f));
  // Rounding would move a bound.
  EXPECT_EQ(BoundText("1.239", false, Type(TypeKind::kDecimal, 9, 2), Bound::kMax),
            "unknown");
  EXPECT_EQ(BoundText("1.230", false, Type(TypeKind::kDecimal, 9, 2), Bound::kMax), "1.23");
  EXPECT_EQ(BoundText("99999999999999999999.01", false, Type(TypeKind::kDecimal, 38, 2),
                      Bound::kMax),
            "99999999999999999999.01");
  EXPECT_EQ(BoundText("AQI=", true, Type(TypeKind::kBinary), Bound::kMin), "unknown");
  EXPECT_EQ(BoundText("true", false, Type(TypeKind::kBoolean), Bound::kMin), "unknown");
}

TEST(FileStatisticsTest, ColumnsArePickedFromTheText) {
  const std::string json =
      R"({"numRecords":7,"minValues":{"a":-3,"s":{"a":1},"arr":[{"a":9}]},)"
      R"("maxValues":{"a":40,"s":{"a":90}},"nullCount":{"a":2,"s":{"a":5}},)"
      R"("tightBounds":true})";
  auto column = ReadColumnStatistics(json, "a", Type(TypeKind::kLong));
  ASSERT_TRUE(column.min && column.max && column.null_count);
  EXPECT_EQ(column.min->GetValue<int64_t>(), -3);
  EXPECT_EQ(column.max->GetValue<int64_t>(), 40);
  EXPECT_EQ(*column.null_count, 2);
  auto absent = ReadColumnStatistics(json, "b", Type(TypeKind::kLong));
  EXPECT_FALSE(absent.min || absent.max || absent.null_count);
}

TEST(FileStatisticsTest, NamesAndTextAreUnescaped) {
  const std::string json =
      R"({"minValues":{"a\"\u00e9":"x\n\ud83d\ude00"},"maxValues":{"a\"\u00e9":"z"}})";
  auto column = ReadColumnStatistics(json, "a\"\u00e9", Type(TypeKind::kString));
  ASSERT_TRUE(column.min && column.max);
  EXPECT_EQ(duckdb::StringValue::Get(*column.min), "x\n\U0001F600");
  EXPECT_EQ(duckdb::StringValue::Get(*column.max), "z");
}

TEST(FileStatisticsTest, MalformedTextTellsNothing) {
  auto cut = ReadColumnStatistics(R"({"numRecords":7,"minValues":{"a":-3)", "a",
                                  Type(TypeKind::kLong));
  EXPECT_FALSE(cut.min);
}

}  // namespace
}  // namespace arrowport::lake
