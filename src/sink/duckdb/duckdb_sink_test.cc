#include "sink/duckdb/duckdb_sink.h"

#include <atomic>
#include <thread>

#include "sink/duckdb/sink_test_fixture.h"

namespace arrowport::sink {
namespace {

using ::testing::HasSubstr;

class DuckDbSinkTest : public SinkFixture {};

TEST_F(DuckDbSinkTest, OneUnitIsCommittedVisibleAndVersioned) {
  for (const std::string& path : {std::string(), std::string(":memory:")}) {
    OpenSink(path);
    EXPECT_EQ(sink_->backend(), "duckdb");
    EXPECT_EQ(sink_->durability(), path.empty() ? "file" : "memory");
    auto table = MakeTable("t");
    auto outcomes = Commit({{table, {Rows(0, 3), Rows(3, 2)}, Keyed("k1", 5)}});
    ASSERT_EQ(outcomes.size(), 1u);
    ASSERT_TRUE(outcomes[0].status.ok()) << outcomes[0].status.ToString();
    EXPECT_EQ(outcomes[0].version, "duckdb:1");
    EXPECT_EQ(sink_->version(), 1);
    EXPECT_EQ(Ask("SELECT count(*) || ',' || sum(id) || ',' || max(name) FROM t"),
              "5,10,name 4");
    outcomes = Commit({{table, {Rows(5, 1)}, std::nullopt}});
    EXPECT_EQ(outcomes[0].version, "duckdb:2");
    Close();
  }
}

TEST_F(DuckDbSinkTest, OrderIsKept) {
  OpenSink();
  auto table = MakeTable("t");
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
  int64_t next = 0;
  for (int64_t size : {1, 5000, 3, 130000, 70000, 2, 300000, 1}) {
    batches.push_back(Rows(next, size));
    next += size;
  }
  auto outcomes = Commit({{table, batches, std::nullopt}});
  ASSERT_TRUE(outcomes[0].status.ok()) << outcomes[0].status.ToString();
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), std::to_string(next));
  EXPECT_EQ(Ask("SELECT count(*) FROM t WHERE id != rowid"), "0");
  EXPECT_EQ(Ask("SELECT count(*) FROM t WHERE name != 'name ' || id"), "0");
}

TEST_F(DuckDbSinkTest, MissingColumnsTakeDefaultOrNull) {
  OpenSink();
  ASSERT_TRUE(Sql("CREATE TABLE d (id BIGINT, name VARCHAR DEFAULT 'none', n INTEGER, "
                  "twice BIGINT GENERATED ALWAYS AS (id * 2), r INTEGER NOT NULL "
                  "DEFAULT 7)")
                  .ok());
  auto table = sink_->Open(Name("d"));
  ASSERT_TRUE(table.ok()) << table.status().ToString();
  ASSERT_EQ((*table)->columns.size(), 4u);
  EXPECT_TRUE((*table)->columns[1].has_default);
  EXPECT_FALSE((*table)->columns[2].has_default);
  EXPECT_TRUE((*table)->columns[2].nullable);
  EXPECT_FALSE((*table)->columns[3].nullable);
  auto ids = *Rows(1, 1)->SelectColumns({0});
  auto outcomes = Commit({{*table, {ids}, std::nullopt}});
  ASSERT_TRUE(outcomes[0].status.ok()) << outcomes[0].status.ToString();
  EXPECT_EQ(Ask("SELECT id || name || coalesce(n, -1) || twice || r FROM d"),
            "1none-127");
}

TEST_F(DuckDbSinkTest, WrongTypesAndColumnsAreRefusedNotCast) {
  OpenSink();
  auto table = MakeTable("t");
  auto wrong_type = arrow::RecordBatch::Make(
      arrow::schema({arrow::field("id", arrow::int32())}), 1,
      {*arrow::json::ArrayFromJSONString(arrow::int32(), "[1]")});
  auto wrong_name = arrow::RecordBatch::Make(
      arrow::schema({arrow::field("other", arrow::int64())}), 1,
      {*arrow::json::ArrayFromJSONString(arrow::int64(), "[1]")});
  auto outcomes = Commit({{table, {wrong_type}, std::nullopt},
                          {table, {wrong_name}, std::nullopt},
                          {table, {Rows(0, 1)}, std::nullopt}});
  EXPECT_EQ(CodeOf(outcomes[0].status), ErrorCode::kSchemaMismatch);
  EXPECT_EQ(CodeOf(outcomes[1].status), ErrorCode::kSchemaMismatch);
  EXPECT_TRUE(outcomes[2].status.ok());
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), "1");
}

