// The landing service over a real DuckDB file.
#include <gtest/gtest.h>

#include <cstdio>
#include <duckdb.hpp>
#include <filesystem>
#include <fstream>

#include "base/ids.h"
#include "ingest/service.h"
#include "ingest/service_fixture.h"
#include "sink/duckdb/duckdb_sink.h"

namespace arrowport::ingest {
namespace {

class IngestDuckDb : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / ("ingest_" + NewRandomId());
    std::filesystem::create_directory(directory_);
    Start();
  }
  void TearDown() override {
    Shut();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  void Start() {
    engine::DatabaseOptions options;
    options.path = (directory_ / "t.duckdb").string();
    options.memory_limit_bytes = 192 << 20;
    auto database = engine::Database::Open(options);
    ASSERT_TRUE(database.ok()) << database.status().ToString();
    database_ = *database;
    auto sink = sink::DuckDbSink::Make(database_);
    ASSERT_TRUE(sink.ok()) << sink.status().ToString();
    sink_ = *std::move(sink);
    ServiceOptions service;
    service.sinks["duckdb"] = sink_;
    auto made = LandingService::Make(std::move(service));
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    service_ = *std::move(made);
  }
  void Shut() {
    service_.reset();
    sink_.reset();
    database_.reset();
  }
  static Request To(std::string stream, SettingTexts overrides = {}) {
    Request request;
    request.stream = std::move(stream);
    request.overrides = std::move(overrides);
    return request;
  }
  void Sql(const std::string& sql) {
    auto connection = database_->Connect();
    ASSERT_TRUE(connection.ok()) << connection.status().ToString();
    arrow::Status status = (*connection)->Run(sql);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  int64_t Number(const std::string& sql) {
    auto connection = database_->Connect();
    auto result = (*connection)->duckdb().Query(sql);
    EXPECT_FALSE(result->HasError()) << result->GetError();
    return result->HasError() ? -1 : result->GetValue(0, 0).GetValue<int64_t>();
  }

  std::filesystem::path directory_;
  std::shared_ptr<engine::Database> database_;
  std::shared_ptr<sink::DuckDbSink> sink_;
  std::unique_ptr<LandingService> service_;
};

int64_t PeakBytes(const char* field) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with(field)) return std::stoll(line.substr(7)) << 10;
  }
  return 0;
}

TEST_F(IngestDuckDb, AcknowledgedOnceAcrossARestart) {
  Request keyed = To("sales.t");
  keyed.idempotency_key = "k";
  auto first = Upload1(*service_, keyed, {Ints({1, 2, 3})});
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  EXPECT_EQ(first->durability, "file");
  EXPECT_TRUE(first->version.starts_with("duckdb:"));
  Request large = To("big");
  large.idempotency_key = "k";
  ASSERT_TRUE(Upload1(*service_, large, {Range(0, 300000)}).ok());
  for (bool restart : {false, true}) {
    if (restart) {
      Shut();
      Start();
    }
    auto again = Upload1(*service_, keyed, {Ints({1, 2}), Ints({3})});
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_TRUE(again->idempotent_replay);
    EXPECT_EQ(again->version, first->version);
    EXPECT_TRUE(Upload1(*service_, large, {Range(0, 100000), Range(100000, 200000)})
                    ->idempotent_replay);
    EXPECT_EQ(CodeOf(Upload1(*service_, keyed, {Ints({4})}).status()),
              ErrorCode::kKeyReused);
  }
  EXPECT_EQ(Number("SELECT sum(a) FROM sales.t"), 6);
  EXPECT_EQ(Number("SELECT count(*) FROM big"), 300000);
}

TEST_F(IngestDuckDb, ProducerInBatchModeGoesOnAfterARestart) {
  for (int64_t first : {0, 5}) {
    Request request = To("t");
    request.commit = CommitMode::kBatch;
    request.producer = "p";
    request.sequence = first;
    Client client;
    ASSERT_TRUE(client.Open(*service_, request).ok());
    ASSERT_TRUE(client.session->Start(Ints({1})->schema()).ok());
    for (int64_t i = first; i < first + 10; ++i) ASSERT_TRUE(client.Push(Ints({i})).ok());
    auto receipt = client.Finish();
    ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
    EXPECT_EQ(client.observer->last_ack().offset, 9);
    Shut();
    Start();
  }
  EXPECT_EQ(Number("SELECT count(*) FROM t"), 15);
  EXPECT_EQ(Number("SELECT count(DISTINCT a) FROM t"), 15);
}

TEST_F(IngestDuckDb, OnlyTheOneThatBreaksAConstraintFails) {
  Sql("CREATE TABLE t (a BIGINT PRIMARY KEY)");
  std::vector<Client> clients(16);
  for (size_t i = 0; i < clients.size(); ++i) {
    ASSERT_TRUE(clients[i].Open(*service_, To("t")).ok());
    ASSERT_TRUE(clients[i].session->Start(Ints({1})->schema()).ok());
    // The ninth repeats the fifth.
    ASSERT_TRUE(clients[i].Push(Ints({i == 8 ? 4 : static_cast<int64_t>(i)})).ok());
  }
  for (auto& client : clients) client.session->Finish();
  int failures = 0;
  for (auto& client : clients) {
    auto receipt = client.observer->Wait();
    if (receipt.ok()) continue;
    ++failures;
    EXPECT_EQ(CodeOf(receipt.status()), ErrorCode::kConstraintViolation);
  }
  EXPECT_EQ(failures, 1);
  EXPECT_EQ(Number("SELECT count(*) FROM t"), 15);
}

