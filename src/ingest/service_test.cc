#include "ingest/service.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <thread>

#include "ingest/service_fixture.h"

namespace arrowport::ingest {
namespace {

class ServiceTest : public testing::Test {
 protected:
  void SetUp() override { Restart(); }
  void Restart() {
    service_.reset();
    ServiceOptions options;
    options.sinks["duckdb"] = sink_;
    options.streams = streams_;
    options.limits = limits_;
    options.budget = budget_;
    auto made = LandingService::Make(std::move(options));
    ASSERT_TRUE(made.ok()) << made.status().ToString();
    service_ = *std::move(made);
  }
  static Request To(std::string stream) {
    Request request;
    request.stream = std::move(stream);
    request.protocol = "rest";
    return request;
  }
  static Request Keyed(std::string key) {
    Request request = To("t");
    request.idempotency_key = std::move(key);
    return request;
  }
  static Request Sequenced(int64_t sequence, CommitMode commit = CommitMode::kStream) {
    Request request = To("t");
    request.producer = "p";
    request.sequence = sequence;
    request.commit = commit;
    return request;
  }
  static Request BatchMode() {
    Request request = To("t");
    request.commit = CommitMode::kBatch;
    return request;
  }
  static void ExpectCode(const arrow::Status& status, ErrorCode code) {
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(CodeOf(status), code) << status.ToString();
  }
  arrow::Status OpenStatus(Request request) {
    return service_->Open(std::move(request), std::make_shared<WaitingObserver>())
        .status();
  }