TEST_F(DuckDbSinkTest, OnlyTheCulpritOfAGroupFails) {
  OpenSink();
  ASSERT_TRUE(Sql("CREATE TABLE p (id BIGINT PRIMARY KEY, name VARCHAR)").ok());
  auto keyed = sink_->Open(Name("p"));
  ASSERT_TRUE(keyed.ok());
  EXPECT_FALSE((*keyed)->columns[0].nullable);
  auto plain = MakeTable("t");
  ASSERT_TRUE(Commit({{*keyed, {Rows(500, 1)}, std::nullopt}})[0].status.ok());
  for (size_t culprit : {size_t{0}, size_t{7}, size_t{15}}) {
    std::vector<WriteUnit> units;
    const auto base = static_cast<int64_t>(1000 * (culprit + 1));
    for (size_t i = 0; i < 16; ++i) {
      const int64_t first = i == culprit ? 500 : base + static_cast<int64_t>(i);
      units.push_back({*keyed, {Rows(first, 1)}, Keyed(std::to_string(base + first))});
      units.push_back({plain, {Rows(base + static_cast<int64_t>(i), 1)}, std::nullopt});
    }
    auto outcomes = Commit(units);
    for (size_t i = 0; i < units.size(); ++i) {
      if (i == culprit * 2) {
        EXPECT_EQ(CodeOf(outcomes[i].status), ErrorCode::kConstraintViolation)
            << outcomes[i].status.ToString();
      } else {
        EXPECT_TRUE(outcomes[i].status.ok()) << i << outcomes[i].status.ToString();
      }
    }
  }
  EXPECT_EQ(Ask("SELECT count(*) FROM p"), std::to_string(1 + 3 * 15));
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), std::to_string(3 * 16));
  EXPECT_EQ(Ask("SELECT count(*) FROM _arrowport.ledger WHERE key IS NOT NULL"),
            std::to_string(3 * 15));
  EXPECT_GT(sink_->counters().group_splits, 0);
}

TEST_F(DuckDbSinkTest, TwoUnitsWithOneKeyValueExcludeEachOther) {
  OpenSink();
  ASSERT_TRUE(Sql("CREATE TABLE p (id BIGINT PRIMARY KEY, name VARCHAR)").ok());
  auto table = *sink_->Open(Name("p"));
  auto outcomes = Commit({{table, {Rows(1, 1)}, std::nullopt},
                          {table, {Rows(1, 1)}, std::nullopt},
                          {table, {Rows(2, 1)}, std::nullopt}});
  EXPECT_TRUE(outcomes[0].status.ok());
  EXPECT_EQ(CodeOf(outcomes[1].status), ErrorCode::kConstraintViolation);
  EXPECT_TRUE(outcomes[2].status.ok());
}

TEST_F(DuckDbSinkTest, LedgerAndVersionSurviveARestart) {
  OpenSink();
  auto table = MakeTable("t");
  LedgerEntry entry = Keyed("k1", 3);
  entry.bytes = 99;
  entry.batches = 2;
  ASSERT_TRUE(Commit({{table, {Rows(0, 3)}, entry}})[0].status.ok());
  auto outcomes = Commit(
      {{table, {Rows(3, 1)}, Produced("p", 1)}, {table, {Rows(4, 1)}, Produced("p", 2)}});
  ASSERT_TRUE(outcomes[1].status.ok());
  ASSERT_TRUE(Commit({{table, {Rows(5, 1)}, std::nullopt}})[0].status.ok());
  Reopen();
  EXPECT_EQ(sink_->version(), 3);
  auto loaded = sink_->LoadLedger(0);
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  ASSERT_EQ(loaded->size(), 3u);
  const LedgerEntry& first = loaded->front();
  EXPECT_EQ(first.table, "t");
  EXPECT_EQ(first.key, "k1");
  EXPECT_EQ(first.sha256, std::string(32, '\x07'));
  EXPECT_EQ(first.rows, 3);
  EXPECT_EQ(first.bytes, 99);
  EXPECT_EQ(first.batches, 2);
  EXPECT_EQ(first.version, "duckdb:1");
  EXPECT_GT(first.committed_at_us, 1600000000000000);
  EXPECT_EQ((*loaded)[2].producer, "p");
  EXPECT_EQ((*loaded)[2].sequence, 2);
  auto reopened = sink_->Open(Name("t"));
  outcomes = Commit({{*reopened, {Rows(6, 1)}, std::nullopt}});
  EXPECT_EQ(outcomes[0].version, "duckdb:4");
}

