// Bulk loads of several row groups: order, every type, what is refused, what is left
// behind.
#include "sink/duckdb/sink_test_fixture.h"

namespace arrowport::sink {
namespace {

constexpr int64_t kRowGroupRows = 122880;

class BulkWriteTest : public SinkFixture {
 protected:
  std::unique_ptr<BulkWrite> Begin(const std::shared_ptr<const Table>& table) {
    auto bulk = sink_->BeginBulk(table, TableChange::kAppend);
    EXPECT_TRUE(bulk.ok()) << bulk.status().ToString();
    return bulk.ok() ? *std::move(bulk) : nullptr;
  }
  /// Rows of `t` that do not stand where their id says.
  std::string Misplaced() {
    return Ask(
        "SELECT count(*) FROM (SELECT id, row_number() OVER () - 1 AS place FROM t) "
        "WHERE id <> place");
  }
  int64_t UsedBlocks() {
    EXPECT_TRUE(sink_->Checkpoint().ok());
    return std::stoll(
        Ask("SELECT used_blocks FROM pragma_database_size() "
            "WHERE database_name NOT IN ('memory', 'temp', 'system') "
            "ORDER BY total_blocks DESC LIMIT 1"));
  }
};

TEST_F(BulkWriteTest, KeepsTheOrderOfPiecesOfAnySize) {
  OpenSink();
  auto bulk = Begin(MakeTable("t"));
  int64_t next = 0;
  for (const int64_t rows : {kRowGroupRows, int64_t{1}, int64_t{70000}, int64_t{3},
                             3 * kRowGroupRows, int64_t{2047}, kRowGroupRows - 5}) {
    ASSERT_TRUE(
        bulk->Append({Rows(next, rows / 2), Rows(next + rows / 2, rows - rows / 2)})
            .ok());
    next += rows;
  }
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), "0");
  ASSERT_TRUE(bulk->Commit(std::nullopt).status.ok());
  bulk.reset();
  const std::string all = std::to_string(next);
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), all);
  EXPECT_EQ(Misplaced(), "0");
  Reopen();
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), all);
  EXPECT_EQ(Misplaced(), "0");
  EXPECT_EQ(Ask("SELECT count(*) FROM t WHERE name <> 'name ' || id"), "0");
}

TEST_F(BulkWriteTest, InMemoryToo) {
  OpenSink(":memory:");
  auto bulk = Begin(MakeTable("t"));
  for (int64_t i = 0; i < 10; ++i)
    ASSERT_TRUE(bulk->Append({Rows(i * 50000, 50000)}).ok());
  ASSERT_TRUE(bulk->Commit(std::nullopt).status.ok());
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), "500000");
  EXPECT_EQ(Misplaced(), "0");
}

// What no row group can be made of must not be gathered without end.
TEST_F(BulkWriteTest, WideRowsAreNotHeldBack) {
  OpenSink();
  auto bulk = Begin(MakeTable("t"));
  arrow::StringBuilder wide;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(wide.Append(std::string(1 << 20, static_cast<char>('a' + i))).ok());
  }
  auto names = wide.Finish().ValueOrDie();
  for (int64_t i = 0; i < 3; ++i) {
    auto ids = Rows(20 * i, 20)->column(0);
    ASSERT_TRUE(
        bulk->Append({arrow::RecordBatch::Make(TwoColumns(), 20, {ids, names})}).ok());
  }
  ASSERT_TRUE(bulk->Append({Rows(60, 2 * kRowGroupRows)}).ok());
  ASSERT_TRUE(bulk->Commit(std::nullopt).status.ok());
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), std::to_string(60 + 2 * kRowGroupRows));
  EXPECT_EQ(Misplaced(), "0");
  EXPECT_EQ(Ask("SELECT sum(length(name)) FROM t WHERE id < 60"),
            std::to_string(60 << 20));
}

TEST_F(BulkWriteTest, EveryTypeAsInASmallInsert) {
  OpenSink();
  const char* made =
      "SELECT i::BIGINT AS id, CASE WHEN i % 7 > 0 THEN i::INTEGER END AS n, "
      "i % 2 = 0 AS b, (i % 1000)::DECIMAL(15,2) AS d, (i * 3)::HUGEINT AS h, "
      "DATE '2000-01-01' + (i % 9000)::INTEGER AS day, "
      "CASE WHEN i % 5 > 0 THEN repeat('é', (i % 40)::INTEGER) END AS s, "
      "[i, NULL, i + 1] AS l, {'x': i, 'y': 'v' || (i % 10)} AS st, "
      "MAP {'k' || (i % 3): i} AS m, i::DOUBLE / 7 AS f, "
      "TIMESTAMP '2020-01-01' + INTERVAL (i % 1000) SECOND AS ts, i::VARCHAR::BLOB AS bl "
      "FROM range(250000) r(i)";
  auto data = Fetch(made);
  ASSERT_TRUE(data.ok()) << data.status().ToString();
  auto table = sink_->Create(Name("t"), *(*data)->schema());
  ASSERT_TRUE(table.ok()) << table.status().ToString();
  auto bulk = Begin(*table);
  arrow::TableBatchReader reader(**data);
  for (;;) {
    auto batch = reader.Next().ValueOrDie();
    if (!batch) break;
    arrow::Status appended = bulk->Append({batch});
    ASSERT_TRUE(appended.ok()) << appended.ToString();
  }
  ASSERT_TRUE(bulk->Commit(std::nullopt).status.ok());
  bulk.reset();
  Reopen();
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), "250000");
  EXPECT_EQ(Ask("SELECT count(*) FROM (FROM t EXCEPT (" + std::string(made) + "))"), "0");
  EXPECT_EQ(Ask("SELECT count(*) FROM ((" + std::string(made) + ") EXCEPT FROM t)"), "0");
}