  std::shared_ptr<FakeSink> sink_ = std::make_shared<FakeSink>();
  std::map<std::string, SettingTexts> streams_;
  Limits limits_;
  std::shared_ptr<ByteBudget> budget_;
  std::unique_ptr<LandingService> service_;
};

TEST_F(ServiceTest, SmallUploadLandsAndCreatesItsTable) {
  auto receipt = Upload1(*service_, To("t"), {Ints({1, 2}), Ints({3})});
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_EQ(receipt->rows, 3);
  EXPECT_EQ(receipt->batches, 2);
  EXPECT_EQ(receipt->bytes, 24);
  EXPECT_EQ(receipt->table, "t");
  EXPECT_EQ(receipt->backend, "duckdb");
  EXPECT_EQ(receipt->durability, "memory");
  EXPECT_EQ(receipt->version, "duckdb:1");
  EXPECT_FALSE(receipt->idempotent_replay);
  EXPECT_EQ(sink_->Rows("t"), (std::vector<int64_t>{1, 2, 3}));
  auto streams = service_->Streams();
  ASSERT_EQ(streams.size(), 1u);
  EXPECT_EQ(streams[0].rows, 3);
  EXPECT_GT(streams[0].last_ingest_us, 0);
}

TEST_F(ServiceTest, OpenRefusesWhatCannotWork) {
  ExpectCode(OpenStatus(To("a/b")), ErrorCode::kInvalidName);
  ExpectCode(OpenStatus(To("delta.t")), ErrorCode::kInvalidName);
  Request request = To("t");
  request.overrides = {{"shema_mode", "strict"}};
  ExpectCode(OpenStatus(request), ErrorCode::kBadConfig);
  request.overrides = {{"storage_backend", "delta"}};
  ExpectCode(OpenStatus(request), ErrorCode::kNotBuilt);
  request.overrides = {{"on_mismatch", "quarantine"}};
  ExpectCode(OpenStatus(request), ErrorCode::kNotBuilt);
  request.overrides = {{"target_table", "x\x01y"}};
  ExpectCode(OpenStatus(request), ErrorCode::kInvalidName);
  request = BatchMode();
  request.overrides = {{"mode", "overwrite"}};
  ExpectCode(OpenStatus(request), ErrorCode::kInvalidArgument);
  request = BatchMode();
  request.idempotency_key = "k";
  ExpectCode(OpenStatus(request), ErrorCode::kInvalidArgument);
  request = Keyed("k");
  request.producer = "p";
  request.sequence = 1;
  ExpectCode(OpenStatus(request), ErrorCode::kInvalidArgument);
  request = To("t");
  request.producer = "p";
  ExpectCode(OpenStatus(request), ErrorCode::kInvalidArgument);
  ExpectCode(OpenStatus(Keyed(std::string(256, 'k'))), ErrorCode::kInvalidArgument);
  service_->Stop(std::chrono::seconds(1));
  ExpectCode(OpenStatus(To("t")), ErrorCode::kDraining);
}

TEST_F(ServiceTest, HostileSchemasAndBatchesMakeNoTable) {
  Client client;
  ASSERT_TRUE(client.Open(*service_, To("t")).ok());
  ExpectCode(client.session->Start(Ints({1}, {"a", "A"})->schema()),
             ErrorCode::kInvalidName);
  Client lying;
  ASSERT_TRUE(lying.Open(*service_, To("t")).ok());
  ASSERT_TRUE(lying.session->Start(Ints({1})->schema()).ok());
  ExpectCode(lying.session->Push(Ints({1}, {"b"})).status(), ErrorCode::kBadData);
  Client corrupt;
  ASSERT_TRUE(corrupt.Open(*service_, To("t")).ok());
  auto text = arrow::schema({arrow::field("s", arrow::utf8())});
  ASSERT_TRUE(corrupt.session->Start(text).ok());
  const std::vector<int32_t> offsets = {0, 1000};
  auto data = arrow::ArrayData::Make(
      arrow::utf8(), 1,
      {nullptr, arrow::Buffer::Wrap(offsets), arrow::Buffer::FromString("abc")});
  auto batch = arrow::RecordBatch::Make(text, 1, {arrow::MakeArray(data)});
  ExpectCode(corrupt.session->Push(batch).status(), ErrorCode::kBadData);
  Client unsupported;
  ASSERT_TRUE(unsupported.Open(*service_, To("t")).ok());
  auto union_schema = arrow::schema(
      {arrow::field("u", arrow::dense_union({arrow::field("x", arrow::int8())}, {0}))});
  ExpectCode(unsupported.session->Start(union_schema), ErrorCode::kUnsupportedType);
  EXPECT_FALSE(sink_->Exists("t"));
}

TEST_F(ServiceTest, AbortAndDestructionLeaveNothing) {
  for (bool destroy : {false, true}) {
    Client client;
    ASSERT_TRUE(client.Open(*service_, To("t")).ok());
    auto batch = Range(0, 200000);
    ASSERT_TRUE(client.session->Start(batch->schema()).ok());
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(client.Push(batch).ok());
    if (destroy) {
      client.session.reset();
    } else {
      client.session->Abort();
    }
    EXPECT_FALSE(client.observer->done());
  }
  service_->Stop(std::chrono::seconds(10));
  EXPECT_EQ(sink_->open_bulks(), 0);
  EXPECT_TRUE(sink_->Rows("t").empty());
}

TEST_F(ServiceTest, LargeUploadIsAppendedInRowGroups) {
  Client client;
  ASSERT_TRUE(client.Open(*service_, To("t")).ok());
  ASSERT_TRUE(client.session->Start(Ints({1})->schema()).ok());
  std::vector<int64_t> expected(1000000);
  std::iota(expected.begin(), expected.end(), 0);
  for (int64_t at = 0; at < 1000000; at += 10000) {
    ASSERT_TRUE(client.Push(Range(at, 10000)).ok());
  }
  auto receipt = client.Finish();
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_EQ(receipt->rows, 1000000);
  EXPECT_EQ(sink_->Rows("t"), expected);
  auto appends = sink_->append_rows();
  for (size_t i = 0; i + 1 < appends.size(); ++i) EXPECT_EQ(appends[i], 122880);
  EXPECT_TRUE(sink_->groups().empty());
  EXPECT_EQ(sink_->open_bulks(), 0);
}

TEST_F(ServiceTest, SlowStorageHoldsTheSender) {
  Client client;
  ASSERT_TRUE(client.Open(*service_, To("t")).ok());
  auto batch = Range(0, 122880);
  ASSERT_TRUE(client.session->Start(batch->schema()).ok());
  sink_->Hold();
  int pushed = 0;
  Flow flow = Flow::kContinue;
  while (flow == Flow::kContinue && pushed < 100) {
    flow = client.session->Push(batch).ValueOrDie();
    ++pushed;
  }
  EXPECT_LE(pushed, 8);
  EXPECT_EQ(flow, Flow::kPause);
  sink_->Release();
  EXPECT_TRUE(client.observer->WaitForReady(1));
  EXPECT_TRUE(client.Finish().ok());
  EXPECT_EQ(sink_->Rows("t").size(), static_cast<size_t>(pushed) * 122880);
}

TEST_F(ServiceTest, WhatArrivesDuringACommitSharesTheNext) {
  ASSERT_TRUE(Upload1(*service_, To("t"), {Ints({0})}).ok());
  sink_->Hold();
  std::vector<Client> clients(20);
  for (size_t i = 0; i < clients.size(); ++i) {
    ASSERT_TRUE(clients[i].Open(*service_, To("t")).ok());
    ASSERT_TRUE(clients[i].session->Start(Ints({1})->schema()).ok());
    // One of them breaks a constraint; only that one may fail.
    ASSERT_TRUE(clients[i].Push(Ints({i == 7 ? -1 : static_cast<int64_t>(i)})).ok());
    clients[i].session->Finish();
    if (i == 0) {
      ASSERT_TRUE(sink_->WaitForBlocked(1));
    }
  }
  sink_->Release();
  for (size_t i = 0; i < clients.size(); ++i) {
    EXPECT_EQ(clients[i].observer->Wait().ok(), i != 7);
  }
  EXPECT_EQ(sink_->groups(), (std::vector<size_t>{1, 1, 19}));
  EXPECT_EQ(sink_->Rows("t").size(), 20u);
}

TEST_F(ServiceTest, KeyReplaysRefusesOtherContentAndSurvivesRestart) {
  auto first = Upload1(*service_, Keyed("k"), {Ints({1, 2, 3})});
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  for (bool restart : {false, true}) {
    if (restart) Restart();
    auto again = Upload1(*service_, Keyed("k"), {Ints({1}), Ints({2, 3})});
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_TRUE(again->idempotent_replay);
    EXPECT_EQ(again->rows, 3);
    EXPECT_EQ(again->version, first->version);
    ExpectCode(Upload1(*service_, Keyed("k"), {Ints({1, 2, 4})}).status(),
               ErrorCode::kKeyReused);
  }
  EXPECT_EQ(sink_->Rows("t").size(), 3u);
  Request other_table = Keyed("k");
  other_table.stream = "u";
  EXPECT_FALSE(Upload1(*service_, other_table, {Ints({1})})->idempotent_replay);
}

TEST_F(ServiceTest, RepeatIsAnsweredThoughTheTableHasChanged) {
  ASSERT_TRUE(Upload1(*service_, Keyed("k"), {Ints({1})}).ok());
  sink_->Alter({"main", "t"},
               [](sink::Table* table) { table->columns[0].type = arrow::utf8(); });
  auto again = Upload1(*service_, Keyed("k"), {Ints({1})});
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_TRUE(again->idempotent_replay);
}

TEST_F(ServiceTest, LargeRepeatWritesNothing) {
  auto batch = Range(0, 200000);
  ASSERT_TRUE(Upload1(*service_, Keyed("k"), {batch, batch}).ok());
  auto again =
      Upload1(*service_, Keyed("k"), {batch->Slice(0, 5), batch->Slice(5), batch});
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_TRUE(again->idempotent_replay);
  EXPECT_EQ(sink_->Rows("t").size(), 400000u);
}

TEST_F(ServiceTest, SameKeyTwiceAtOnceWaitsForTheFirst) {
  ASSERT_TRUE(Upload1(*service_, To("t"), {Ints({0})}).ok());
  for (bool first_fails : {false, true}) {
    const std::string key = first_fails ? "f" : "k";
    sink_->Hold();
    Client first, second;
    for (Client* client : {&first, &second}) {
      ASSERT_TRUE(client->Open(*service_, Keyed(key)).ok());
      ASSERT_TRUE(client->session->Start(Ints({1})->schema()).ok());
      ASSERT_TRUE(client->Push(Ints({5})).ok());
    }
    first.session->Finish();
    ASSERT_TRUE(sink_->WaitForBlocked(1));
    second.session->Finish();
    EXPECT_FALSE(second.observer->done());
    if (first_fails) sink_->FailNext(Error(ErrorCode::kNoSpace, "full"));
    sink_->Release();
    EXPECT_EQ(first.observer->Wait().ok(), !first_fails);
    auto receipt = second.observer->Wait();
    ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
    EXPECT_EQ(receipt->idempotent_replay, !first_fails);
  }
  EXPECT_EQ(sink_->Rows("t").size(), 3u);
}

TEST_F(ServiceTest, SequencesAreGapless) {
  ASSERT_TRUE(Upload1(*service_, Sequenced(0), {Ints({0})}).ok());
  ASSERT_TRUE(Upload1(*service_, Sequenced(1), {Ints({1})}).ok());
  ExpectCode(Upload1(*service_, Sequenced(3), {Ints({3})}).status(),
             ErrorCode::kSequenceGap);
  auto again = Upload1(*service_, Sequenced(1), {Ints({1})});
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->idempotent_replay);
  // A refused request does not advance it.
  ExpectCode(Upload1(*service_, Sequenced(2), {Ints({-1})}).status(),
             ErrorCode::kConstraintViolation);
  Restart();
  Client client;
  ASSERT_TRUE(client.Open(*service_, Sequenced(2)).ok());
  ASSERT_TRUE(client.session->Start(Ints({2})->schema()).ok());
  EXPECT_EQ(client.session->producer_last_sequence(), 1);
  ASSERT_TRUE(client.Push(Ints({2})).ok());
  ASSERT_TRUE(client.Finish().ok());
  EXPECT_EQ(sink_->Rows("t"), (std::vector<int64_t>{0, 1, 2}));
}

TEST_F(ServiceTest, SequencesAtOnceAreAppliedInOrder) {
  ASSERT_TRUE(Upload1(*service_, Sequenced(0), {Ints({0})}).ok());
  sink_->Hold();
  std::vector<Client> clients(4);
  for (size_t i = 0; i < clients.size(); ++i) {
    ASSERT_TRUE(clients[i].Open(*service_, Sequenced(static_cast<int64_t>(i) + 1)).ok());
    ASSERT_TRUE(clients[i].session->Start(Ints({1})->schema()).ok());
    ASSERT_TRUE(clients[i].Push(Ints({static_cast<int64_t>(i) + 1})).ok());
    clients[i].session->Finish();
    if (i == 0) {
      ASSERT_TRUE(sink_->WaitForBlocked(1));
    }
  }
  sink_->Release();
  for (auto& client : clients) {
    auto receipt = client.observer->Wait();
    EXPECT_TRUE(receipt.ok()) << receipt.status().ToString();
  }
  EXPECT_EQ(sink_->Rows("t"), (std::vector<int64_t>{0, 1, 2, 3, 4}));
}

TEST_F(ServiceTest, MismatchIsRejectedOrSkipped) {
  ASSERT_TRUE(Upload1(*service_, To("t"), {Ints({0})}).ok());
  auto wide = Ints({1}, {"a", "b"});
  ExpectCode(Upload1(*service_, To("t"), {wide}).status(), ErrorCode::kSchemaMismatch);
  Request skip = Sequenced(0);
  skip.overrides = {{"on_mismatch", "skip"}};
  auto skipped = Upload1(*service_, skip, {wide});
  ASSERT_TRUE(skipped.ok()) << skipped.status().ToString();
  EXPECT_EQ(skipped->rows, 0);
  EXPECT_NE(skipped->warning.find("\"b\""), std::string::npos);
  // The sequence went on.
  EXPECT_TRUE(Upload1(*service_, Sequenced(1), {Ints({1})}).ok());
  Request merge = To("t");
  merge.overrides = {{"schema_mode", "merge"}};
  ASSERT_TRUE(Upload1(*service_, merge, {wide}).ok());
  EXPECT_TRUE(Upload1(*service_, To("t"), {wide}).ok());
  EXPECT_EQ(sink_->Rows("t").size(), 4u);
}

TEST_F(ServiceTest, ValueThatDoesNotFitLateInALargeUpload) {
  ASSERT_TRUE(Upload1(*service_, To("t"), {Ints({0})}).ok());
  sink_->Alter({"main", "t"},
               [](sink::Table* table) { table->columns[0].type = arrow::int32(); });
  for (const std::string policy : {"reject", "skip"}) {
    Client client;
    Request request = To("t");
    request.overrides = {{"on_mismatch", policy}};
    ASSERT_TRUE(client.Open(*service_, request).ok());
    ASSERT_TRUE(client.session->Start(Ints({1})->schema()).ok());
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(client.Push(Range(0, 122880)).ok());
    auto bad = client.session->Push(Ints({int64_t{1} << 40}));
    if (policy == "reject") {
      ExpectCode(bad.status(), ErrorCode::kSchemaMismatch);
      EXPECT_NE(bad.status().message().find("row 491520"), std::string::npos)
          << bad.status().message();
      continue;
    }
    ASSERT_TRUE(bad.ok());
    ASSERT_TRUE(client.Push(Range(0, 122880)).ok());
    auto receipt = client.Finish();
    ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
    EXPECT_EQ(receipt->rows, 0);
  }
  service_->Stop(std::chrono::seconds(10));
  EXPECT_EQ(sink_->Rows("t").size(), 1u);
  EXPECT_EQ(sink_->open_bulks(), 0);
}

TEST_F(ServiceTest, AlteredTableIsPlannedAgainOnce) {
  ASSERT_TRUE(Upload1(*service_, To("t"), {Ints({0})}).ok());
  for (int64_t rows : {1, 300000}) {
    Client client;
    ASSERT_TRUE(client.Open(*service_, To("t")).ok());
    ASSERT_TRUE(client.session->Start(Ints({1})->schema()).ok());
    sink_->Alter({"main", "t"}, [&](sink::Table* table) {
      table->columns[0].type = rows == 1 ? arrow::int32() : arrow::int64();
    });
    ASSERT_TRUE(client.Push(Range(0, rows)).ok());
    auto receipt = client.Finish();
    EXPECT_TRUE(receipt.ok()) << receipt.status().ToString();
  }
  EXPECT_EQ(sink_->Rows("t").size(), 300002u);
  sink_->FailNext(Error(ErrorCode::kCommitConflict, "again"), 20);
  ExpectCode(Upload1(*service_, To("t"), {Ints({1})}).status(),
             ErrorCode::kCommitConflict);
}

TEST_F(ServiceTest, OverwriteReplacesTheRows) {
  ASSERT_TRUE(Upload1(*service_, To("t"), {Ints({1, 2, 3})}).ok());
  Request request = To("t");
  request.overrides = {{"mode", "overwrite"}};
  ASSERT_TRUE(Upload1(*service_, request, {Ints({9})}).ok());
  EXPECT_EQ(sink_->Rows("t"), (std::vector<int64_t>{9}));
}

TEST_F(ServiceTest, EmptyUploadMakesTheTable) {
  auto receipt = Upload1(*service_, To("t"), {Ints({})});
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_EQ(receipt->rows, 0);
  EXPECT_EQ(receipt->version, "");
  EXPECT_TRUE(sink_->Exists("t"));
  ASSERT_TRUE(Upload1(*service_, Keyed("k"), {Ints({})}).ok());
  EXPECT_TRUE(Upload1(*service_, Keyed("k"), {Ints({})})->idempotent_replay);
}

TEST_F(ServiceTest, BatchModeAcknowledgesCumulatively) {
  Client client;
  ASSERT_TRUE(client.Open(*service_, BatchMode()).ok());
  ASSERT_TRUE(client.session->Start(Ints({1})->schema()).ok());
  ASSERT_TRUE(client.Push(Ints({1})).ok());
  ASSERT_TRUE(client.observer->WaitForAck(0));
  sink_->Hold();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(client.Push(Ints({i})).ok());
  sink_->Release();
  ASSERT_TRUE(client.observer->WaitForAck(10));
  EXPECT_EQ(client.observer->last_ack().records, 11);
  EXPECT_LE(client.observer->acks(), 4);
  auto receipt = client.Finish();
  ASSERT_TRUE(receipt.ok());
  EXPECT_EQ(receipt->rows, 11);
  EXPECT_EQ(receipt->batches, 11);
}

TEST_F(ServiceTest, BatchModeStopsAtTheBadMessage) {
  // Found by the sink, in the middle of a unit.
  Client client;
  ASSERT_TRUE(client.Open(*service_, BatchMode()).ok());
  ASSERT_TRUE(client.session->Start(Ints({1})->schema()).ok());
  sink_->Hold();
  for (int64_t value : {0, 1, 2, -1, 4, 5}) (void)client.Push(Ints({value}));
  sink_->Release();
  client.session->Finish();
  auto status = client.observer->Wait().status();
  ExpectCode(status, ErrorCode::kConstraintViolation);
  EXPECT_NE(status.message().find("offset 3"), std::string::npos) << status.message();
  EXPECT_EQ(client.observer->last_ack().offset, 2);
  EXPECT_EQ(sink_->Rows("t"), (std::vector<int64_t>{0, 1, 2}));
  // Found before it was queued.
  Client early;
  ASSERT_TRUE(early.Open(*service_, BatchMode()).ok());
  ASSERT_TRUE(early.session->Start(Ints({1})->schema()).ok());
  ASSERT_TRUE(early.Push(Ints({7})).ok());
  status = early.session->Push(Ints({1}, {"other"})).status();
  ExpectCode(status, ErrorCode::kBadData);
  EXPECT_NE(status.message().find("offset 1"), std::string::npos);
  ExpectCode(early.observer->Wait().status(), ErrorCode::kBadData);
  EXPECT_EQ(early.observer->last_ack().offset, 0);
}

TEST_F(ServiceTest, BatchModeSequencesGoOnAfterAReconnect) {
  {
    Client client;
    ASSERT_TRUE(client.Open(*service_, Sequenced(1, CommitMode::kBatch)).ok());
    ASSERT_TRUE(client.session->Start(Ints({1})->schema()).ok());
    for (int64_t i = 1; i <= 5; ++i) ASSERT_TRUE(client.Push(Ints({i})).ok());
    ASSERT_TRUE(client.observer->WaitForAck(4));
  }
  Restart();
  Client client;
  ASSERT_TRUE(client.Open(*service_, Sequenced(4, CommitMode::kBatch)).ok());
  ASSERT_TRUE(client.session->Start(Ints({1})->schema()).ok());
  EXPECT_EQ(client.session->producer_last_sequence(), 5);
  for (int64_t i = 4; i <= 8; ++i) ASSERT_TRUE(client.Push(Ints({i})).ok());
  auto receipt = client.Finish();
  ASSERT_TRUE(receipt.ok()) << receipt.status().ToString();
  EXPECT_EQ(client.observer->last_ack().offset, 4);
  EXPECT_EQ(sink_->Rows("t"), (std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7, 8}));
  Client gap;
  ASSERT_TRUE(gap.Open(*service_, Sequenced(10, CommitMode::kBatch)).ok());
  ASSERT_TRUE(gap.session->Start(Ints({1})->schema()).ok());
  ASSERT_TRUE(gap.Push(Ints({10})).ok());
  ExpectCode(gap.Finish().status(), ErrorCode::kSequenceGap);
}