TEST_F(DuckDbSinkTest, PruningKeepsProducersAndTheVersion) {
  OpenSink();
  auto table = MakeTable("t");
  for (int64_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(
        Commit({{table, {Rows(i, 1)}, Keyed("k" + std::to_string(i))}})[0].status.ok());
    ASSERT_TRUE(Commit({{table, {Rows(i, 1)}, Produced("p", i)}})[0].status.ok());
    ASSERT_TRUE(Commit({{table, {Rows(i, 1)}, std::nullopt}})[0].status.ok());
  }
  constexpr int64_t kFuture = int64_t{1} << 62;
  EXPECT_EQ(sink_->LoadLedger(kFuture)->size(), 1u);
  ASSERT_TRUE(sink_->PruneLedger(0).ok());
  EXPECT_EQ(sink_->LoadLedger(0)->size(), 6u);
  EXPECT_EQ(Ask("SELECT count(*) FROM _arrowport.ledger"), "6");
  EXPECT_EQ(Ask("SELECT count(*) FROM _arrowport.versions"), "1");
  ASSERT_TRUE(sink_->PruneLedger(kFuture).ok());
  auto left = sink_->LoadLedger(0);
  ASSERT_EQ(left->size(), 1u);
  EXPECT_EQ(left->front().producer, "p");
  EXPECT_EQ(left->front().sequence, 3);
  Reopen();
  EXPECT_EQ(sink_->version(), 9);
}

TEST_F(DuckDbSinkTest, ForeignChangesOfATableAreSeen) {
  OpenSink();
  auto table = MakeTable("t");
  auto other = MakeTable("other");
  ASSERT_TRUE(Commit({{table, {Rows(0, 1)}, std::nullopt}})[0].status.ok());
  ASSERT_TRUE(Sql("ALTER TABLE t ADD COLUMN extra INTEGER").ok());
  auto outcomes =
      Commit({{table, {Rows(1, 1)}, std::nullopt}, {other, {Rows(1, 1)}, std::nullopt}});
  EXPECT_EQ(CodeOf(outcomes[0].status), ErrorCode::kCommitConflict);
  EXPECT_TRUE(outcomes[1].status.ok());
  auto planned_again = sink_->Open(Name("t"));
  ASSERT_TRUE(planned_again.ok());
  EXPECT_GT((*planned_again)->generation, table->generation);
  EXPECT_EQ((*planned_again)->columns.size(), 3u);
  EXPECT_TRUE(Commit({{*planned_again, {Rows(1, 1)}, std::nullopt}})[0].status.ok());

  ASSERT_TRUE(Sql("DROP TABLE t").ok());
  outcomes = Commit({{*planned_again, {Rows(2, 1)}, std::nullopt}});
  EXPECT_EQ(CodeOf(outcomes[0].status), ErrorCode::kTableNotFound);
  EXPECT_EQ(CodeOf(sink_->Open(Name("t")).status()), ErrorCode::kTableNotFound);
  // The same table again: plans made for it hold.
  ASSERT_TRUE(Sql("CREATE TABLE t (id BIGINT, name VARCHAR, extra INTEGER)").ok());
  EXPECT_TRUE(Commit({{*planned_again, {Rows(3, 1)}, std::nullopt}})[0].status.ok());
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), "1");
}

TEST_F(DuckDbSinkTest, ViewsAndMissingTablesAreNotTables) {
  OpenSink();
  ASSERT_TRUE(Sql("CREATE VIEW v AS SELECT 1 AS a").ok());
  EXPECT_EQ(CodeOf(sink_->Open(Name("v")).status()), ErrorCode::kTableNotFound);
  EXPECT_EQ(CodeOf(sink_->Open({"nowhere", "t"}).status()), ErrorCode::kTableNotFound);
}