TEST_F(BulkWriteTest, ColumnsLeftOutAreNull) {
  OpenSink();
  ASSERT_TRUE(Sql("CREATE TABLE t (extra INTEGER, name VARCHAR, id BIGINT)").ok());
  auto table = sink_->Open(Name("t"));
  ASSERT_TRUE(table.ok());
  auto bulk = Begin(*table);
  ASSERT_TRUE(bulk->Append({Rows(0, 2 * kRowGroupRows)}).ok());
  ASSERT_TRUE(bulk->Commit(std::nullopt).status.ok());
  EXPECT_EQ(Ask("SELECT count(*) FROM t WHERE extra IS NULL AND name = 'name ' || id"),
            std::to_string(2 * kRowGroupRows));
}

TEST_F(BulkWriteTest, NullInANotNullColumnRefusesAll) {
  OpenSink();
  ASSERT_TRUE(Sql("CREATE TABLE t (id BIGINT, name VARCHAR NOT NULL)").ok());
  auto table = sink_->Open(Name("t"));
  ASSERT_TRUE(table.ok());
  auto bulk = Begin(*table);
  arrow::Status status = bulk->Append({Rows(0, kRowGroupRows)});
  ASSERT_TRUE(status.ok());
  auto ids = Rows(0, 10)->column(0);
  auto names = arrow::MakeArrayOfNull(arrow::utf8(), 10).ValueOrDie();
  status = bulk->Append({Rows(0, kRowGroupRows - 10),
                         arrow::RecordBatch::Make(TwoColumns(), 10, {ids, names})});
  if (status.ok()) status = bulk->Append({Rows(0, kRowGroupRows)});
  if (status.ok()) status = bulk->Commit(std::nullopt).status;
  EXPECT_EQ(CodeOf(status), ErrorCode::kConstraintViolation) << status.ToString();
  bulk.reset();
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), "0");
  EXPECT_TRUE(Commit({{*table, {Rows(0, 10)}, std::nullopt}})[0].status.ok());
}

TEST_F(BulkWriteTest, ATableWithAKeyTakesThePlannedWay) {
  OpenSink();
  ASSERT_TRUE(Sql("CREATE TABLE t (id BIGINT PRIMARY KEY, name VARCHAR)").ok());
  auto table = sink_->Open(Name("t"));
  ASSERT_TRUE(table.ok());
  auto bulk = Begin(*table);
  ASSERT_TRUE(bulk->Append({Rows(0, 2 * kRowGroupRows)}).ok());
  ASSERT_TRUE(bulk->Commit(std::nullopt).status.ok());
  auto again = Begin(*table);
  arrow::Status status = again->Append({Rows(5, 2 * kRowGroupRows)});
  if (status.ok()) status = again->Commit(std::nullopt).status;
  EXPECT_EQ(CodeOf(status), ErrorCode::kConstraintViolation) << status.ToString();
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), std::to_string(2 * kRowGroupRows));
}

TEST_F(BulkWriteTest, AGroupOfManyRowsKeepsItsOrder) {
  OpenSink();
  auto table = MakeTable("t");
  std::vector<WriteUnit> units;
  for (int64_t i = 0; i < 60; ++i) units.push_back({table, {Rows(i * 3000, 3000)}, {}});
  for (const auto& outcome : Commit(units)) ASSERT_TRUE(outcome.status.ok());
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), "180000");
  EXPECT_EQ(Misplaced(), "0");
}

TEST_F(BulkWriteTest, AlteredUnderItIsAConflict) {
  OpenSink();
  auto table = MakeTable("t");
  auto bulk = Begin(table);
  ASSERT_TRUE(bulk->Append({Rows(0, 2 * kRowGroupRows)}).ok());
  ASSERT_TRUE(Sql("ALTER TABLE t ADD COLUMN extra INTEGER").ok());
  arrow::Status status = bulk->Append({Rows(0, 2 * kRowGroupRows)});
  if (status.ok()) status = bulk->Commit(std::nullopt).status;
  EXPECT_EQ(CodeOf(status), ErrorCode::kCommitConflict) << status.ToString();
  bulk.reset();
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), "0");
}

TEST_F(BulkWriteTest, GivenUpItLeavesNoBlocksBehind) {
  OpenSink();
  auto table = MakeTable("t");
  {
    auto first = Begin(table);
    ASSERT_TRUE(first->Append({Rows(0, 3 * kRowGroupRows)}).ok());
    ASSERT_TRUE(first->Commit(std::nullopt).status.ok());
  }
  const int64_t used = UsedBlocks();
  ASSERT_GT(used, 1);
  for (int round = 0; round < 5; ++round) {
    auto bulk = Begin(table);
    for (int piece = 0; piece <= round; ++piece) {
      ASSERT_TRUE(bulk->Append({Rows(0, kRowGroupRows + 1000 * piece)}).ok());
    }
  }
  EXPECT_LE(UsedBlocks(), used);
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), std::to_string(3 * kRowGroupRows));
}

}  // namespace
}  // namespace arrowport::sink
