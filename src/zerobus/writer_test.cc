#include "arrowport/zerobus/writer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "zerobus/failure.h"
#include "zerobus/testing_service.h"

namespace arrowport::zerobus {
namespace {

using testing::FakeService;
using testing::Ids;
using testing::MakeWriter;
using testing::OptionsFor;
using testing::Received;
using testing::Sequence;
using testing::ServerCall;
using Action = FakeService::Action;

class WriterModes : public ::testing::TestWithParam<Mode> {};

TEST_P(WriterModes, RowsArriveOnceAndInOrder) {
  FakeService service;
  auto writer = MakeWriter(OptionsFor(service, GetParam()));
  for (int64_t i = 0; i < 5; ++i) {
    auto result = writer->SendBatch(Ids(i * 1000, 1000));
    ASSERT_TRUE(result.success()) << result.error();
    EXPECT_EQ(result.total_rows(), 1000);
    EXPECT_EQ(result.successful_count(), 1000);
    EXPECT_EQ(result.attempts(), 1);
    EXPECT_EQ(result.batch_size_bytes(), 8000);
    EXPECT_GT(result.latency_ms(), 0);
  }
  auto single = writer->SendBatch(Ids(5000, 1));
  ASSERT_TRUE(single.success()) << single.error();
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(service.logged_ids(), Sequence(0, 5001));
  EXPECT_EQ(service.connections(), 1);
  EXPECT_EQ(service.half_closes(), 1);
  EXPECT_TRUE(service.violations().empty()) << service.violations().front();
  auto statistics = writer->statistics();
  EXPECT_EQ(statistics.rows_durable, 5001);
  EXPECT_EQ(statistics.batches_sent, 6);
  EXPECT_EQ(statistics.requests_sent, 6);
  EXPECT_EQ(statistics.in_flight_requests, 0);
}

TEST_P(WriterModes, EmptyBatchIsASuccessAndSendsNothing) {
  FakeService service;
  auto writer = MakeWriter(OptionsFor(service, GetParam()));
  auto result = writer->SendBatch(Ids(0, 0));
  EXPECT_TRUE(result.success());
  EXPECT_EQ(result.total_rows(), 0);
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(service.connections(), 0);
}

TEST_P(WriterModes, LargeBatchIsCutIntoRequestsUnderTheLimit) {
  FakeService service;
  Options options = OptionsFor(service, GetParam());
  options.stream.max_request_bytes = 100'000;
  options.stream.ipc_compression = IpcCompression::kNone;
  auto writer = MakeWriter(options);
  const int64_t rows = 1'000'000;
  auto result = writer->SendBatch(Ids(0, rows));
  ASSERT_TRUE(result.success()) << result.error();
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(service.logged_ids(), Sequence(0, rows));
  EXPECT_GE(service.log().size(), 4U);
  EXPECT_TRUE(service.violations().empty()) << service.violations().front();
}

TEST_P(WriterModes, ParallelSendersKeepEveryRow) {
  FakeService service;
  auto writer = MakeWriter(OptionsFor(service, GetParam()));
  std::vector<std::thread> senders;
  std::atomic<int> failures{0};
  for (int64_t sender = 0; sender < 8; ++sender) {
    senders.emplace_back([&, sender] {
      for (int64_t i = 0; i < 20; ++i) {
        if (!writer->SendBatch(Ids((sender * 20 + i) * 100, 100)).success()) ++failures;
      }
    });
  }
  for (auto& sender : senders) sender.join();
  EXPECT_EQ(failures, 0);
  EXPECT_TRUE(writer->Shutdown().ok());
  auto ids = service.logged_ids();
  EXPECT_EQ(ids.size(), 16'000U);
  EXPECT_EQ(std::set<int64_t>(ids.begin(), ids.end()).size(), 16'000U);
  EXPECT_TRUE(service.violations().empty());
}

INSTANTIATE_TEST_SUITE_P(All, WriterModes,
                         ::testing::Values(Mode::kProto, Mode::kJson, Mode::kFlight),
                         [](const auto& info) {
                           return info.param == Mode::kProto  ? "Proto"
                                  : info.param == Mode::kJson ? "Json"
                                                              : "Flight";
                         });

struct EventCounter final : WriterObserver {
  void OnBatch(const arrow::RecordBatch&) override { ++batches; }
  void OnEncoded(std::string_view, int64_t rows) override { encoded_rows += rows; }
  void OnDescriptor(std::string_view) override { ++descriptors; }
  void OnRequestSent(const RequestEvent&, bool) override { ++sent; }
  void OnRequestAcked(const RequestEvent& event, std::chrono::nanoseconds) override {
    acked_rows += event.rows;
  }
  void OnConnected(std::string_view, std::chrono::nanoseconds) override { ++connected; }
  std::atomic<int64_t> batches{0}, encoded_rows{0}, descriptors{0}, sent{0},
      acked_rows{0}, connected{0};
};

TEST(Writer, DisabledConvertsAndSendsNothing) {
  Options options("http://127.0.0.1:1", "t");
  options.writer_disabled = true;
  auto events = std::make_shared<EventCounter>();
  options.observers = {events};
  auto writer = MakeWriter(options);
  auto result = writer->SendBatch(Ids(0, 100));
  EXPECT_TRUE(result.success()) << result.error();
  EXPECT_EQ(events->encoded_rows, 100);
  EXPECT_EQ(events->batches, 1);
  EXPECT_TRUE(writer->Shutdown().ok());
}

TEST(Writer, ObserversSeeTheWay) {
  FakeService service;
  Options options = OptionsFor(service);
  auto events = std::make_shared<EventCounter>();
  options.observers = {events};
  auto writer = MakeWriter(options);
  EXPECT_TRUE(writer->SendBatch(Ids(0, 100)).success());
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(events->descriptors, 1);
  EXPECT_EQ(events->connected, 1);
  EXPECT_EQ(events->sent, 1);
  EXPECT_EQ(events->acked_rows, 100);
}

// Rows that cannot be converted fail alone; the others are durable.
TEST(Writer, ConversionFailuresStopNoOtherRow) {
  FakeService service;
  Options options = OptionsFor(service);
  options.stream.max_request_bytes = 1024;
  auto writer = MakeWriter(options);
  arrow::StringBuilder texts;
  arrow::Int64Builder ids;
  for (int64_t i = 0; i < 1000; ++i) {
    ASSERT_TRUE(ids.Append(i).ok());
    const bool bad = i == 5 || i == 6 || i == 999;
    ASSERT_TRUE(texts
                    .Append(bad        ? std::string("\xff\xfe")
                            : i == 500 ? std::string(5000, 'x')
                                       : "ok")
                    .ok());
  }
  auto batch = arrow::RecordBatch::Make(
      arrow::schema({arrow::field("id", arrow::int64(), false),
                     arrow::field("text", arrow::utf8())}),
      1000, {ids.Finish().ValueOrDie(), texts.Finish().ValueOrDie()});
  auto result = writer->SendBatch(batch);
  EXPECT_TRUE(result.error().ok());
  EXPECT_EQ(result.GetFailedRowIndices(), (std::vector<int64_t>{5, 6, 500, 999}));
  EXPECT_EQ(result.attempts(), 1);
  EXPECT_TRUE(result.IsPartialSuccess());
  EXPECT_EQ(result.GroupErrorsByType().at(ErrorKind::kConversion).size(), 4U);
  EXPECT_EQ(result.ExtractFailedBatch(batch).ValueOrDie()->num_rows(), 4);
  EXPECT_EQ(result.ExtractSuccessfulBatch(batch).ValueOrDie()->num_rows(), 996);
  EXPECT_EQ(service.logged_ids(), [&] {
    std::vector<int64_t> expected;
    for (int64_t row : result.successful_rows()) expected.push_back(row);
    return expected;
  }());
  EXPECT_TRUE(writer->Shutdown().ok());
}

// Trap 13: another schema is another stream, or is refused.
// A batch of many parts, which several threads convert: order and row numbers stay.
TEST(Writer, ConversionFailuresOfALargeBatchKeepTheirRowNumbers) {
  FakeService service;
  auto writer = MakeWriter(OptionsFor(service));
  constexpr int64_t kRows = 60'000;
  arrow::StringBuilder texts;
  arrow::Int64Builder ids;
  std::vector<int64_t> bad_rows;
  std::vector<int64_t> good_rows;
  for (int64_t i = 0; i < kRows; ++i) {
    ASSERT_TRUE(ids.Append(i).ok());
    const bool bad = i % 1913 == 3 || i == kRows - 1;
    (bad ? bad_rows : good_rows).push_back(i);
    ASSERT_TRUE(texts.Append(bad ? "\xff" : std::string(60, 'x')).ok());
  }
  auto batch = arrow::RecordBatch::Make(
      arrow::schema({arrow::field("id", arrow::int64(), false),
                     arrow::field("text", arrow::utf8())}),
      kRows, {ids.Finish().ValueOrDie(), texts.Finish().ValueOrDie()});
  for (int round = 0; round < 3; ++round) {
    auto result = writer->SendBatch(batch);
    EXPECT_TRUE(result.error().ok()) << result.error();
    EXPECT_EQ(result.GetFailedRowIndices(), bad_rows);
  }
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_GE(service.log().size(), 12U) << "a batch was one part";
  std::vector<int64_t> expected;
  for (int round = 0; round < 3; ++round) {
    expected.insert(expected.end(), good_rows.begin(), good_rows.end());
  }
  EXPECT_EQ(service.logged_ids(), expected);
  EXPECT_TRUE(service.violations().empty()) << service.violations().front();
}

TEST(Writer, ChangedSchemaOpensAnotherStreamOrIsRefused) {
  auto wide =
      arrow::RecordBatch::Make(arrow::schema({arrow::field("id", arrow::int64(), false),
                                              arrow::field("more", arrow::int64())}),
                               1, {Ids(7, 1)->column(0), Ids(8, 1)->column(0)});
  for (auto policy : {SchemaChange::kNewStream, SchemaChange::kRefuse}) {
    FakeService service;
    Options options = OptionsFor(service);
    options.schema_change = policy;
    auto writer = MakeWriter(options);
    EXPECT_TRUE(writer->SendBatch(Ids(0, 1)).success());
    auto result = writer->SendBatch(wide);
    EXPECT_EQ(result.success(), policy == SchemaChange::kNewStream) << result.error();
    if (!result.success()) {
      EXPECT_EQ(KindOf(result.error()), ErrorKind::kSchema);
    }
    EXPECT_EQ(service.connections(), policy == SchemaChange::kNewStream ? 2 : 1);
    EXPECT_TRUE(writer->Shutdown().ok());
  }
}

TEST(Writer, CircuitBreakerOpensWhenManyRowsFail) {
  FakeService service;
  service.set_on_request([](ServerCall& call, FakeService::Connection&, const Received&) {
    call.Finish(3, "bad");
    return Action::kDrop;
  });
  Options options = OptionsFor(service);
  options.circuit_breaker.enabled = true;
  auto writer = MakeWriter(options);
  EXPECT_EQ(writer->SendBatch(Ids(0, 99)).attempts(), 1);  // too few rows to judge
  EXPECT_EQ(writer->SendBatch(Ids(0, 10)).attempts(), 1);
  auto refused = writer->SendBatch(Ids(0, 10));
  EXPECT_EQ(refused.attempts(), 0);
  EXPECT_EQ(refused.failed_count(), 10);
  EXPECT_EQ(KindOf(refused.error()), ErrorKind::kTransmission);
  EXPECT_EQ(service.connections(), 2);
}

TEST(Writer, SharedConnectionServesSeveralWriters) {
  FakeService service;
  Options options = OptionsFor(service);
  options.stream.connection_per_stream = false;
  options.client = Client::Make().ValueOrDie();
  auto first = MakeWriter(options);
  auto second = MakeWriter(options);
  EXPECT_TRUE(first->SendBatch(Ids(0, 10)).success());
  EXPECT_TRUE(second->SendBatch(Ids(10, 10)).success());
  EXPECT_EQ(service.server().connections(), 1);
  EXPECT_EQ(service.connections(), 2);
  EXPECT_TRUE(first->Shutdown().ok());
  EXPECT_TRUE(second->SendBatch(Ids(20, 10)).success());
  EXPECT_TRUE(second->Shutdown().ok());
}

TEST(Writer, BadOptionsAreRefusedBeforeAnything) {
  auto kind = [](const Options& options) {
    auto writer = ZerobusWriter::Make(options);
    return writer.ok() ? std::string("ok")
                       : std::string(ErrorKindName(KindOf(writer.status())));
  };
  Options good = Options("https://1.zerobus.example", "a.b.c")
                     .WithCredentials("id", "tops3cret")
                     .WithUnityCatalog("https://dbc.example");
  EXPECT_EQ(kind(good), "ok");
  EXPECT_EQ(good.ToString().find("tops3cret"), std::string::npos);
  for (const char* table : {"", "a.b", "a..c", "a.b.c.d", "a.b.c-d", "a.b.\xc3\xa9"}) {
    Options options = good;
    options.table = table;
    EXPECT_EQ(kind(options), "Configuration") << table;
  }
  Options options = good;
  options.client_secret.clear();
  EXPECT_EQ(kind(options), "Configuration");
  options = good;
  options.tls.ca_file = "/nowhere.pem";
  EXPECT_EQ(kind(options), "Configuration");
  options = good;
  options.retry.delay_max = std::chrono::milliseconds(1);
  EXPECT_EQ(kind(options), "Configuration");
}

}  // namespace
}  // namespace arrowport::zerobus