TEST_F(ServiceTest, PressureSpillsWhatWaits) {
  budget_ = std::make_shared<ByteBudget>(1 << 20);
  Restart();
  Client idle, busy;
  for (Client* client : {&idle, &busy}) {
    ASSERT_TRUE(client->Open(*service_, To("t")).ok());
    ASSERT_TRUE(client->session->Start(Ints({1})->schema()).ok());
  }
  ASSERT_TRUE(idle.Push(Range(0, 1000)).ok());
  budget_->Charge(2 << 20);
  ASSERT_TRUE(busy.Push(Range(0, 10)).ok());
  const auto deadline = std::chrono::steady_clock::now() + kDeadline;
  while (sink_->append_rows().size() < 2 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_EQ(sink_->append_rows().size(), 2u);
  EXPECT_TRUE(idle.Finish().ok());
  EXPECT_TRUE(busy.Finish().ok());
  budget_->Release(2 << 20);
}

TEST_F(ServiceTest, FlushWaitsForWhatWasFinishedBefore) {
  ASSERT_TRUE(Upload1(*service_, To("t"), {Ints({0})}).ok());
  sink_->Hold();
  Client client;
  ASSERT_TRUE(client.Open(*service_, To("t")).ok());
  ASSERT_TRUE(client.session->Start(Ints({1})->schema()).ok());
  ASSERT_TRUE(client.Push(Ints({1})).ok());
  client.session->Finish();
  ASSERT_TRUE(sink_->WaitForBlocked(1));
  std::atomic<bool> flushed{false};
  std::thread flush([&] {
    EXPECT_TRUE(service_->Flush().ok());
    flushed = true;
    EXPECT_EQ(sink_->Rows("t").size(), 2u);
  });
  EXPECT_FALSE(flushed);
  sink_->Release();
  flush.join();
}

/// Many uploads at once, of every kind, with failures and aborts: what was acknowledged
/// is there exactly once, the rest not at all.
TEST_F(ServiceTest, RandomSchedules) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mutex mutex;
  std::map<int64_t, int> acknowledged, aborted;
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(seed + t);
      for (int i = 0; i < 40; ++i) {
        const int64_t id = t * 1000 + i;
        Request request = To("t");
        if (random() % 2) request.idempotency_key = "key" + std::to_string(id % 7);
        const int64_t value = request.idempotency_key.empty() ? id : 100000 + id % 7;
        const int64_t rows = random() % 8 == 0 ? 130000 : 1 + random() % 50;
        const std::vector<int64_t> values(request.idempotency_key.empty() ? rows : 3,
                                          value);
        Client client;
        if (!client.Open(*service_, request).ok()) continue;
        if (!client.session->Start(Ints({1})->schema()).ok()) continue;
        if (!client.Push(Ints(values)).ok()) continue;
        if (random() % 5 == 0) {
          if (random() % 2) client.session->Finish();
          client.session->Abort();
          std::lock_guard lock(mutex);
          aborted[value] += static_cast<int>(values.size());
          continue;
        }
        if (random() % 10 == 0) sink_->FailNext(Error(ErrorCode::kNoSpace, "full"));
        auto receipt = client.Finish();
        if (receipt.ok() && !receipt->idempotent_replay) {
          std::lock_guard lock(mutex);
          acknowledged[value] += static_cast<int>(values.size());
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  service_->Stop(std::chrono::seconds(10));
  std::map<int64_t, int> stored;
  for (int64_t value : sink_->Rows("t")) ++stored[value];
  for (const auto& [value, count] : acknowledged) {
    if (aborted.contains(value)) {
      EXPECT_GE(stored[value], count) << value;
    } else {
      EXPECT_EQ(stored[value], count) << value;
    }
  }
  for (const auto& [value, count] : stored) {
    if (value >= 100000) {
      EXPECT_EQ(count, 3) << value;
    }
    if (count > 0 && !acknowledged.contains(value)) {
      EXPECT_TRUE(aborted.contains(value)) << value;
    }
  }
  EXPECT_EQ(sink_->open_bulks(), 0);
}

}  // namespace
}  // namespace arrowport::ingest