TEST_F(DuckDbSinkTest, CreateMakesSchemasAndRefusesWhatDuckDbCannotHold) {
  OpenSink();
  auto made = sink_->Create({"new schema", "a \"b\" c"}, *TwoColumns());
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ(Ask("SELECT count(*) FROM \"new schema\".\"a \"\"b\"\" c\""), "0");
  auto twice =
      arrow::schema({arrow::field("a", arrow::int8()), arrow::field("A", arrow::int8())});
  EXPECT_EQ(CodeOf(sink_->Create(Name("x"), *twice).status()), ErrorCode::kInvalidName);
  auto bad = arrow::schema(
      {arrow::field("u", arrow::sparse_union({arrow::field("a", arrow::int8())}))});
  auto refused = sink_->Create(Name("x"), *bad);
  EXPECT_EQ(CodeOf(refused.status()), ErrorCode::kUnsupportedType);
  EXPECT_THAT(refused.status().message(), HasSubstr("u"));
  EXPECT_EQ(CodeOf(sink_->Open(Name("x")).status()), ErrorCode::kTableNotFound);
  EXPECT_EQ(CodeOf(sink_->Create(Name("x"), *arrow::schema({})).status()),
            ErrorCode::kUnsupportedType);
}

TEST_F(DuckDbSinkTest, ConcurrentCreatesAgreeOnOneTable) {
  OpenSink();
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 5; ++round) {
        const std::string name = "c" + std::to_string(round);
        if (i % 4 == 3) {
          // Someone who is not the sink; losing his race is his business.
          (void)Sql("CREATE TABLE IF NOT EXISTS " + name + " (id BIGINT, name VARCHAR)");
          continue;
        }
        auto table = sink_->Create(Name(name), *TwoColumns());
        if (!table.ok()) {
          ADD_FAILURE() << table.status().ToString();
          ++failed;
          continue;
        }
        auto outcomes = Commit({{*table, {Rows(i, 1)}, std::nullopt}});
        if (!outcomes[0].status.ok() &&
            CodeOf(outcomes[0].status) != ErrorCode::kCommitConflict) {
          ADD_FAILURE() << outcomes[0].status.ToString();
          ++failed;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(Ask("SELECT count(*) FROM duckdb_tables() WHERE table_name LIKE 'c_'"), "5");
}

TEST_F(DuckDbSinkTest, AddColumnsLeavesExistingOnesAlone) {
  OpenSink();
  auto table = MakeTable("t");
  ASSERT_TRUE(Commit({{table, {Rows(0, 1)}, std::nullopt}})[0].status.ok());
  auto grown = sink_->AddColumns(Name("t"), {arrow::field("ID", arrow::utf8()),
                                             arrow::field("more", arrow::float64())});
  ASSERT_TRUE(grown.ok()) << grown.status().ToString();
  ASSERT_EQ((*grown)->columns.size(), 3u);
  EXPECT_TRUE((*grown)->columns[0].type->Equals(*arrow::int64()));
  EXPECT_TRUE((*grown)->columns[2].nullable);
  EXPECT_GT((*grown)->generation, table->generation);
  auto outcomes = Commit({{table, {Rows(1, 1)}, std::nullopt}});
  EXPECT_EQ(CodeOf(outcomes[0].status), ErrorCode::kCommitConflict);
  EXPECT_TRUE(Commit({{*grown, {Rows(1, 1)}, std::nullopt}})[0].status.ok());
  EXPECT_EQ(CodeOf(sink_->AddColumns(Name("nothing"), {}).status()),
            ErrorCode::kTableNotFound);
}

TEST_F(DuckDbSinkTest, BulkWriteIsOneTransaction) {
  OpenSink();
  auto table = MakeTable("t");
  auto dropped = sink_->BeginBulk(table, TableChange::kAppend);
  ASSERT_TRUE(dropped.ok());
  ASSERT_TRUE((*dropped)->Append({Rows(0, 200000)}).ok());
  dropped->reset();
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), "0");

  auto one = sink_->BeginBulk(table, TableChange::kAppend);
  auto two = sink_->BeginBulk(table, TableChange::kAppend);
  ASSERT_TRUE((*one)->Append({Rows(0, 250000), Rows(250000, 10)}).ok());
  ASSERT_TRUE((*two)->Append({Rows(1000000, 5)}).ok());
  ASSERT_TRUE(Commit({{table, {Rows(2000000, 1)}, std::nullopt}})[0].status.ok());
  ASSERT_TRUE((*one)->Append({Rows(250010, 1)}).ok());
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), "1");
  auto done = (*one)->Commit(Keyed("bulk", 250011));
  ASSERT_TRUE(done.status.ok()) << done.status.ToString();
  EXPECT_EQ(done.version, "duckdb:2");
  ASSERT_TRUE((*two)->Commit(std::nullopt).status.ok());
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), "250017");
  EXPECT_EQ(sink_->LoadLedger(0)->size(), 1u);
}

