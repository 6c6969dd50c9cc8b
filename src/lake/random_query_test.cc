// Random statements over a Delta table and over the same rows in a native table.
#include <gmock/gmock.h>

#include <algorithm>
#include <iostream>
#include <random>

#include "lake/lake_fixture.h"

namespace arrowport::lake {
namespace {

constexpr int kFiles = 12;
constexpr int kRowsPerFile = 300;

/// A column, how its values are made from row number r, and constants to compare with.
struct Column {
  const char* name;
  const char* delta_type;
  const char* sql_type;
  const char* value;
  std::vector<std::string> constants;
};

const std::vector<Column>& Columns() {
  static const std::vector<Column> columns = {
      {"i", "long", "BIGINT", "r", {"0", "17", "450", "1234", "3599", "-1", "5000000000"}},
      {"k", "integer", "INTEGER", "CASE WHEN h % 11 = 0 THEN NULL ELSE h % 100 END",
       {"0", "50", "99", "100", "-5"}},
      {"l", "long", "BIGINT", "CASE WHEN h % 3 = 0 THEN NULL ELSE h % 10 END",
       {"0", "3", "5", "9", "11"}},
      {"d", "double", "DOUBLE",
       "CASE WHEN h % 13 = 0 THEN NULL WHEN h % 17 = 0 THEN 'nan'::DOUBLE WHEN h % 19 = 0 "
       "THEN 'inf'::DOUBLE ELSE (r - 1000) / 8.0 END",
       {"0", "-12.5", "100.25", "'nan'::DOUBLE", "'inf'::DOUBLE", "1e300"}},
      {"f", "float", "FLOAT",
       "CASE WHEN h % 23 = 0 THEN 'nan'::FLOAT ELSE (h % 50)::FLOAT - 25 END",
       {"0", "10.5", "24", "-25", "30"}},
      {"s", "string", "VARCHAR",
       "CASE WHEN h % 7 = 0 THEN NULL ELSE 'name-' || lpad((r // 10)::VARCHAR, 5, '0') || "
       "repeat('x', (h % 40)::INTEGER) END",
       {"'name-00010'", "'name-00100x'", "'name-00200xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'",
        "''", "'zzz'", "'name-'"}},
      {"m", "decimal(12,2)", "DECIMAL(12,2)",
       "CASE WHEN h % 5 = 0 THEN NULL ELSE (r / 4.0)::DECIMAL(12,2) END",
       {"0", "100.25", "100.26", "899.75", "-1"}},
      {"t", "date", "DATE", "DATE '2020-01-01' + (r // 100)::INTEGER",
       {"DATE '2020-01-01'", "DATE '2020-01-15'", "DATE '2020-02-05'", "DATE '1969-12-31'"}},
      {"u", "timestamp", "TIMESTAMPTZ",
       "TIMESTAMPTZ '1969-12-31 23:30:00+00' + INTERVAL 1 SECOND * r + "
       "INTERVAL 1 MICROSECOND * (h % 1000)",
       {"TIMESTAMPTZ '1970-01-01 00:00:00+00'", "TIMESTAMPTZ '1970-01-01 00:10:00.000500+00'",
        "TIMESTAMPTZ '1971-01-01 00:00:00+00'"}},
      {"b", "boolean", "BOOLEAN", "CASE WHEN h % 4 = 0 THEN NULL ELSE h % 2 = 0 END",
       {"true", "false"}},
      {"p", "string", "VARCHAR", nullptr, {"'A'", "'B'", "'C'", "''"}},
      {"q", "integer", "INTEGER", nullptr, {"1", "2", "3", "-7"}},
  };
  return columns;
}

class RandomQueryTest : public LakeTest, public testing::WithParamInterface<int> {
 protected:
  int Pick(int count) {
    return std::uniform_int_distribution<int>(0, count - 1)(random_);
  }
  template <typename T>
  const T& OneOf(const std::vector<T>& values) {
    return values[Pick(static_cast<int>(values.size()))];
  }

  // Files lack columns, have narrower types, deleted rows, partly no statistics, partly
  // only NULL in a column.
  void MakeTables() {
    session_->Run("SET TimeZone = 'UTC'");
    Rows fields, actions = {Protocol(3, 7, R"(["deletionVectors","typeWidening"])")};
    std::string native = "CREATE TABLE native (";
    for (const Column& column : Columns()) {
      fields.push_back(Field(column.name, column.delta_type));
      native += std::string(column.name) + " " + column.sql_type + ", ";
    }
    session_->Run(native.substr(0, native.size() - 2) + ")");
    actions.push_back(Metadata(fields, {"p", "q"}));
    for (int file = 0; file < kFiles; ++file) actions.push_back(MakeFile(file));
    Commit("t", 0, actions);
  }

