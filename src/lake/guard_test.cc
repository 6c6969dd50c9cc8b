// What DuckDB 1.5 does wrong, or fatally, with a catalog like ours unless it is prevented.
// Each of these was seen to fail.
#include <gmock/gmock.h>

#include "lake/file_list.h"
#include "lake/lake_fixture.h"

namespace arrowport::lake {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class GuardTest : public LakeTest {
 protected:
  /// Files a (i 0..9, p 'A'), b (10..19, 'B'), c (20..29, NULL); b has no column l.
  void MakePartitioned(const std::string& table, const std::string& dv_of_a = "") {
    Write(table, "a.parquet", "SELECT range AS i, range % 7 AS l FROM range(10)");
    Write(table, "b.parquet", "SELECT range + 10 AS i FROM range(10)");
    Write(table, "c.parquet", "SELECT range + 20 AS i, NULL::BIGINT AS l FROM range(10)");
    Commit(table, 0,
           {DeletionVectorProtocol(),
            Metadata({Field("i", "long"), Field("l", "long"),
                      Field("p", "string")},
                     {"p"}),
            Add("a.parquet", Stats(0, 9), R"({"p":"A"})", dv_of_a),
            Add("b.parquet", Stats(10, 19), R"({"p":"B"})"),
            Add("c.parquet", Stats(20, 29), R"({"p":null})")});
    session_->Run("CREATE OR REPLACE TABLE native AS SELECT range AS i, CASE WHEN range < "
                  "10 THEN range % 7 END AS l, CASE WHEN range < 10 THEN 'A' WHEN range < "
                  "20 THEN 'B' END AS p FROM range(30)");
  }
  static std::string Stats(int min, int max) {
    return R"({"numRecords":10,"minValues":{"i":)" + std::to_string(min) +
           R"(},"maxValues":{"i":)" + std::to_string(max) + R"(},"nullCount":{"i":0}})";
  }
  void ExpectAsNative(const std::string& where) {
    const std::string query = " WHERE " + where + " ORDER BY i";
    EXPECT_EQ(session_->Run("SELECT i, l, p FROM delta.t" + query),
              session_->Run("SELECT i, l, p FROM native" + query))
        << where;
  }
};

// 1: plans are compared by what they serialise to.
TEST_F(GuardTest, ScansOfOtherVersionsAndTablesAreOtherScans) {
  MakePartitioned("t");
  MakePartitioned("u");
  Commit("t", 1, {Remove("b.parquet")});
  Commit("u", 1, {Remove("a.parquet"), Remove("c.parquet")});
  EXPECT_EQ(session_->Value("SELECT (SELECT sum(i) FROM delta.t AT (VERSION => 0)) - "
                            "(SELECT sum(i) FROM delta.t AT (VERSION => 1))"),
            "145");
  EXPECT_EQ(session_->Value("SELECT (SELECT sum(i) FROM delta.t), "
                            "(SELECT sum(i) FROM delta.u)"),
            "290|145");
  EXPECT_EQ(session_->Run("SELECT i FROM delta.t INTERSECT SELECT i FROM delta.u"), Rows{});
  EXPECT_EQ(session_->Value("WITH a AS (SELECT sum(i) s FROM delta.t WHERE p = 'A'), "
                            "c AS (SELECT sum(i) s FROM delta.t WHERE p IS NULL) "
                            "SELECT c.s - a.s FROM a, c"),
            "200");
}

TEST_F(GuardTest, ScansThatDeleteOtherRowsOfOneFileAreOtherScans) {
  MakePartitioned("t");
  Commit("t", 1, {Remove("a.parquet"), Add("a.parquet", Stats(0, 9), R"({"p":"A"})",
                                           DeletionVector({0, 9}))});
  Commit("t", 2, {Remove("a.parquet", DeletionVector({0, 9})), Add("a.parquet", Stats(0, 9), R"({"p":"A"})",
                                           DeletionVector({0, 1}))});
  EXPECT_EQ(session_->Value("SELECT (SELECT sum(i) FROM delta.t AT (VERSION => 0)), "
                            "(SELECT sum(i) FROM delta.t AT (VERSION => 1)), "
                            "(SELECT sum(i) FROM delta.t AT (VERSION => 2))"),
            "435|426|434");
}

// 2: predicates over partition columns do not reach the file reader.
TEST_F(GuardTest, PredicatesOverPartitionColumns) {
  MakePartitioned("t");
  for (const char* where :
       {"p IS DISTINCT FROM 'A'", "p IS NOT DISTINCT FROM NULL", "p = 'A' OR p IS NULL",
        "p IS DISTINCT FROM 'A' OR p = 'A'", "p || 'x' = 'Bx'", "p IS NULL",
        "p IN ('B', 'C')", "NOT (p = 'A')", "length(p) = 1", "p > 'A'",
        "coalesce(p, 'none') = 'none'", "(p IS DISTINCT FROM 'B') = true",
        "p IS DISTINCT FROM 'A' OR i = 3", "(p IS NOT DISTINCT FROM 'B' OR l = 2)",
        "p = p", "p LIKE 'A%'", "CASE WHEN p = 'A' THEN i > 5 ELSE true END"}) {
    ExpectAsNative(where);
  }
  EXPECT_EQ(session_->Value("SELECT 1"), "1");  // nothing invalidated the database
}

TEST_F(GuardTest, PredicatesThatFailOnAConstantFailTheStatementAlone) {
  MakePartitioned("t");
  arrow::Status status = session_->Failure("SELECT * FROM delta.t WHERE p::INTEGER = 1");
  EXPECT_EQ(CodeOf(status), ErrorCode::kBadQuery) << status;
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t"), "30");
}

// 3: DuckDB's own optional filters are wrong where a file has no value in a column: b has
// no such column, c has NULL only.
TEST_F(GuardTest, DistinctFromWhereAllIsNull) {
  MakePartitioned("t");
  for (const char* where :
       {"(i <> 3 AND l IS DISTINCT FROM 5) OR l <= 2", "l IS DISTINCT FROM 5",
        "l IS NOT DISTINCT FROM NULL", "l IS NULL", "NOT (l IS DISTINCT FROM NULL)",
        "l IS DISTINCT FROM 5 AND p IS DISTINCT FROM 'B'", "l = 5 OR i > 25"}) {
    ExpectAsNative(where);
  }
}

// 4: the copies of late materialisation read the same rows.
TEST_F(GuardTest, TopRowsKeepConstantsAndDeletedRows) {
  MakePartitioned("t", DeletionVector({0, 2, 9}));
  EXPECT_THAT(session_->Run("SELECT * FROM delta.t ORDER BY i LIMIT 3"),
              ElementsAre("1|1|A", "3|3|A", "4|4|A"));
  // Half of the plan prunes by the predicate, the other half does not.
  EXPECT_THAT(session_->Run("SELECT * FROM delta.t WHERE i > 12 ORDER BY i LIMIT 2"),
              ElementsAre("13|NULL|B", "14|NULL|B"));
  EXPECT_THAT(session_->Run("SELECT i, file_index FROM delta.t WHERE p IS NULL AND i < 22"),
              ElementsAre("20|2", "21|2"));
}

// 5: the scan belongs to our table, and nothing takes it for one of DuckDB's.
TEST_F(GuardTest, VirtualColumnsBindAndIndexesAreRefused) {
  MakePartitioned("t");
  EXPECT_EQ(session_->Value("SELECT file_row_number FROM delta.t WHERE i = 13"), "3");
  EXPECT_THAT(session_->Value("SELECT filename FROM delta.t WHERE i = 13"),
              HasSubstr("b.parquet"));
  for (const char* sql : {"CREATE INDEX x ON delta.t (i)", "CREATE UNIQUE INDEX x ON delta.t (i)",
                          "ALTER TABLE delta.t ADD PRIMARY KEY (i)"}) {
    EXPECT_NE(CodeOf(session_->Failure(sql)), ErrorCode::kInternal) << sql;
  }
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t"), "30");
}

TEST_F(GuardTest, PreparedStatementsOutliveTheirTransaction) {
  MakePartitioned("t");
  auto prepared = session_->duckdb().Prepare("SELECT sum(i) FROM delta.t WHERE p = $1");
  ASSERT_FALSE(prepared->HasError()) << prepared->GetError();
  for (int round = 0; round < 3; ++round) {
    auto result = prepared->Execute("B");
    ASSERT_FALSE(result->HasError()) << result->GetError();
    EXPECT_THAT(RowsOf(*result), ElementsAre("145"));
    if (round == 1) Commit("t", 1, {Add("a.parquet?2", Stats(0, 9), R"({"p":"Z"})")});
  }
}

// 6: one file is read by all threads.
TEST_F(GuardTest, AListIsNeverASingleFile) {
  Write("one", "a.parquet", "SELECT range AS i FROM range(10)");
  Commit("one", 0, {Protocol(), Metadata({Field("i", "long")}), Add("a.parquet")});
  FolderSource folder({.root = Root()});
  auto table = folder.Load({"main", "one"});
  ASSERT_TRUE(table.ok()) << table.status();
  auto source = SourceOf(*table, nullptr);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(FileList(*source).GetExpandResult(), duckdb::FileExpandResult::MULTIPLE_FILES);
  EXPECT_EQ(FileList(*source, {}).GetExpandResult(), duckdb::FileExpandResult::NO_FILES);
  EXPECT_EQ(session_->Value("SELECT sum(i) FROM delta.one"), "45");
}

TEST_F(GuardTest, SettingsOfASessionDoNotChangeATable) {
  Write("t", "a.parquet", "SELECT '\\x80'::BLOB AS b, TIMESTAMP '2020-01-01 00:00:00' AS u");
  Commit("t", 0, {Protocol(), Metadata({Field("b", "binary"),
                                        Field("u", "timestamp")}),
                  Add("a.parquet")});
  session_->Run("SET TimeZone = 'America/New_York'");
  session_->Run("SET binary_as_string = true");
  EXPECT_EQ(session_->Value("SELECT b, epoch_ms(u) FROM delta.t"),
            "\\x80|" + std::to_string(1577836800000));
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t WHERE u = "
                            "TIMESTAMPTZ '2020-01-01 00:00:00+00'"),
            "1");
}