TEST_F(IngestDuckDb, OverwriteAndMerge) {
  ASSERT_TRUE(Upload1(*service_, To("t"), {Ints({1, 2, 3})}).ok());
  ASSERT_TRUE(Upload1(*service_, To("t", {{"mode", "overwrite"}}), {Ints({7})}).ok());
  EXPECT_EQ(Number("SELECT sum(a) FROM t"), 7);
  EXPECT_EQ(CodeOf(Upload1(*service_, To("t"), {Ints({1}, {"a", "b"})}).status()),
            ErrorCode::kSchemaMismatch);
  auto merged =
      Upload1(*service_, To("t", {{"schema_mode", "merge"}}), {Ints({9}, {"a", "b"})});
  ASSERT_TRUE(merged.ok()) << merged.status().ToString();
  EXPECT_EQ(Number("SELECT count(*) FROM t WHERE b IS NULL"), 1);
  EXPECT_EQ(Number("SELECT b FROM t WHERE a = 9"), 9);
}

TEST_F(IngestDuckDb, AlterAndDropDuringAnUpload) {
  for (const std::string change : {"ALTER TABLE t ALTER a TYPE INTEGER", "DROP TABLE t",
                                   "ALTER TABLE t ADD COLUMN x INTEGER DEFAULT 5"}) {
    Sql("CREATE OR REPLACE TABLE t (a BIGINT)");
    for (int64_t rows : {10, 200000}) {
      Client client;
      ASSERT_TRUE(client.Open(*service_, To("t")).ok());
      ASSERT_TRUE(client.session->Start(Ints({1})->schema()).ok());
      if (rows == 10) Sql(change);
      ASSERT_TRUE(client.Push(Range(0, rows)).ok());
      auto receipt = client.Finish();
      EXPECT_TRUE(receipt.ok()) << change << ": " << receipt.status().ToString();
    }
    EXPECT_EQ(Number("SELECT count(*) FROM t"), 200010);
  }
}

TEST_F(IngestDuckDb, TwoCreateTheSameTableAtOnce) {
  std::vector<Client> clients(8);
  for (size_t i = 0; i < clients.size(); ++i) {
    ASSERT_TRUE(clients[i].Open(*service_, To("t")).ok());
    auto batch = i % 2 ? Ints({1}, {"a"}) : Ints({1}, {"a", "b"});
    ASSERT_TRUE(clients[i].session->Start(batch->schema()).ok());
    ASSERT_TRUE(clients[i].Push(batch).ok());
  }
  for (auto& client : clients) client.session->Finish();
  int64_t landed = 0;
  for (auto& client : clients) {
    auto receipt = client.observer->Wait();
    if (receipt.ok()) {
      ++landed;
    } else {
      EXPECT_EQ(CodeOf(receipt.status()), ErrorCode::kSchemaMismatch)
          << receipt.status().ToString();
    }
  }
  EXPECT_GE(landed, 4);
  EXPECT_EQ(Number("SELECT count(*) FROM t"), landed);
}

TEST_F(IngestDuckDb, LargeUploadStaysWithinItsMemory) {
  arrow::FieldVector fields;
  std::vector<std::shared_ptr<arrow::Array>> columns;
  auto column = Range(0, 65536)->column(0);
  for (const char* name : {"a", "b", "c", "d"}) {
    fields.push_back(arrow::field(name, arrow::int64()));
    columns.push_back(column);
  }
  auto schema = arrow::schema(fields);
  Client client;
  ASSERT_TRUE(client.Open(*service_, To("t")).ok());
  ASSERT_TRUE(client.session->Start(schema).ok());
  const int64_t idle = PeakBytes("VmRSS:");
  int64_t rows = 0;
  for (; rows < 20'000'000; rows += 65536) {
    // Memory of its own for each batch, as received data has.
    std::vector<std::shared_ptr<arrow::Array>> copies;
    for (const auto& c : columns) {
      copies.push_back(arrow::Concatenate({c, c->Slice(0, 0)}).ValueOrDie());
    }
    ASSERT_TRUE(client.Push(arrow::RecordBatch::Make(schema, 65536, copies)).ok());
  }
  auto receipt = client.Finish();
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  const int64_t grown = PeakBytes("VmHWM:") - idle;
  std::printf("peak above idle: %lld MB\n", static_cast<long long>(grown >> 20));
  EXPECT_LT(grown, int64_t{300} << 20);
  EXPECT_EQ(Number("SELECT count(*) FROM t"), rows);
}

}  // namespace
}  // namespace arrowport::ingest
