// One suite of the landing service over every storage; what differs stands in Quirks.
#include <gtest/gtest.h>

#include <arrow/json/from_string.h>
#include <duckdb.hpp>
#include <filesystem>

#include "base/ids.h"
#include "ingest/service.h"
#include "ingest/service_fixture.h"
#include "lake/catalog.h"
#include "lake/folder_source.h"
#include "sink/delta/delta_sink.h"
#include "sink/duckdb/duckdb_sink.h"

namespace arrowport::ingest {
namespace {

struct Quirks {
  const char* backend;
  const char* catalog_prefix;           ///< of tables in SQL
  schema::SchemaMode default_mode;      ///< schema_mode when nobody says
  bool batch_stream_makes_empty_table;  ///< a batch-mode stream that ends without a batch
};

constexpr Quirks kDuckDb{"duckdb", "", schema::SchemaMode::kStrict, true};
constexpr Quirks kDelta{"delta", "delta.", schema::SchemaMode::kMerge, false};

void PrintTo(const Quirks& quirks, std::ostream* out) { *out << quirks.backend; }

class IngestBackends : public testing::TestWithParam<Quirks> {
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
    ServiceOptions service;
    auto duckdb_sink = sink::DuckDbSink::Make(database_);
    ASSERT_TRUE(duckdb_sink.ok()) << duckdb_sink.status().ToString();
    service.sinks["duckdb"] = *std::move(duckdb_sink);
    sink::DeltaSinkOptions delta;
    delta.root = (directory_ / "lake").string();
    service.sinks["delta"] = sink::DeltaSink::Make(delta);
    lake::FolderSourceOptions folder;
    folder.root = delta.root;
    auto attached =
        lake::Attach(*database_, std::make_shared<lake::FolderSource>(folder));
    ASSERT_TRUE(attached.ok()) << attached.ToString();
    service.defaults.storage_backend = GetParam().backend;
    service.defaults.delta.commit_interval_ms = 0;
    auto made = LandingService::Make(std::move(service));
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    service_ = *std::move(made);
  }
  void Shut() {
    service_.reset();
    database_.reset();
  }
  static Request To(std::string stream, SettingTexts overrides = {}) {
    Request request;
    request.stream = std::move(stream);
    request.overrides = std::move(overrides);
    return request;
  }
  static std::string In(const std::string& table) {
    return GetParam().catalog_prefix + table;
  }
  int64_t Number(const std::string& sql) {
    auto connection = database_->Connect();
    auto result = (*connection)->duckdb().Query(sql);
    EXPECT_FALSE(result->HasError()) << result->GetError();
    return result->HasError() ? -1 : result->GetValue(0, 0).GetValue<int64_t>();
  }
  bool Exists(const std::string& table) {
    auto connection = database_->Connect();
    return !(*connection)->duckdb().Query("SELECT 1 FROM " + In(table))->HasError();
  }

  std::filesystem::path directory_;
  std::shared_ptr<engine::Database> database_;
  std::unique_ptr<LandingService> service_;
};

TEST_P(IngestBackends, AcknowledgedOnceAcrossARestart) {
  Request keyed = To("sales.t");
  keyed.idempotency_key = "k";
  auto first = Upload1(*service_, keyed, {Ints({1, 2, 3})});
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  EXPECT_EQ(first->durability, "file");
  EXPECT_TRUE(first->version.starts_with(std::string(GetParam().backend) + ":"));
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
    EXPECT_EQ(again->rows, 3);
    EXPECT_TRUE(Upload1(*service_, large, {Range(0, 100000), Range(100000, 200000)})
                    ->idempotent_replay);
    EXPECT_EQ(CodeOf(Upload1(*service_, keyed, {Ints({4})}).status()),
              ErrorCode::kKeyReused);
  }
  EXPECT_EQ(Number("SELECT sum(a) FROM " + In("sales.t")), 6);
  EXPECT_EQ(Number("SELECT count(*) FROM " + In("big")), 300000);
}

TEST_P(IngestBackends, ProducerInBatchModeGoesOnAfterARestart) {
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
  EXPECT_EQ(Number("SELECT count(*) FROM " + In("t")), 15);
  EXPECT_EQ(Number("SELECT count(DISTINCT a) FROM " + In("t")), 15);
}

TEST_P(IngestBackends, AnEmptyUploadMakesTheTable) {
  auto empty = Ints({});
  ASSERT_TRUE(Upload1(*service_, To("t"), {empty}).ok());
  EXPECT_EQ(Number("SELECT count(*) FROM " + In("t")), 0);
  Request request = To("stream");
  request.commit = CommitMode::kBatch;
  Client client;
  ASSERT_TRUE(client.Open(*service_, request).ok());
  ASSERT_TRUE(client.session->Start(empty->schema()).ok());
  ASSERT_TRUE(client.Finish().ok());
  EXPECT_EQ(Exists("stream"), GetParam().batch_stream_makes_empty_table);
}

