#include "lake/catalog.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "lake/lake_fixture.h"

namespace arrowport::lake {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class CatalogTest : public LakeTest {
 protected:
  /// Column i, rows first..first+9 in file `first`.parquet.
  std::string File(const std::string& table, int first) {
    const std::string name = std::to_string(first) + ".parquet";
    Write(table, name, "SELECT range + " + std::to_string(first) + " AS i FROM range(10)");
    return Add(name, R"({"numRecords":10,"minValues":{"i":)" + std::to_string(first) +
                         R"(},"maxValues":{"i":)" + std::to_string(first + 9) +
                         R"(},"nullCount":{"i":0}})");
  }
  void MakeTable(const std::string& table) {
    const std::string add = File(table, 0);
    Commit(table, 0, {Protocol(), Metadata({Field("i", "long")}), add});
  }
  void Append(const std::string& table, int version) {
    const std::string add = File(table, version * 10);
    Commit(table, version, {add});
  }
};

TEST_F(CatalogTest, TablesAreFoundWhenNamed) {
  EXPECT_EQ(CodeOf(session_->Failure("FROM delta.t")), ErrorCode::kTableNotFound);
  MakeTable("t");
  MakeTable("s/t");
  Append("s/t", 1);
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t"), "10");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.main.t"), "10");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.s.t"), "20");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM DELTA.S.T"), "20");
  EXPECT_EQ(CodeOf(session_->Failure("FROM delta.s.u")), ErrorCode::kTableNotFound);
  EXPECT_EQ(CodeOf(session_->Failure("FROM delta.none.t")), ErrorCode::kTableNotFound);
  session_->Run("USE delta");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM t"), "10");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM s.t"), "20");
}

TEST_F(CatalogTest, NamesCannotLeaveTheRoot) {
  MakeTable("t");
  std::filesystem::create_directories(folder_ / "outside");
  std::filesystem::rename(Path("t"), folder_ / "outside" / "t");
  for (const char* name :
       {"\"../outside/t\"", "\"..\".t", "\"../outside\".t", "\"./t\"", "\"t/\"", "\"\"\"\""}) {
    EXPECT_EQ(CodeOf(session_->Failure("FROM delta." + std::string(name))),
              ErrorCode::kTableNotFound)
        << name;
  }
  std::filesystem::create_directory_symlink(folder_ / "outside" / "t", Path("linked"));
  EXPECT_EQ(CodeOf(session_->Failure("FROM delta.linked")), ErrorCode::kTableNotFound);
}

TEST_F(CatalogTest, Listings) {
  MakeTable("t");
  MakeTable("s/u");
  std::filesystem::create_directories(Path("broken", "_delta_log"));
  EXPECT_THAT(session_->Run("SELECT schema_name, table_name, column_count, estimated_size "
                            "FROM duckdb_tables() WHERE database_name = 'delta'"),
              UnorderedElementsAre("main|t|1|10", "s|u|1|10"));
  EXPECT_THAT(session_->Run("SELECT table_schema, column_name, data_type FROM "
                            "information_schema.columns WHERE table_catalog = 'delta'"),
              UnorderedElementsAre("main|i|BIGINT", "s|i|BIGINT"));
  EXPECT_THAT(session_->Run("SELECT name FROM (SHOW ALL TABLES) WHERE database = 'delta'"),
              UnorderedElementsAre("t", "u"));
  EXPECT_THAT(session_->Run("DESCRIBE delta.t"), ElementsAre(HasSubstr("i|BIGINT")));
  for (const char* sql : {"PRAGMA database_size", "CHECKPOINT", "SUMMARIZE delta.t",
                          "PRAGMA table_info('delta.t')", "SELECT * FROM pg_catalog.pg_class",
                          "SELECT * FROM duckdb_views()", "SELECT * FROM duckdb_constraints()",
                          "FROM duckdb_databases()", "SELECT * FROM duckdb_indexes()"}) {
    session_->Run(sql);
  }
}

