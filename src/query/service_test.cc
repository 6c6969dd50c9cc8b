#include <arrow/api.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "base/error.h"
#include "base/ids.h"
#include "engine/read_all.h"
#include "query/service.h"
#include "query/service_options.h"
#include "query/testing_consumer.h"

namespace arrowport::query {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr char kEndless[] =
    "SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b";

bool Eventually(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + seconds(30);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

class ServiceTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("arrowport-query-" + NewRandomId());
    fs::create_directories(folder_);
    engine::DatabaseOptions options;
    options.path = GetParam() ? (folder_ / "test.duckdb").string() : ":memory:";
    options.threads = 2;
    auto database = engine::Database::Open(options);
    ASSERT_TRUE(database.ok()) << database.status();
    options_.database = database_ = *database;
  }

  void TearDown() override {
    service_.reset();
    options_.database.reset();
    database_.reset();
    fs::remove_all(folder_);
  }

  void Start() {
    auto made = Service::Make(options_);
    ASSERT_TRUE(made.ok()) << made.status();
    service_ = *made;
  }

  Outcome Run(std::string sql, arrow::ScalarVector parameters = {}) {
    Request request;
    request.source = std::move(sql);
    request.parameters = std::move(parameters);
    return RunToEnd(*service_, std::move(request));
  }

  void Ok(std::string sql) {
    auto outcome = Run(sql);
    ASSERT_TRUE(outcome.status.ok()) << sql << "\n" << outcome.status;
  }

  std::string Value(std::string sql) {
    auto outcome = Run(sql);
    EXPECT_TRUE(outcome.status.ok()) << sql << "\n" << outcome.status;
    if (outcome.batches.empty()) return "(no rows)";
    return outcome.batches[0]->column(0)->GetScalar(0).ValueOrDie()->ToString();
  }

  std::unique_ptr<Cursor> Execute(std::string sql,
                                  std::shared_ptr<ResultConsumer> consumer) {
    Request request;
    request.source = std::move(sql);
    auto cursor = service_->Execute(std::move(request), std::move(consumer));
    EXPECT_TRUE(cursor.ok()) << cursor.status();
    return cursor.ok() ? std::move(*cursor) : nullptr;
  }

  fs::path folder_;
  std::shared_ptr<engine::Database> database_;
  ServiceOptions options_;
  std::shared_ptr<Service> service_;
};

INSTANTIATE_TEST_SUITE_P(Storage, ServiceTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "file" : "memory"; });

TEST_P(ServiceTest, WholeResultArrives) {
  Start();
  auto outcome = Run("SELECT range AS i FROM range(500000)");
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.rows(), 500000);
  EXPECT_EQ(outcome.schema->field(0)->name(), "i");
  EXPECT_LE(outcome.batches[0]->num_rows(), 2048);
}

TEST_P(ServiceTest, TableIsReadByNameWhateverItIs) {
  Start();
  Ok("CREATE TABLE \"a \"\"b.c\" AS SELECT 7 AS x");
  Ok("CREATE SCHEMA \"s s\"");
  Ok("CREATE TABLE \"s s\".\"select\" AS SELECT 8 AS x");
  Request request;
  request.source = TableRef{"", "a \"b.c"};
  auto outcome = RunToEnd(*service_, request);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status;
  EXPECT_EQ(outcome.rows(), 1);
  request.source = TableRef{"s s", "select"};
  EXPECT_EQ(RunToEnd(*service_, request).rows(), 1);
  request.source = TableRef{"s s", "missing"};
  EXPECT_EQ(CodeOf(RunToEnd(*service_, request).status), ErrorCode::kTableNotFound);
  request.source = TableRef{"", ""};
  EXPECT_EQ(CodeOf(RunToEnd(*service_, request).status), ErrorCode::kInvalidName);
}

TEST_P(ServiceTest, EndComesOnceAlsoWithoutSchema) {
  Start();
  auto consumer = std::make_shared<KeepingConsumer>();
  auto cursor = Execute("SELECT * FROM missing", consumer);
  ASSERT_TRUE(consumer->WaitForEnd());
  EXPECT_EQ(CodeOf(consumer->outcome().status), ErrorCode::kTableNotFound);
  EXPECT_EQ(consumer->outcome().schema, nullptr);
  cursor->Cancel();
  cursor->Resume();
  cursor.reset();
  EXPECT_EQ(consumer->ends(), 1);
}