TEST_P(IngestBackends, OverwriteAndSchemaModes) {
  ASSERT_TRUE(Upload1(*service_, To("t"), {Ints({1, 2, 3})}).ok());
  ASSERT_TRUE(Upload1(*service_, To("t", {{"mode", "overwrite"}}), {Ints({7})}).ok());
  EXPECT_EQ(Number("SELECT sum(a) FROM " + In("t")), 7);
  EXPECT_EQ(CodeOf(Upload1(*service_, To("t", {{"schema_mode", "strict"}}),
                           {Ints({1}, {"a", "b"})})
                       .status()),
            ErrorCode::kSchemaMismatch);
  auto merged =
      Upload1(*service_, To("t", {{"schema_mode", "merge"}}), {Ints({9}, {"a", "b"})});
  ASSERT_TRUE(merged.ok()) << merged.status().ToString();
  EXPECT_EQ(Number("SELECT count(*) FROM " + In("t") + " WHERE b IS NULL"), 1);
  EXPECT_EQ(Number("SELECT b FROM " + In("t") + " WHERE a = 9"), 9);
  auto unsaid = Upload1(*service_, To("t"), {Ints({11}, {"a", "c"})});
  EXPECT_EQ(unsaid.ok(), GetParam().default_mode == schema::SchemaMode::kMerge)
      << unsaid.status().ToString();
}

TEST_P(IngestBackends, WhatDoesNotFitIsRefusedOrSkippedAndMakesNothing) {
  auto text = arrow::RecordBatch::Make(
      arrow::schema({arrow::field("a", arrow::utf8())}), 1,
      {arrow::json::ArrayFromJSONString(arrow::utf8(), R"(["x"])").ValueOrDie()});
  ASSERT_TRUE(Upload1(*service_, To("t"), {Ints({1})}).ok());
  EXPECT_EQ(CodeOf(Upload1(*service_, To("t"), {text}).status()),
            ErrorCode::kSchemaMismatch);
  auto skipped = Upload1(*service_, To("t", {{"on_mismatch", "skip"}}), {text});
  ASSERT_TRUE(skipped.ok()) << skipped.status().ToString();
  EXPECT_EQ(skipped->rows, 0);
  EXPECT_FALSE(skipped->warning.empty());
  EXPECT_EQ(Number("SELECT count(*) FROM " + In("t")), 1);
  Client client;
  ASSERT_TRUE(client.Open(*service_, To("aborted")).ok());
  ASSERT_TRUE(client.session->Start(Ints({1})->schema()).ok());
  ASSERT_TRUE(client.Push(Range(0, 300000)).ok());
  client.session->Abort();
  client.session.reset();
  ASSERT_TRUE(service_->Flush().ok());
  if (Exists("aborted")) EXPECT_EQ(Number("SELECT count(*) FROM " + In("aborted")), 0);
}

TEST_P(IngestBackends, TwoCreateTheSameTableAtOnce) {
  std::vector<Client> clients(8);
  for (size_t i = 0; i < clients.size(); ++i) {
    ASSERT_TRUE(
        clients[i].Open(*service_, To("t", {{"schema_mode", "strict"}})).ok());
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
  EXPECT_EQ(Number("SELECT count(*) FROM " + In("t")), landed);
}

TEST_P(IngestBackends, OfTwoTypesForANewColumnOneWinsAndTheOtherIsFitted) {
  auto narrow = arrow::RecordBatch::Make(
      arrow::schema({arrow::field("a", arrow::int32())}), 1,
      {arrow::json::ArrayFromJSONString(arrow::int32(), "[5]").ValueOrDie()});
  std::vector<Client> clients(8);
  for (size_t i = 0; i < clients.size(); ++i) {
    ASSERT_TRUE(clients[i].Open(*service_, To("t")).ok());
    auto batch = i % 2 ? Ints({6}) : narrow;
    ASSERT_TRUE(clients[i].session->Start(batch->schema()).ok());
    ASSERT_TRUE(clients[i].Push(batch).ok());
  }
  for (auto& client : clients) client.session->Finish();
  for (auto& client : clients) {
    auto receipt = client.observer->Wait();
    EXPECT_TRUE(receipt.ok()) << receipt.status().ToString();
  }
  EXPECT_EQ(Number("SELECT sum(a) FROM " + In("t")), 44);
}

INSTANTIATE_TEST_SUITE_P(Backends, IngestBackends, testing::Values(kDuckDb, kDelta),
                         [](const auto& info) { return std::string(info.param.backend); });

}  // namespace
}  // namespace arrowport::ingest