  std::string MakeFile(int file) {
    const std::string name = "f" + std::to_string(file) + ".parquet";
    const bool lacks_l = file % 4 == 1, null_l = file % 4 == 2, narrow_i = file % 3 == 0;
    const std::string p = file % 5 == 0 ? "NULL" : OneOf(Rows{"'A'", "'B'", "'C'"});
    const std::string q = file % 6 == 0 ? "NULL" : std::to_string(file % 4);
    std::string select = "SELECT ", all = "SELECT ";
    for (const Column& column : Columns()) {
      const std::string column_name = column.name;
      std::string value = column.value == nullptr ? (column_name == "p" ? p : q)
                                                  : column.value;
      if (column_name == "l" && (lacks_l || null_l)) value = "NULL";
      all += "(" + value + ")::" + column.sql_type + " AS " + column_name + ", ";
      if (column.value == nullptr || (column_name == "l" && lacks_l)) continue;
      const std::string type =
          column_name == "i" && narrow_i ? "INTEGER" : column.sql_type;
      select += "(" + value + ")::" + type + " AS " + column_name + ", ";
    }
    const std::string from =
        " FROM (SELECT range AS r, hash(range * 7 + " + std::to_string(seed_) +
        ") >> 8 AS h FROM range(" + std::to_string(file * kRowsPerFile) + ", " +
        std::to_string((file + 1) * kRowsPerFile) + "))";
    select = select.substr(0, select.size() - 2) + from;
    all = all.substr(0, all.size() - 2) + from;
    Write("t", name, select, ", ROW_GROUP_SIZE 2048");
    std::vector<uint16_t> deleted;
    if (file % 3 == 1) {
      for (int row = 0; row < kRowsPerFile; ++row) {
        if (Pick(file % 2 == 0 ? 2 : 50) == 0) deleted.push_back(row);
      }
    }
    std::string gone = "-1";
    for (uint16_t row : deleted) gone += ", " + std::to_string(file * kRowsPerFile + row);
    session_->Run("INSERT INTO native SELECT * FROM (" + all + ") WHERE i NOT IN (" + gone +
                  ")");
    const std::string partition =
        R"({"p":)" + (p == "NULL" ? "null" : Quote(p.substr(1, 1))) + R"(,"q":)" +
        (q == "NULL" ? "null" : Quote(q)) + "}";
    const std::string stats = file % 4 == 3 && deleted.empty() ? "" : StatsOf(select);
    return Add(name, stats, partition, deleted.empty() ? "" : DeletionVector(deleted));
  }

  std::string StatsOf(const std::string& select) {
    std::string min, max, nulls;
    for (const Column& column : Columns()) {
      const std::string name = column.name, type = column.delta_type;
      if (column.value == nullptr || type == "boolean") continue;
      if (name == "l" && select.find(" AS l") == std::string::npos) continue;
      std::string low = "min(" + name + ")", high = "max(" + name + ")";
      if (type == "double" || type == "float") {  // as footers have it: without NaN
        low += " FILTER (NOT isnan(" + name + ") AND NOT isinf(" + name + "))";
        high += " FILTER (NOT isnan(" + name + ") AND NOT isinf(" + name + "))";
      }
      if (type == "timestamp") {  // cut to milliseconds
        low = "strftime(" + low + " AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%gZ')";
        high = "strftime(" + high + " AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%gZ')";
      }
      if (type == "string") {  // cut to 32 characters, without what should follow
        low = "left(" + low + ", 32)";
        high = "left(" + high + ", 32)";
      }
      const Rows row = session_->Run("SELECT " + low + ", " + high + ", count(*) - count(" +
                                     name + ") FROM (" + select + ")");
      const std::string text = row[0];
      const size_t first = text.find('|'), second = text.find('|', first + 1);
      const bool quoted = type == "string" || type == "date" || type == "timestamp";
      const auto member = [&](const std::string& value) {
        return "," + Quote(name) + ":" + (quoted ? Quote(value) : value);
      };
      nulls += "," + Quote(name) + ":" + text.substr(second + 1);
      if (text.substr(0, first) == "NULL") continue;
      // An infinite value has no JSON form: such a bound is left out.
      min += type == "double" ? "" : member(text.substr(0, first));
      max += member(text.substr(first + 1, second - first - 1));
    }
    return R"({"numRecords":)" + std::to_string(kRowsPerFile) + R"(,"minValues":{)" +
           min.substr(1) + R"(},"maxValues":{)" + max.substr(1) + R"(},"nullCount":{)" +
           nulls.substr(1) + "}}";
  }