TEST_F(CatalogTest, WritesAreRefused) {
  MakeTable("t");
  session_->Run("CREATE TABLE native AS SELECT 1::BIGINT AS i");
  for (const char* sql : {
           "INSERT INTO delta.t VALUES (1)",
           "INSERT INTO delta.t SELECT * FROM native",
           "INSERT OR REPLACE INTO delta.t VALUES (1)",
           "DELETE FROM delta.t",
           "DELETE FROM delta.t WHERE i = 1",
           "UPDATE delta.t SET i = 2",
           "UPDATE delta.t SET i = 2 WHERE i = 1",
           "TRUNCATE delta.t",
           "MERGE INTO delta.t USING native ON t.i = native.i WHEN MATCHED THEN DELETE",
           "COPY delta.t FROM 'nothing.csv'",
           "CREATE TABLE delta.n (i INTEGER)",
           "CREATE OR REPLACE TABLE delta.t (i INTEGER)",
           "CREATE TABLE IF NOT EXISTS delta.n (i INTEGER)",
           "CREATE TABLE delta.n AS SELECT 1 AS i",
           "CREATE VIEW delta.v AS SELECT 1",
           "CREATE SCHEMA delta.x",
           "CREATE SEQUENCE delta.q",
           "CREATE TYPE delta.e AS ENUM ('a')",
           "CREATE MACRO delta.m(a) AS a + 1",
           "CREATE MACRO delta.m() AS TABLE SELECT 1",
           "CREATE INDEX x ON delta.t (i)",
           "ALTER TABLE delta.t ADD COLUMN j INTEGER",
           "ALTER TABLE delta.t DROP COLUMN i",
           "ALTER TABLE delta.t RENAME TO u",
           "ALTER TABLE delta.t RENAME COLUMN i TO j",
           "ALTER TABLE delta.t ALTER i TYPE INTEGER",
           "ALTER TABLE delta.t ALTER i SET NOT NULL",
           "ALTER TABLE delta.t ALTER i SET DEFAULT 1",
           "ALTER TABLE delta.t ADD PRIMARY KEY (i)",
           "DROP TABLE delta.t",
           "DROP TABLE IF EXISTS delta.t",
           "DROP SCHEMA delta.main",
           "DROP SCHEMA delta.main CASCADE",
           "COMMENT ON TABLE delta.t IS 'x'",
           "COMMENT ON COLUMN delta.t.i IS 'x'",
           "VACUUM delta.t",
           "COPY FROM DATABASE memory TO delta",
           "ATTACH '' AS again (TYPE arrowport_delta, READ_ONLY)",
           "ATTACH '' AS again (TYPE arrowport_delta)",
       }) {
    arrow::Status status = session_->Failure(sql);
    EXPECT_NE(CodeOf(status), ErrorCode::kInternal) << sql << "\n" << status;
    EXPECT_NE(CodeOf(status), ErrorCode::kStorageUnavailable) << sql << "\n" << status;
    EXPECT_EQ(session_->Value("SELECT sum(i) FROM delta.t"), "45") << sql;
  }
}

TEST_F(CatalogTest, TimeTravel) {
  MakeTable("t");
  Append("t", 1);
  Append("t", 2);
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t"), "30");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t AT (VERSION => 0)"), "10");
  EXPECT_EQ(session_->Value("SELECT max(i) FROM delta.t AT (version => 1)"), "19");
  EXPECT_EQ(session_->Value("SELECT (SELECT count(*) FROM delta.t AT (VERSION => 0)), "
                            "(SELECT count(*) FROM delta.t AT (VERSION => 2)), "
                            "(SELECT count(*) FROM delta.t)"),
            "10|30|30");
  EXPECT_EQ(CodeOf(session_->Failure("FROM delta.t AT (VERSION => 3)")),
            ErrorCode::kNotFound);
  EXPECT_EQ(CodeOf(session_->Failure("FROM delta.t AT (VERSION => -1)")),
            ErrorCode::kNotFound);
  for (const char* at : {"VERSION => NULL", "VERSION => 'x'", "TIMESTAMP => 'no time'",
                         "TIMESTAMP => NULL", "TIMESTAMP => 'infinity'", "OTHER => 1"}) {
    arrow::Status status = session_->Failure("FROM delta.t AT (" + std::string(at) + ")");
    EXPECT_EQ(CodeOf(status), ErrorCode::kBadQuery) << at << "\n" << status;
  }
  auto prepared = session_->duckdb().Prepare(
      "SELECT count(*) FROM delta.t AT (VERSION => $1)");
  ASSERT_FALSE(prepared->HasError()) << prepared->GetError();
  for (int version : {2, 0, 1}) {
    auto result = prepared->Execute(duckdb::Value::BIGINT(version));
    ASSERT_FALSE(result->HasError()) << result->GetError();
    EXPECT_THAT(RowsOf(*result), ElementsAre(std::to_string((version + 1) * 10)));
  }
}