TEST_P(ServiceTest, PauseHoldsNoThread) {
  options_.threads = 1;
  Start();
  auto consumer =
      std::make_shared<KeepingConsumer>([](int) { return Flow::kPause; });
  auto cursor = Execute("SELECT * FROM range(100000)", consumer);
  ASSERT_TRUE(consumer->WaitForBatches(1));
  // The only thread is free for others.
  EXPECT_EQ(Value("SELECT 42"), "42");
  EXPECT_EQ(consumer->batches(), 1);
  while (consumer->ends() == 0) {
    const int before = consumer->batches();
    cursor->Resume();
    ASSERT_TRUE(Eventually(
        [&] { return consumer->batches() > before || consumer->ends() > 0; }));
  }
  EXPECT_TRUE(consumer->outcome().status.ok());
  EXPECT_EQ(consumer->outcome().rows(), 100000);
}

TEST_P(ServiceTest, RandomPausesLoseNothing) {
  options_.threads = 2;
  Start();
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  struct Reader {
    std::shared_ptr<KeepingConsumer> consumer;
    std::unique_ptr<Cursor> cursor;
    int64_t rows;
  };
  std::vector<Reader> readers;
  for (int i = 0; i < 12; ++i) {
    auto own = std::make_shared<std::mt19937>(random());
    Reader reader;
    reader.rows = 1 + static_cast<int64_t>(random() % 300000);
    reader.consumer = std::make_shared<KeepingConsumer>([own](int) {
      return (*own)() % 3 == 0 ? Flow::kContinue : Flow::kPause;
    });
    reader.cursor = Execute(
        "SELECT * FROM range(" + std::to_string(reader.rows) + ")", reader.consumer);
    readers.push_back(std::move(reader));
  }
  ASSERT_TRUE(Eventually([&] {
    bool all = true;
    for (auto& reader : readers) {
      if (reader.consumer->ends() > 0) continue;
      all = false;
      if (random() % 2 == 0) reader.cursor->Resume();
    }
    return all;
  }));
  for (auto& reader : readers) {
    auto outcome = reader.consumer->outcome();
    EXPECT_TRUE(outcome.status.ok()) << outcome.status;
    ASSERT_EQ(outcome.rows(), reader.rows);
    int64_t next = 0;
    for (const auto& batch : outcome.batches) {
      const auto& column = static_cast<const arrow::Int64Array&>(*batch->column(0));
      for (int64_t i = 0; i < column.length(); ++i) ASSERT_EQ(column.Value(i), next++);
    }
  }
}

TEST_P(ServiceTest, CancelStopsARunningStatementAndOnlyThat) {
  Start();
  auto endless = std::make_shared<KeepingConsumer>();
  auto other = std::make_shared<KeepingConsumer>();
  auto cursor = Execute(kEndless, endless);
  auto keep = Execute("SELECT sum(range) FROM range(20000000)", other);
  cursor->Cancel();
  ASSERT_TRUE(endless->WaitForEnd());
  EXPECT_EQ(CodeOf(endless->outcome().status), ErrorCode::kCancelled);
  ASSERT_TRUE(other->WaitForEnd());
  EXPECT_TRUE(other->outcome().status.ok()) << other->outcome().status;
}

TEST_P(ServiceTest, CancelAtRandomMoments) {
  options_.threads = 4;
  Start();
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int i = 0; i < 60; ++i) {
    auto consumer = std::make_shared<KeepingConsumer>(
        [i](int) { return i % 2 == 0 ? Flow::kPause : Flow::kContinue; });
    auto cursor = Execute(i % 3 == 0 ? kEndless : "SELECT * FROM range(400000)", consumer);
    const auto moment =
        std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 4000);
    while (std::chrono::steady_clock::now() < moment) {
    }
    if (i % 5 == 0) {
      cursor.reset();
    } else {
      cursor->Cancel();
    }
    ASSERT_TRUE(consumer->WaitForEnd()) << i;
    auto status = consumer->outcome().status;
    EXPECT_TRUE(status.ok() || CodeOf(status) == ErrorCode::kCancelled) << status;
    EXPECT_EQ(consumer->ends(), 1);
  }
  EXPECT_EQ(Value("SELECT 1"), "1");
}

TEST_P(ServiceTest, DestroyingAPausedCursorEndsItsTransaction) {
  Start();
  Ok("CREATE TABLE t AS SELECT range AS i FROM range(1000000)");
  auto consumer =
      std::make_shared<KeepingConsumer>([](int) { return Flow::kPause; });
  auto cursor = Execute("SELECT * FROM t", consumer);
  ASSERT_TRUE(consumer->WaitForBatches(1));
  cursor.reset();
  ASSERT_TRUE(consumer->WaitForEnd(seconds(5)));
  EXPECT_EQ(CodeOf(consumer->outcome().status), ErrorCode::kCancelled);
}