// A filter's constant must not be rounded to the type an older file has.
TEST_F(GuardTest, FiltersCompareInTheTablesType) {
  Write("t", "old.parquet",
        "SELECT 2::INTEGER AS d, 1.25::DECIMAL(6,2) AS m, 0.1::FLOAT AS f, "
        "DATE '2020-01-01' AS u");
  const std::string fields[] = {Field("d", "double"), Field("m", "decimal(10,4)"),
                                Field("f", "double"),
                                Field("u", "timestamp_ntz")};
  Commit("t", 0, {Protocol(3, 7, R"(["typeWidening","timestampNtz"])"),
                  Metadata({fields[0], fields[1], fields[2], fields[3]}),
                  Add("old.parquet")});
  session_->Run("CREATE TABLE native AS SELECT 2::DOUBLE AS d, 1.25::DECIMAL(10,4) AS m, "
                "0.1::FLOAT::DOUBLE AS f, TIMESTAMP '2020-01-01' AS u");
  for (const char* where :
       {"d > 1.5", "d < 2.4", "d >= 1.9", "d = 2.4", "m = 1.2549", "m > 1.2451",
        "m <> 1.2549", "f = 0.1", "f > 0.1", "f <> 0.1", "u < TIMESTAMP '2020-01-01 12:00'",
        "u > TIMESTAMP '2019-12-31 12:00'", "u = TIMESTAMP '2020-01-01 00:00:01'",
        "d IN (1.6, 2.4)", "m IN (1.2549, 1.2451)"}) {
    EXPECT_EQ(session_->Value(std::string("SELECT count(*) FROM delta.t WHERE ") + where),
              session_->Value(std::string("SELECT count(*) FROM native WHERE ") + where))
        << where;
  }
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t JOIN native USING (d)"), "1");
}

}  // namespace
}  // namespace arrowport::lake