TEST_F(CatalogTest, TimeTravelByTimestamp) {
  MakeTable("t");
  Append("t", 1);
  namespace fs = std::filesystem;
  const auto epoch = fs::file_time_type::clock::now() - std::chrono::hours(1);
  fs::last_write_time(Path("t", "_delta_log/00000000000000000000.json"), epoch);
  fs::last_write_time(Path("t", "_delta_log/00000000000000000001.json"),
                      epoch + std::chrono::minutes(30));
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t AT (TIMESTAMP => now() - INTERVAL "
                            "45 MINUTE)"),
            "10");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta_read('t', as_of => now() - "
                            "INTERVAL 45 MINUTE)"),
            "10");
  EXPECT_EQ(CodeOf(session_->Failure("FROM delta.t AT (TIMESTAMP => TIMESTAMP '2001-01-01')")),
            ErrorCode::kNotFound);
}

TEST_F(CatalogTest, ATransactionSeesOneVersion) {
  MakeTable("t");
  Session other(*database_);
  session_->Run("BEGIN");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t"), "10");
  Append("t", 1);
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t"), "10");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.MAIN.\"T\""), "10");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta_read('t')"), "10");
  EXPECT_EQ(other.Value("SELECT count(*) FROM delta.t"), "20");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t AT (VERSION => 1)"), "20");
  session_->Run("COMMIT");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t"), "20");
}

TEST_F(CatalogTest, DeltaAndNativeInOneTransaction) {
  MakeTable("t");
  session_->Run("BEGIN");
  session_->Run("CREATE TABLE copied AS FROM delta.t");
  session_->Run("INSERT INTO copied SELECT i + 100 FROM delta.t");
  session_->Run("COMMIT");
  EXPECT_EQ(session_->Value("SELECT count(*), max(i) FROM copied"), "20|109");
  session_->Run("CREATE VIEW v AS SELECT i * 2 AS j FROM delta.t");
  Append("t", 1);
  EXPECT_EQ(session_->Value("SELECT max(j) FROM v"), "38");
}

TEST_F(CatalogTest, FilesThatCannotMatchAreNotOpened) {
  MakeTable("t");
  Append("t", 1);
  Append("t", 2);
  std::filesystem::remove(Path("t", "0.parquet"));
  std::filesystem::remove(Path("t", "20.parquet"));
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t WHERE i BETWEEN 12 AND 14"), "3");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t WHERE i IN (11, 17)"), "2");
  EXPECT_EQ(session_->Value("SELECT sum(t.i) FROM delta.t JOIN (SELECT 13 AS i) k USING (i)"),
            "13");
  // No file at all for a count of everything.
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t"), "30");
  const Rows plan = session_->Run("EXPLAIN SELECT * FROM delta.t WHERE i > 12 AND i < 15");
  EXPECT_THAT(plan, Contains(HasSubstr("1/3")));
  arrow::Status missing = session_->Failure("SELECT sum(i) FROM delta.t");
  EXPECT_THAT(missing.message(), HasSubstr("0.parquet"));
  EXPECT_EQ(session_->Value("SELECT 1"), "1");
}

TEST_F(CatalogTest, BoundsOfTheLogMayBeCut) {
  Write("t", "a.parquet",
        "SELECT TIMESTAMPTZ '2020-01-01 00:00:00.123999+00' AS u, repeat('z', 40) AS s, "
        "'nan'::DOUBLE AS d");
  Commit("t", 0,
         {Protocol(), Metadata({Field("u", "timestamp"), Field("s", "string"),
                                Field("d", "double")}),
          Add("a.parquet",
              R"({"numRecords":1,"minValues":{"u":"2020-01-01T00:00:00.123Z","s":"zz","d":1.5},)"
              R"("maxValues":{"u":"2020-01-01T00:00:00.123Z","s":")" +
                  std::string(32, 'z') + R"(","d":1.5},"nullCount":{"u":0,"s":0,"d":0}})")});
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t WHERE u > "
                            "TIMESTAMPTZ '2020-01-01 00:00:00.1235+00'"),
            "1");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t WHERE s > repeat('z', 39)"), "1");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t WHERE d > 100"), "1");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t WHERE u > "
                            "TIMESTAMPTZ '2020-01-01 00:00:00.126+00'"),
            "0");
}