TEST_P(ServiceTest, PausedTooLongEndsWithTimeout) {
  options_.paused_max = milliseconds(50);
  Start();
  auto consumer =
      std::make_shared<KeepingConsumer>([](int) { return Flow::kPause; });
  auto cursor = Execute("SELECT * FROM range(1000000)", consumer);
  ASSERT_TRUE(consumer->WaitForEnd());
  EXPECT_EQ(CodeOf(consumer->outcome().status), ErrorCode::kTimeout);
}

TEST_P(ServiceTest, QueryTimeout) {
  options_.query_timeout = milliseconds(50);
  Start();
  auto outcome = Run(kEndless);
  EXPECT_EQ(CodeOf(outcome.status), ErrorCode::kTimeout) << outcome.status;
}

TEST_P(ServiceTest, ResultLargerThanItsLimit) {
  options_.result_bytes_max = 1 << 20;
  Start();
  auto outcome = Run("SELECT * FROM range(10000000)");
  EXPECT_EQ(CodeOf(outcome.status), ErrorCode::kTooLarge) << outcome.status;
  EXPECT_TRUE(Run("SELECT * FROM range(1000)").status.ok());
}

TEST_P(ServiceTest, FullQueueIsRefused) {
  options_.threads = 1;
  options_.queries_max = 2;
  Start();
  std::vector<std::shared_ptr<KeepingConsumer>> consumers;
  std::vector<std::unique_ptr<Cursor>> cursors;
  arrow::Status refused;
  for (int i = 0; i < 6 && refused.ok(); ++i) {
    Request request;
    request.source = kEndless;
    auto consumer = std::make_shared<KeepingConsumer>();
    auto cursor = service_->Execute(request, consumer);
    refused = cursor.status();
    if (!cursor.ok()) break;
    consumers.push_back(consumer);
    cursors.push_back(std::move(*cursor));
  }
  EXPECT_EQ(CodeOf(refused), ErrorCode::kOverloaded) << refused;
  EXPECT_TRUE(RetryAfterSeconds(refused).has_value());
  EXPECT_LE(cursors.size(), 3u);
  cursors.clear();
  for (auto& consumer : consumers) ASSERT_TRUE(consumer->WaitForEnd());
  EXPECT_TRUE(Eventually([&] { return Run("SELECT 1").status.ok(); }));
}

TEST_P(ServiceTest, DrainRefusesStopEnds) {
  Start();
  auto consumer = std::make_shared<KeepingConsumer>();
  auto paused = std::make_shared<KeepingConsumer>([](int) { return Flow::kPause; });
  auto cursor = Execute(kEndless, consumer);
  auto second = Execute("SELECT * FROM range(1000000)", paused);
  ASSERT_TRUE(paused->WaitForBatches(1));
  service_->Drain();
  EXPECT_EQ(CodeOf(Run("SELECT 1").status), ErrorCode::kDraining);
  service_.reset();
  EXPECT_EQ(CodeOf(consumer->outcome().status), ErrorCode::kDraining);
  EXPECT_EQ(CodeOf(paused->outcome().status), ErrorCode::kDraining);
  second->Resume();
  cursor->Cancel();
}

TEST_P(ServiceTest, StatementsSideBySide) {
  Start();
  Ok("CREATE TABLE t AS SELECT range AS i, 'v' || range AS s FROM range(100000)");
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        auto outcome = Run("SELECT count(*), max(s) FROM t WHERE i % 8 = ?",
                           {arrow::MakeScalar(t)});
        if (outcome.status.ok() && outcome.rows() == 1) ++good;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good.load(), 160);
}

// A lock that counts who holds it.
class CountingLock : public CommitLock {
 public:
  bool LockFor(milliseconds wait) override {
    if (!mutex_.try_lock_for(wait)) return false;
    ++taken;
    return true;
  }
  void Unlock() override { mutex_.unlock(); }
  std::atomic<int> taken{0};

 private:
  std::timed_mutex mutex_;
};