  std::string Comparison() {
    const Column& column = OneOf(Columns());
    const std::string name = column.name, constant = OneOf(column.constants);
    switch (Pick(9)) {
      case 0:
        return name + (Pick(2) ? " IS NULL" : " IS NOT NULL");
      case 1:
        return name + (Pick(2) ? " IS DISTINCT FROM " : " IS NOT DISTINCT FROM ") + constant;
      case 2:
        return name + (Pick(2) ? " IN (" : " NOT IN (") + constant + ", " +
               OneOf(column.constants) + ")";
      case 3:
        return name + " BETWEEN " + constant + " AND " + OneOf(column.constants);
      case 4:
        return OneOf(Rows{"i < k", "k = l", "l IS DISTINCT FROM k", "p || 'x' = 'Ax'",
                          "q + 1 IN (2, 3)", "coalesce(q, 9) > 2", "s LIKE 'name-0010%'",
                          "month(t) = 2", "p = 'A' OR q = 2", "m * 2 > 300", "i % 7 = 3",
                          "p IS NOT NULL AND k > 40", "starts_with(s, 'name-0020')"});
      default:
        return name + OneOf(Rows{" = ", " <> ", " < ", " <= ", " > ", " >= "}) + constant;
    }
  }
  std::string Predicate(int depth = 0) {
    if (depth == 3 || Pick(3) == 0) return Comparison();
    if (Pick(6) == 0) return "NOT (" + Predicate(depth + 1) + ")";
    return "(" + Predicate(depth + 1) + (Pick(2) ? " AND " : " OR ") +
           Predicate(depth + 1) + ")";
  }

  /// A statement with T for the table.
  std::string Statement() {
    const std::string where = " WHERE " + Predicate();
    const std::string column = OneOf(Columns()).name;
    switch (Pick(9)) {
      case 0:
        return "SELECT * FROM T" + where + " ORDER BY i" + (Pick(2) ? "" : " DESC") +
               " LIMIT " + std::to_string(1 + Pick(20));
      case 1:
        return "SELECT count(*), sum(k), min(d), max(f), min(s), max(u), sum(m) FROM T" +
               where;
      case 2:
        return "SELECT " + column + ", count(*), count(l) FROM T" + where + " GROUP BY 1";
      case 3:
        return "SELECT count(*), sum(T.i) FROM T JOIN (SELECT range AS k FROM range(40, 45)) "
               "x USING (k)" + where;
      case 4:
        return "SELECT i FROM T" + where + " AND " + column + " IN (SELECT " + column +
               " FROM T WHERE " + Predicate() + ")";
      case 5:
        return "SELECT count(*) FROM T" + where;
      case 6:
        return "SELECT a.i, b.s FROM T a JOIN T b ON a.i = b.i + 1 WHERE a.i IN (SELECT i "
               "FROM T" + where + ")";
      case 7:
        return "SELECT i, " + column + " FROM T" + where + " ORDER BY " + column +
               " DESC NULLS LAST, i LIMIT " + std::to_string(1 + Pick(8));
      default:
        return "SELECT * FROM T" + where;
    }
  }

  Rows Answer(std::string statement, const std::string& table) {
    for (size_t at = 0; (at = statement.find("T", at)) != std::string::npos;) {
      const bool whole = (at == 0 || !std::isalnum(statement[at - 1])) &&
                         (at + 1 == statement.size() || !std::isalnum(statement[at + 1]));
      if (whole && statement[at - (at > 0)] != '\'') {
        statement.replace(at, 1, table);
        at += table.size();
      } else {
        ++at;
      }
    }
    auto rows = session_->TryRun(statement);
    if (!rows.ok()) {
      EXPECT_NE(CodeOf(rows.status()), ErrorCode::kInternal) << rows.status();
      return {rows.status().ToString()};
    }
    if (statement.find("ORDER BY") == std::string::npos) {
      std::sort(rows->begin(), rows->end());
    }
    return *rows;
  }

  uint32_t seed_ = std::random_device()();
  std::mt19937 random_{seed_};
};

TEST_P(RandomQueryTest, DeltaAnswersAsNative) {
  std::cout << "seed " << seed_ << std::endl;
  MakeTables();
  ASSERT_EQ(session_->Value("SELECT count(*) FROM delta.t"),
            session_->Value("SELECT count(*) FROM native"));
  int differences = 0;
  for (int query = 0; query < GetParam() && differences < 5; ++query) {
    const std::string statement = Statement();
    const Rows expected = Answer(statement, "native");
    const Rows actual = Answer(statement, "delta.t");
    if (expected == actual) continue;
    ++differences;
    ADD_FAILURE() << "seed " << seed_ << "\n" << statement << "\nnative: "
                  << expected.size() << " rows " << (expected.empty() ? "" : expected[0])
                  << "\ndelta: " << actual.size() << " rows "
                  << (actual.empty() ? "" : actual[0]);
  }
}

INSTANTIATE_TEST_SUITE_P(Short, RandomQueryTest, testing::Values(400));
// Run by name, with --gtest_also_run_disabled_tests.
INSTANTIATE_TEST_SUITE_P(DISABLED_Long, RandomQueryTest, testing::Values(20000));

}  // namespace
}  // namespace arrowport::lake