TEST_F(CatalogTest, DeletedRowsAreLeftOut) {
  Write("t", "a.parquet", "SELECT range AS i FROM range(5000)", ", ROW_GROUP_SIZE 2048");
  const std::string stats = R"({"numRecords":5000})";
  Commit("t", 0, {DeletionVectorProtocol(), Metadata({Field("i", "long")}),
                  Add("a.parquet", stats, "{}", DeletionVector({0, 2047, 2048, 4999}))});
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t"), "4996");
  EXPECT_EQ(session_->Value("SELECT count(i), sum(i) FROM delta.t"),
            "4996|" + std::to_string(5000 * 4999 / 2 - 2047 - 2048 - 4999));
  EXPECT_THAT(session_->Run("SELECT i, file_row_number FROM delta.t WHERE i IN (0, 1, 2048, "
                            "2049, 4999) ORDER BY i"),
              ElementsAre("1|1", "2049|2049"));
}

TEST_F(CatalogTest, ColumnsAreMatchedByFieldId) {
  Write("t", "a.parquet", "SELECT 1::BIGINT AS x, {'m': 'in', 'n': 7} AS y",
        ", FIELD_IDS {x: 2, y: {__duckdb_field_id: 5, m: 6, n: 8}}");
  const auto meta = [](int id, const std::string& physical) {
    return R"({"delta.columnMapping.id":)" + std::to_string(id) +
           R"(,"delta.columnMapping.physicalName":)" + Quote(physical) + "}";
  };
  const std::string y = Struct({Field("inner", "string", meta(6, "col-6")),
                                Field("added", "long", meta(9, "col-9"))});
  Commit("t", 0, {Protocol(2, 5),
                  Metadata({Field("id", "long", meta(2, "col-2")),
                            Field("rec", y, meta(5, "col-5")),
                            Field("new", "date", meta(10, "col-10"))},
                           {}, R"({"delta.columnMapping.mode":"id"})"),
                  Add("a.parquet")});
  EXPECT_EQ(session_->Value("FROM delta.t"), "1|{'inner': in, 'added': NULL}|NULL");
  EXPECT_EQ(session_->Value("SELECT rec.inner FROM delta.t WHERE rec.added IS NULL AND id = 1"),
            "in");
}

TEST_F(CatalogTest, ChangesOfCommits) {
  MakeTable("t");
  Append("t", 1);
  EXPECT_THAT(session_->Run("SELECT _change_type, _commit_version, count(*), min(i) FROM "
                            "delta_changes('t', 0) GROUP BY ALL ORDER BY ALL"),
              ElementsAre("insert|0|10|0", "insert|1|10|10"));
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta_changes('t', 1, 1) WHERE "
                            "_commit_timestamp > now() - INTERVAL 1 HOUR"),
            "10");
  std::filesystem::remove(Path("t", "0.parquet"));
  EXPECT_EQ(session_->Value("SELECT sum(i) FROM delta_changes('t', 0) WHERE "
                            "_commit_version = 1"),
            "145");
  Commit("t", 2, {Remove("10.parquet")});
  EXPECT_EQ(CodeOf(session_->Failure("FROM delta_changes('t', 2)")), ErrorCode::kBadQuery);
  EXPECT_EQ(CodeOf(session_->Failure("FROM delta_changes('t', 5)")), ErrorCode::kBadQuery);
  EXPECT_EQ(CodeOf(session_->Failure("FROM delta_changes('none', 0)")),
            ErrorCode::kTableNotFound);
}