TEST_P(ServiceTest, WritesTakeTheCommitLock) {
  auto lock = std::make_shared<CountingLock>();
  options_.commit_lock = lock;
  options_.threads = 2;
  Start();
  Ok("CREATE TABLE t (i INTEGER)");
  EXPECT_EQ(lock->taken, 1);
  Ok("SELECT * FROM t");
  EXPECT_EQ(lock->taken, 1);
  Ok("INSERT INTO t VALUES (1) RETURNING i");
  EXPECT_EQ(lock->taken, 2);
  EXPECT_FALSE(Run("INSERT INTO t VALUES ('x')").status.ok());
  EXPECT_EQ(lock->taken, 3);

  // While another writes, writers wait without keeping readers from a thread.
  ASSERT_TRUE(lock->LockFor(milliseconds(0)));
  std::vector<std::shared_ptr<KeepingConsumer>> writers;
  std::vector<std::unique_ptr<Cursor>> cursors;
  for (int i = 0; i < 4; ++i) {
    writers.push_back(std::make_shared<KeepingConsumer>());
    cursors.push_back(Execute("INSERT INTO t VALUES (2)", writers.back()));
  }
  EXPECT_EQ(Value("SELECT count(*) FROM t"), "1");
  cursors[3]->Cancel();
  ASSERT_TRUE(writers[3]->WaitForEnd());
  EXPECT_EQ(CodeOf(writers[3]->outcome().status), ErrorCode::kCancelled);
  lock->Unlock();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(writers[i]->WaitForEnd());
  EXPECT_EQ(Value("SELECT count(*) FROM t"), "4");
}

TEST_P(ServiceTest, ReadAfterTokens) {
  int64_t waited = -1;
  options_.wait_for_version = [&](int64_t version) {
    waited = version;
    return arrow::Status();
  };
  Start();
  Request request;
  request.source = "SELECT 1";
  request.read_after = "duckdb:17";
  EXPECT_TRUE(RunToEnd(*service_, request).status.ok());
  EXPECT_EQ(waited, 17);
  // Statements read the newest versions of Delta tables.
  request.read_after = "delta:sales.t:3";
  EXPECT_TRUE(RunToEnd(*service_, request).status.ok());
  for (const char* bad : {"17", "duckdb:", "duckdb:x", "duckdb:-1", "duckdb:1 ",
                          "duckdb:99999999999999999999", "other:1", "delta:1",
                          "delta::1", "delta:t:x"}) {
    request.read_after = bad;
    EXPECT_EQ(CodeOf(RunToEnd(*service_, request).status), ErrorCode::kInvalidArgument)
        << bad;
  }
}

TEST_P(ServiceTest, ListsTablesAndHidesInternals) {
  Start();
  Ok("CREATE TABLE b (id INTEGER NOT NULL, name VARCHAR)");
  Ok("INSERT INTO b VALUES (1, 'x')");
  Ok("CREATE SCHEMA s");
  Ok("CREATE TABLE s.a AS SELECT 1.5 AS d");
  Ok("CREATE VIEW v AS SELECT id FROM b");
  Ok("CREATE TABLE gone (x INTEGER)");
  Ok("CREATE VIEW broken AS SELECT x FROM gone");
  Ok("DROP TABLE gone");
  Ok("CREATE SCHEMA _arrowport");
  Ok("CREATE TABLE _arrowport.ledger (i INTEGER)");
  auto tables = service_->ListTables();
  ASSERT_TRUE(tables.ok()) << tables.status();
  std::vector<std::string> names;
  for (const auto& table : *tables) {
    names.push_back(table.schema + "." + table.table + " " + table.type + " " +
                    std::to_string(table.arrow_schema->num_fields()));
  }
  EXPECT_EQ(names, (std::vector<std::string>{"main.b BASE TABLE 2", "main.broken VIEW 0",
                                             "main.v VIEW 1", "s.a BASE TABLE 1"}));
  EXPECT_EQ((*tables)[0].estimated_rows, 1);
  EXPECT_EQ((*tables)[0].catalog, database_->catalog());
  auto table = service_->GetTable({"s", "a"});
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->arrow_schema->field(0)->name(), "d");
  EXPECT_EQ(CodeOf(service_->GetTable({"", "a"}).status()), ErrorCode::kTableNotFound);
  EXPECT_EQ(CodeOf(service_->GetTable({"_arrowport", "ledger"}).status()),
            ErrorCode::kTableNotFound);
}

TEST_P(ServiceTest, PrepareRunsNothing) {
  Start();
  Ok("CREATE TABLE t (i BIGINT)");
  Request request;
  request.source = "INSERT INTO t VALUES (?)";
  auto info = service_->Prepare(request);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_FALSE(info->has_rows);
  EXPECT_FALSE(info->read_only);
  ASSERT_EQ(info->parameters.size(), 1u);
  EXPECT_TRUE(info->parameters[0]->type()->Equals(arrow::int64()));
  EXPECT_EQ(Value("SELECT count(*) FROM t"), "0");
  request.source = TableRef{"", "t"};
  auto schema = service_->Describe(request);
  ASSERT_TRUE(schema.ok()) << schema.status();
  EXPECT_TRUE((*schema)->field(0)->type()->Equals(arrow::int64()));
}

}  // namespace
}  // namespace arrowport::query