TEST_F(DuckDbSinkTest, OverwriteReplacesInOneTransaction) {
  OpenSink();
  ASSERT_TRUE(Sql("CREATE TABLE p (id BIGINT PRIMARY KEY, name VARCHAR)").ok());
  for (const char* name : {"t", "p"}) {
    auto table = std::string(name) == "t" ? MakeTable(name) : *sink_->Open(Name(name));
    ASSERT_TRUE(Commit({{table, {Rows(0, 5000)}, std::nullopt}})[0].status.ok());
    auto bulk = sink_->BeginBulk(table, TableChange::kOverwrite);
    ASSERT_TRUE(bulk.ok()) << bulk.status().ToString();
    ASSERT_TRUE((*bulk)->Append({Rows(10, 20)}).ok());
    EXPECT_EQ(Ask(std::string("SELECT count(*) FROM ") + name), "5000");
    auto done = (*bulk)->Commit(std::nullopt);
    ASSERT_TRUE(done.status.ok()) << done.status.ToString();
    EXPECT_EQ(Ask(std::string("SELECT count(*) || ',' || min(id) FROM ") + name),
              "20,10");
    // Without rows it empties the table.
    auto empty = sink_->BeginBulk(table, TableChange::kOverwrite);
    ASSERT_TRUE((*empty)->Commit(std::nullopt).status.ok());
    EXPECT_EQ(Ask(std::string("SELECT count(*) FROM ") + name), "0");
  }
}

TEST_F(DuckDbSinkTest, ChangesOfATableWaitForBulkLoads) {
  options_.ddl_wait_ms = 50;
  OpenSink();
  auto table = MakeTable("t");
  auto bulk = sink_->BeginBulk(table, TableChange::kAppend);
  ASSERT_TRUE((*bulk)->Append({Rows(0, 10)}).ok());
  auto refused = sink_->AddColumns(Name("T"), {arrow::field("x", arrow::int8())});
  EXPECT_EQ(CodeOf(refused.status()), ErrorCode::kCommitConflict);
  ASSERT_TRUE((*bulk)->Commit(std::nullopt).status.ok());
  bulk->reset();
  EXPECT_TRUE(sink_->AddColumns(Name("t"), {arrow::field("x", arrow::int8())}).ok());
}

TEST_F(DuckDbSinkTest, ForeignChangeUnderABulkLoadIsAConflict) {
  OpenSink();
  auto table = MakeTable("t");
  auto bulk = sink_->BeginBulk(table, TableChange::kAppend);
  ASSERT_TRUE((*bulk)->Append({Rows(0, 10)}).ok());
  ASSERT_TRUE(Sql("ALTER TABLE t ADD COLUMN extra INTEGER").ok());
  auto done = (*bulk)->Commit(Keyed("k"));
  EXPECT_EQ(CodeOf(done.status), ErrorCode::kCommitConflict) << done.status.ToString();
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), "0");
  EXPECT_EQ(sink_->LoadLedger(0)->size(), 0u);
  EXPECT_EQ(CodeOf(sink_->BeginBulk(table, TableChange::kAppend).status()),
            ErrorCode::kCommitConflict);
}

