#include "schema/names.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace arrowport::schema {
namespace {

using std::string_literals::operator""s;

void ExpectInvalid(const arrow::Status& status, std::string_view fragment) {
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(CodeOf(status), ErrorCode::kInvalidName) << status.ToString();
  EXPECT_NE(status.message().find(fragment), std::string::npos) << status.message();
}

TEST(Names, QuotesDoubleWhatTheyStandIn) {
  EXPECT_EQ(QuoteIdentifier("plain"), "\"plain\"");
  EXPECT_EQ(QuoteIdentifier("a\"b; DROP TABLE t; --"), "\"a\"\"b; DROP TABLE t; --\"");
  EXPECT_EQ(QuoteIdentifier("\"\""), "\"\"\"\"\"\"");
  EXPECT_EQ(QuoteIdentifier("it's"), "\"it's\"");
  EXPECT_EQ(QuoteLiteral("it's"), "'it''s'");
  EXPECT_EQ(QuoteLiteral("a\"b\\"), "'a\"b\\'");
}

TEST(Names, OneDotSplitsSchemaAndTable) {
  TableName plain = ParseRoutedTable("events").ValueOrDie();
  EXPECT_EQ(plain, (TableName{"main", "events"}));
  EXPECT_EQ(plain.ToString(), "events");
  EXPECT_EQ(plain.Quoted(), "\"main\".\"events\"");
  TableName routed = ParseRoutedTable("sales.día").ValueOrDie();
  EXPECT_EQ(routed, (TableName{"sales", "día"}));
  EXPECT_EQ(routed.ToString(), "sales.día");
  TableName main = ParseRoutedTable("MAIN.t").ValueOrDie();
  EXPECT_EQ(main, (TableName{"main", "t"}));
}

TEST(Names, MoreDotsAndEmptySidesAreRefused) {
  ExpectInvalid(ParseRoutedTable("a.b.c").status(), "more than one dot");
  ExpectInvalid(ParseRoutedTable(".t").status(), "one side");
  ExpectInvalid(ParseRoutedTable("s.").status(), "one side");
  ExpectInvalid(ParseRoutedTable(".").status(), "one side");
  ExpectInvalid(CheckStreamName("a..b"), "more than one dot");
}

TEST(Names, ReservedSchemasAreRefusedInAnyCase) {
  ExpectInvalid(ParseRoutedTable("delta.t").status(), "reserved");
  ExpectInvalid(ParseRoutedTable("DELTA.t").status(), "reserved");
  ExpectInvalid(ParseRoutedTable("_arrowport.ledger").status(), "reserved");
  EXPECT_TRUE(ParseRoutedTable("delta").ok());
  EXPECT_TRUE(ParseRoutedTable("deltas.t").ok());
}

TEST(Names, LengthIsCountedInBytes) {
  EXPECT_TRUE(CheckColumnName(std::string(255, 'x')).ok());
  ExpectInvalid(CheckColumnName(std::string(256, 'x')), "longer than 255");
  std::string wide;
  for (int i = 0; i < 128; ++i) wide += "é";
  ExpectInvalid(CheckColumnName(wide), "longer than 255");
  EXPECT_TRUE(CheckStreamName(std::string(255, 'x')).ok());
  ExpectInvalid(CheckStreamName(std::string(1 << 20, 'x')), "longer than 255");
  ExpectInvalid(ParseRoutedTable("abcdef", 5).status(), "longer than 5");
  ExpectInvalid(CheckStreamName(""), "empty");
  ExpectInvalid(CheckColumnName(""), "empty");
  ExpectInvalid(ParseRoutedTable("").status(), "empty");
}

TEST(Names, NulAndInvalidUtf8AreRefusedEverywhere) {
  for (const std::string& bad : {"a\0b"s, "\0"s}) {
    ExpectInvalid(CheckColumnName(bad), "NUL");
    ExpectInvalid(CheckStreamName(bad), "NUL");
    ExpectInvalid(ParseRoutedTable(bad).status(), "NUL");
  }
  for (const std::string& bad :
       {"\xff"s, "a\xc3"s, "\xc0\x80"s, "\xed\xa0\x80"s, "\xc2"s, "\xf4\x90\x80\x80"s}) {
    ExpectInvalid(CheckColumnName(bad), "UTF-8");
    ExpectInvalid(CheckStreamName(bad), "UTF-8");
    ExpectInvalid(ParseRoutedTable(bad).status(), "UTF-8");
  }
}

TEST(Names, ControlCharactersAndSlashesOnlyInColumns) {
  for (const std::string& name : {"a\nb"s, "\t"s, "\x7f"s, "\xc2\x85"s, "\x1b[31m"s}) {
    EXPECT_TRUE(CheckColumnName(name).ok()) << name;
    ExpectInvalid(CheckStreamName(name), "control character");
    ExpectInvalid(ParseRoutedTable(name).status(), "control character");
  }
  for (const std::string& name : {"../etc"s, "/abs"s, "a\\b"s}) {
    EXPECT_TRUE(CheckColumnName(name).ok()) << name;
    ExpectInvalid(CheckStreamName(name), "'/'");
    ExpectInvalid(ParseRoutedTable(name).status(), "'/'");
  }
  EXPECT_TRUE(CheckColumnName("a.b.c").ok());
  EXPECT_TRUE(CheckStreamName("\xc2\xa0 select \"x\";--").ok());
}

TEST(Names, MessagesCarryNoRawBytes) {
  arrow::Status status = CheckStreamName("a\x1b[2J");
  EXPECT_EQ(status.message().find('\x1b'), std::string::npos);
  EXPECT_LT(CheckColumnName(std::string(1 << 20, 'x')).message().size(), 300u);
}

}  // namespace
}  // namespace arrowport::schema