TEST_F(CatalogTest, ChangesOfDeletionVectors) {
  const std::string stats = R"({"numRecords":10})";
  Write("t", "a.parquet", "SELECT range AS i FROM range(10)");
  Commit("t", 0, {DeletionVectorProtocol(),
                  Metadata({Field("i", "long")}, {},
                           R"({"delta.enableChangeDataFeed":"true"})"),
                  Add("a.parquet", stats, "{}", DeletionVector({1}))});
  Commit("t", 1, {Remove("a.parquet", DeletionVector({1})),
                  Add("a.parquet", stats, "{}", DeletionVector({1, 4, 5}))});
  Commit("t", 2, {Remove("a.parquet", DeletionVector({1, 4, 5})),
                  Add("a.parquet", stats, "{}", DeletionVector({4, 5}))});
  EXPECT_THAT(session_->Run("SELECT i, _change_type FROM delta_changes('t', 1, 1) ORDER BY i"),
              ElementsAre("4|delete", "5|delete"));
  EXPECT_THAT(session_->Run("SELECT i, _change_type FROM delta_changes('t', 2) ORDER BY i"),
              ElementsAre("1|insert"));
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta_changes('t', 0)"), "12");
}

TEST_F(CatalogTest, AnotherTableMayTakeTheFolder) {
  MakeTable("t");
  Append("t", 1);
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t"), "20");
  std::filesystem::remove_all(Path("t"));
  EXPECT_EQ(CodeOf(session_->Failure("FROM delta.t")), ErrorCode::kTableNotFound);
  MakeTable("t");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t"), "10");
  std::filesystem::rename(Path("t"), Path("old"));
  MakeTable("t");
  Append("t", 1);
  Append("t", 2);
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t"), "30");
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.old"), "10");
}

TEST_F(CatalogTest, ErrorsNameTheTableAndKeepTheirCode) {
  MakeTable("t");
  Commit("t", 1, {"{not json"});
  arrow::Status corrupt = session_->Failure("FROM delta.t");
  EXPECT_EQ(CodeOf(corrupt), ErrorCode::kStorageCorrupt) << corrupt;
  EXPECT_THAT(corrupt.message(), HasSubstr("Delta table t"));
  Commit("f", 0, {Protocol(3, 7, R"(["fancyNewLayout"])"),
                  Metadata({Field("i", "long")})});
  arrow::Status feature = session_->Failure("FROM delta.f");
  EXPECT_EQ(CodeOf(feature), ErrorCode::kNotBuilt) << feature;
  EXPECT_THAT(feature.message(), HasSubstr("fancyNewLayout"));
  Commit("away", 0, {Protocol(), Metadata({Field("i", "long")}),
                     Add("file:///etc/passwd")});
  EXPECT_EQ(CodeOf(session_->Failure("FROM delta.away")), ErrorCode::kNotBuilt);
  Commit("up", 0, {Protocol(), Metadata({Field("i", "long")}), Add("../t/0.parquet")});
  EXPECT_EQ(CodeOf(session_->Failure("FROM delta.up")), ErrorCode::kStorageCorrupt);
}

// Every statement sees whole versions while a writer commits.
TEST_F(CatalogTest, QueriesWhileVersionsAppear) {
  constexpr int kVersions = 60;
  MakeTable("t");
  for (int version = 1; version <= kVersions; ++version) File("t", version * 10);
  std::atomic<bool> done{false};
  std::atomic<int> queries{0};
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&] {
      Session session(*database_);
      int64_t last = 0;
      while (!done.load()) {
        const std::string row = session.Value(
            "SELECT count(*), (SELECT count(*) FROM delta.t WHERE i >= 0), "
            "(SELECT max(i) + 1 FROM delta.t), count(DISTINCT i) FROM delta.t");
        const int64_t rows = std::stoll(row);
        const std::string text = std::to_string(rows);
        EXPECT_EQ(row, text + "|" + text + "|" + text + "|" + text);
        EXPECT_GE(rows, last);
        last = rows;
        queries.fetch_add(1);
      }
    });
  }
  for (int version = 1; version <= kVersions; ++version) {
    const int seen = queries.load();
    const std::string first = std::to_string(version * 10);
    Commit("t", version,
           {Add(first + ".parquet", R"({"numRecords":10,"minValues":{"i":)" + first +
                                        R"(},"maxValues":{"i":)" +
                                        std::to_string(version * 10 + 9) +
                                        R"(},"nullCount":{"i":0}})")});
    // A few statements between commits, so that they meet versions of all ages.
    while (queries.load() < seen + 2) std::this_thread::yield();
  }
  done.store(true);
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(session_->Value("SELECT count(*) FROM delta.t"),
            std::to_string((kVersions + 1) * 10));
}

}  // namespace
}  // namespace arrowport::lake