TEST_F(DuckDbSinkTest, ConcurrentGroupsAndBulkLoadsLoseNothing) {
  OpenSink();
  auto table = MakeTable("t");
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int64_t round = 0; round < 20; ++round) {
        const int64_t first = thread * 1000000 + round * 1000;
        if (thread % 2 == 0) {
          auto outcomes = Commit({{table, {Rows(first, 500)}, std::nullopt},
                                  {table, {Rows(first + 500, 500)}, std::nullopt}});
          EXPECT_TRUE(outcomes[0].status.ok()) << outcomes[0].status.ToString();
          EXPECT_TRUE(outcomes[1].status.ok());
        } else {
          auto bulk = sink_->BeginBulk(table, TableChange::kAppend);
          ASSERT_TRUE(bulk.ok());
          EXPECT_TRUE((*bulk)->Append({Rows(first, 1000)}).ok());
          auto done = (*bulk)->Commit(std::nullopt);
          EXPECT_TRUE(done.status.ok()) << done.status.ToString();
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(Ask("SELECT count(*) || ',' || count(DISTINCT id) FROM t"), "80000,80000");
  EXPECT_EQ(sink_->version(), 80);
}

TEST_F(DuckDbSinkTest, BackgroundCheckpointKeepsTheLogShort) {
  options_.checkpoint_wal_bytes = 1 << 20;
  options_.wal_bytes_max = 4 << 20;
  OpenSink();
  auto table = MakeTable("t");
  for (int64_t i = 0; i < 300; ++i) {
    ASSERT_TRUE(Commit({{table, {Rows(i * 2000, 2000)}, std::nullopt}})[0].status.ok());
    ASSERT_LT(database_->wal_bytes(), int64_t{5} << 20);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (database_->wal_bytes() > (1 << 20) &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_LE(database_->wal_bytes(), 1 << 20);
  EXPECT_GT(sink_->counters().checkpoints, 0);
  EXPECT_EQ(Ask("SELECT count(*) FROM t"), "600000");
  Reopen();
  EXPECT_EQ(Ask("SELECT count(DISTINCT id) FROM t"), "600000");
}

TEST_F(DuckDbSinkTest, CommitsAreHeldBackWhileTheLogCannotShrink) {
  options_.checkpoint_wal_bytes = 1 << 18;
  options_.wal_bytes_max = 1 << 19;
  options_.wal_wait_ms = 2000;
  OpenSink();
  auto table = MakeTable("t");
  ASSERT_TRUE(Sql("CREATE TABLE held (i INTEGER); INSERT INTO held VALUES (1)").ok());
  auto blocker = database_->Connect().ValueOrDie();
  ASSERT_TRUE(blocker->Run("BEGIN; UPDATE held SET i = 2").ok());
  arrow::Status status;
  for (int64_t i = 0; i < 200 && status.ok(); ++i) {
    status = Commit({{table, {Rows(i * 2000, 2000)}, std::nullopt}})[0].status;
  }
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(CodeOf(status), ErrorCode::kOverloaded) << status.ToString();
  ASSERT_TRUE(blocker->Run("COMMIT").ok());
  status = Commit({{table, {Rows(1, 1)}, std::nullopt}})[0].status;
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// DuckDB refuses a checkpoint beside a transaction that writes.
TEST_F(DuckDbSinkTest, OrderedCheckpointsTakeTurnsWithCommits) {
  OpenSink();
  auto table = MakeTable("t");
  auto bulk = sink_->BeginBulk(table, TableChange::kAppend);
  ASSERT_TRUE((*bulk)->Append({Rows(0, 200000)}).ok());
  std::atomic<bool> stop = false;
  std::thread groups([&] {
    for (int i = 0; !stop; ++i) {
      auto outcome = Commit({{table, {Rows(i, 100)}, std::nullopt}})[0];
      EXPECT_TRUE(outcome.status.ok()) << outcome.status.ToString();
    }
  });
  for (int i = 0; i < 10; ++i) {
    arrow::Status done = sink_->Checkpoint();
    EXPECT_TRUE(done.ok()) << done.ToString();
  }
  stop = true;
  groups.join();
  ASSERT_TRUE((*bulk)->Commit(std::nullopt).status.ok());
}

TEST_F(DuckDbSinkTest, IdleAfterABulkLoadIsCheckpointed) {
  options_.idle_checkpoint_ms = 50;
  OpenSink();
  auto table = MakeTable("t");
  auto bulk = sink_->BeginBulk(table, TableChange::kAppend);
  ASSERT_TRUE((*bulk)->Append({Rows(0, 200000)}).ok());
  ASSERT_TRUE((*bulk)->Commit(std::nullopt).status.ok());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (sink_->counters().checkpoints == 0 &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_GT(sink_->counters().checkpoints, 0);
  EXPECT_EQ(database_->wal_bytes(), 0);
}

}  // namespace
}  // namespace arrowport::sink
