// The Zerobus writer against the emulator, which knows nothing of the writer: tokens, the
// table's columns, both modes, and the faults of its script. The oracle is the
// emulator's log.
#include <arrow/api.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "arrowport/zerobus/writer.h"
#include "emulator/emulator.h"

namespace arrowport::zerobus {
namespace {

using emulator::Counter;
using emulator::Emulator;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kTable = "main.test.events";
constexpr const char* kColumns = R"([
  {"name": "id", "type_name": "LONG", "type_text": "bigint", "type_json": "\"long\"",
   "nullable": false, "position": 0},
  {"name": "name", "type_name": "STRING", "type_text": "string", "type_json": "\"string\"",
   "nullable": true, "position": 1}])";

std::shared_ptr<arrow::RecordBatch> Rows(int64_t first, int64_t count) {
  arrow::Int64Builder ids;
  arrow::StringBuilder names;
  for (int64_t i = 0; i < count; ++i) {
    if (!ids.Append(first + i).ok()) std::abort();
    auto status = i % 3 == 0 ? names.AppendNull() : names.Append("n" + std::to_string(i));
    if (!status.ok()) std::abort();
  }
  return arrow::RecordBatch::Make(
      arrow::schema({arrow::field("id", arrow::int64(), false),
                     arrow::field("name", arrow::utf8())}),
      count, {ids.Finish().ValueOrDie(), names.Finish().ValueOrDie()});
}

class ZerobusEmulator : public ::testing::TestWithParam<Mode> {
 protected:
  void Start(const std::string& script = "{}") {
    emulator::Options options;
    options.tables_json =
        std::string(R"({"main.test.events": {"columns": )") + kColumns + "}}";
    options.client_id = "me";
    options.client_secret = "pa ss:w0rd+%";
    options.workspace_id = "4711";
    options.script_json = script;
    auto started = Emulator::Start(options);
    ASSERT_TRUE(started.ok()) << started.status();
    emulator_ = *std::move(started);
  }
  Options MakeOptions() {
    Options options = Options(emulator_->grpc_url(), kTable)
                          .WithCredentials("me", "pa ss:w0rd+%")
                          .WithUnityCatalog(emulator_->http_url())
                          .WithMode(GetParam());
    options.workspace_id = "4711";
    options.stream.recovery_backoff_base = milliseconds(5);
    options.stream.recovery_backoff_max = milliseconds(50);
    options.stream.flush_timeout = seconds(15);
    options.stream.server_lack_of_ack_timeout = seconds(2);
    options.retry.delay_base = milliseconds(1);
    return options;
  }
  std::unique_ptr<ZerobusWriter> Make() {
    return ZerobusWriter::Make(MakeOptions()).ValueOrDie();
  }
  /// How often each id is in the log.
  std::map<int64_t, int> Logged() {
    std::map<int64_t, int> counts;
    auto log = emulator_->ReadLog();
    EXPECT_TRUE(log.ok()) << log.status();
    for (const auto& request : *log) {
      for (const auto& id : request.ids) ++counts[std::stoll(id)];
    }
    return counts;
  }
  /// Sends rows 0 .. senders * batches * rows - 1 and expects them all to be durable.
  void SendAll(ZerobusWriter* writer, int64_t senders, int64_t batches, int64_t rows) {
    std::vector<std::thread> threads;
    for (int64_t sender = 0; sender < senders; ++sender) {
      threads.emplace_back([=] {
        for (int64_t i = 0; i < batches; ++i) {
          auto result = writer->SendBatch(Rows((sender * batches + i) * rows, rows));
          EXPECT_TRUE(result.success()) << result.error();
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }

  std::unique_ptr<Emulator> emulator_;
};

TEST_P(ZerobusEmulator, TokensTableAndRows) {
  Start();
  auto writer = Make();
  SendAll(writer.get(), 4, 10, 100);
  EXPECT_TRUE(writer->Shutdown().ok());
  auto logged = Logged();
  EXPECT_EQ(logged.size(), 4000U);
  for (auto [id, count] : logged) EXPECT_EQ(count, 1) << id;
  EXPECT_EQ(emulator_->Read(Counter::kTableReads), 1);
  EXPECT_EQ(emulator_->Read(Counter::kMints), 2);  // the table's, the stream's
  EXPECT_EQ(emulator_->Read(Counter::kConnections), 1);
  EXPECT_EQ(emulator_->Read(Counter::kHalfCloses), 1);
  EXPECT_EQ(emulator_->Read(Counter::kRefusedRequests), 0);
}

TEST_P(ZerobusEmulator, WrongSecretIsFinalAndNotTold) {
  Start();
  Options options = MakeOptions();
  options.client_secret = "tops3cret";
  auto writer = ZerobusWriter::Make(options).ValueOrDie();
  auto result = writer->SendBatch(Rows(0, 10));
  EXPECT_FALSE(result.success());
  EXPECT_EQ(KindOf(result.error()), ErrorKind::kAuthentication);
  EXPECT_EQ(result.failed_count(), 10);
  EXPECT_EQ(result.error().ToString().find("tops3cret"), std::string::npos);
  EXPECT_EQ(emulator_->Read(Counter::kConnections), 0);
  EXPECT_EQ(options.ToString().find("tops3cret"), std::string::npos);
}

TEST_P(ZerobusEmulator, UnknownTableIsAConfigurationError) {
  Start();
  Options options = MakeOptions();
  options.table = "main.test.nothing";
  auto writer = ZerobusWriter::Make(options).ValueOrDie();
  auto result = writer->SendBatch(Rows(0, 10));
  EXPECT_EQ(KindOf(result.error()), ErrorKind::kConfiguration);
  EXPECT_EQ(result.attempts(), 1);
}

// Scenario 10: one mint for 50 streams whose token was revoked.
TEST_P(ZerobusEmulator, RevokedTokenIsMintedOnceForAllStreams) {
  Start();
  auto client = Client::Make().ValueOrDie();
  std::vector<std::unique_ptr<ZerobusWriter>> writers;
  for (int i = 0; i < 50; ++i) {
    Options options = MakeOptions();
    options.client = client;
    writers.push_back(ZerobusWriter::Make(options).ValueOrDie());
  }
  for (int64_t i = 0; i < 50; ++i) {
    ASSERT_TRUE(writers[static_cast<size_t>(i)]->SendBatch(Rows(i, 1)).success());
  }
  EXPECT_EQ(emulator_->Read(Counter::kMints), 2);
  ASSERT_GT(emulator_->RevokeTokens(kTable), 0);
  EXPECT_EQ(emulator_->Rotate("", milliseconds(0)), 50);
  for (int64_t i = 0; i < 50; ++i) {
    auto result = writers[static_cast<size_t>(i)]->SendBatch(Rows(100 + i, 1));
    EXPECT_TRUE(result.success()) << result.error();
  }
  EXPECT_EQ(emulator_->Read(Counter::kMints), 3);
  EXPECT_EQ(Logged().size(), 100U);
}

TEST_P(ZerobusEmulator, FaultsLoseNothing) {
  for (
      const char* fault : {
          R"({"point": "before_headers", "action": {"type": "status"}, "times": 2})",
          R"({"point": "after_headers", "action": {"type": "reset_stream"}, "times": 2})",
          R"({"point": "before_create_reply", "action": {"type": "tcp_reset"}, "times": 2})",
          R"({"point": "after_open", "action": {"type": "ok"}, "times": 2})",
          R"({"point": "before_log", "action": {"type": "tcp_close"}, "at": 7, "times": 3})",
          R"({"point": "after_log", "action": {"type": "tcp_reset"}, "at": 5, "times": 3})",
          R"({"point": "after_log", "action": {"type": "status"}, "at": 5, "times": 3})",
          R"({"point": "after_acks", "action": {"type": "goaway"}, "at": 3, "times": 3})",
          R"({"point": "mid_frame", "action": {"type": "tcp_close"}, "at": 3, "times": 2})",
          R"({"point": "after_log", "action": {"type": "silence"}, "at": 4, "times": 1})",
          R"({"point": "after_log", "action": {"type": "freeze"}, "at": 4, "times": 1})",
          R"({"point": "after_acks", "action": {"type": "ack_duplicate"}, "times": 5})",
          R"({"point": "after_acks", "action": {"type": "ack_lower"}, "times": 5})",
          R"({"point": "after_acks", "action": {"type": "ack_too_high", "by": 100}, "times": 2})",
          R"({"point": "after_acks", "action": {"type": "ack_without_offset"}, "times": 2})",
          R"({"point": "after_acks", "action": {"type": "ack_unparseable"}, "times": 2})",
          R"({"point": "after_acks", "action": {"type": "close_signal", "duration_ms": 200},
               "times": 3})",
      }) {
    SCOPED_TRACE(fault);
    Start(std::string(R"({"faults": [)") + fault + "]}");
    if (HasFatalFailure()) return;
    Options options = MakeOptions();
    options.stream.server_lack_of_ack_timeout = milliseconds(200);
    auto writer = ZerobusWriter::Make(options).ValueOrDie();
    SendAll(writer.get(), 4, 10, 10);
    EXPECT_TRUE(writer->Shutdown().ok());
    EXPECT_EQ(Logged().size(), 400U);
    EXPECT_GT(emulator_->Read(Counter::kFaults), 0);
  }
}

TEST_P(ZerobusEmulator, RotationsRepeatNothing) {
  Start(R"({"rotation": {"after_requests": 5, "duration_ms": 2000}})");
  Options options = MakeOptions();
  options.stream.recovery_retries = 0;
  auto writer = ZerobusWriter::Make(options).ValueOrDie();
  SendAll(writer.get(), 8, 20, 5);
  EXPECT_TRUE(writer->Shutdown().ok());
  auto logged = Logged();
  EXPECT_EQ(logged.size(), 800U);
  for (auto [id, count] : logged) EXPECT_EQ(count, 1) << id;
  EXPECT_GE(writer->statistics().rotations, 10);
  EXPECT_EQ(writer->statistics().reconnects_after_failure, 0);
}

// --- Scenario 10: a token endpoint in trouble ---

// The table's token and the stream's are minted; every renewal after that fails, in turn
// with 500, 429 and a hang, while the cached token is good for another two seconds.
TEST_P(ZerobusEmulator, AFailingTokenEndpointIsNotNoticedWhileTheTokenIsGood) {
  Start(R"({"oauth": {"token_life_seconds": 4, "faults": [
             {"request": [3, 3], "status": 500}, {"request": [4, 4], "status": 429},
             {"request": [5, 5], "hang": true}]}})");
  Options options = MakeOptions();
  options.stream.token_refresh_buffer = seconds(6);  // counts as half of the life
  options.stream.recovery_timeout = milliseconds(800);
  options.stream.connection_timeout = milliseconds(800);
  options.stream.recovery_retries = 0;
  options.retry.attempts_max = 1;
  auto writer = ZerobusWriter::Make(options).ValueOrDie();
  const auto deadline = std::chrono::steady_clock::now() + seconds(20);
  int64_t sent = 0;
  // A rotation makes the stream ask for its token again.
  while (emulator_->Read(Counter::kMints) < 3) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    auto result = writer->SendBatch(Rows(sent++, 1));
    ASSERT_TRUE(result.success()) << result.error();
    emulator_->Rotate(kTable, milliseconds(0));
  }
  EXPECT_GE(emulator_->Read(Counter::kTokenRequests), 6);
  EXPECT_EQ(writer->statistics().reconnects_after_failure, 0);
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(Logged().size(), static_cast<size_t>(sent));
}

// --- Scenario 11: bursts of RESOURCE_EXHAUSTED, and a service that stops reading ---

TEST_P(ZerobusEmulator, AStalledServiceBlocksSendersAndThenDrains) {
  Start(R"({"faults": [
    {"point": "before_log", "action": {"type": "stall", "duration_ms": 300}, "at": 20,
     "times": 1},
    {"point": "before_log", "action": {"type": "status", "code": "RESOURCE_EXHAUSTED"},
     "at": 30, "times": 3}]})");
  Options options = MakeOptions();
  options.stream.max_inflight_bytes = 64'000;
  options.stream.max_inflight_requests = 8;
  options.stream.max_inflight_batches = 8;
  auto writer = ZerobusWriter::Make(options).ValueOrDie();
  std::vector<arrow::Future<TransmissionResult>> pending;
  for (int64_t i = 0; i < 200; ++i) {
    auto sent = writer->SendAsync(Rows(i * 20, 20));
    ASSERT_TRUE(sent.ok()) << sent.status();
    pending.push_back(sent->result);
    EXPECT_LE(writer->statistics().in_flight_requests, 8);
    EXPECT_LE(writer->statistics().in_flight_bytes, 64'000);
  }
  for (auto& result : pending) EXPECT_TRUE(result.result().ValueOrDie().success());
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(Logged().size(), 4000U);
  EXPECT_EQ(emulator_->Read(Counter::kFaults), 4);
}

// --- Scenario 12: bad rows ---

constexpr const char* kColumnsWithSmall = R"([
  {"name": "id", "type_name": "LONG", "type_text": "bigint", "type_json": "\"long\"",
   "nullable": false, "position": 0},
  {"name": "name", "type_name": "STRING", "type_text": "string", "type_json": "\"string\"",
   "nullable": true, "position": 1},
  {"name": "small", "type_name": "SHORT", "type_text": "smallint",
   "type_json": "\"short\"", "nullable": true, "position": 2}])";

TEST_P(ZerobusEmulator, BadRowsOfABatchAreNamedAndTheRestIsDurable) {
  Start();
  ASSERT_TRUE(emulator_->PutTable(kTable, kColumnsWithSmall).ok());
  const int64_t rows = 10'000;
  const bool sized = GetParam() != Mode::kFlight;  // rows of Flight have no limit
  arrow::Int64Builder ids;
  arrow::StringBuilder names;
  arrow::Int32Builder smalls;
  std::set<int64_t> bad;
  for (int64_t i = 0; i < rows; ++i) {
    const bool no_id = i % 1000 == 17;
    const bool no_text = i % 1000 == 500;
    const bool overflow = i == 0 || i == rows - 1;
    const bool too_large = sized && i == 4321;
    if (no_id || no_text || overflow || too_large) bad.insert(i);
    ASSERT_TRUE((no_id ? ids.AppendNull() : ids.Append(i)).ok());
    ASSERT_TRUE(names.Append(no_text     ? "\xff"
                             : too_large ? std::string(200'000, 'x')
                                         : "n" + std::to_string(i))
                    .ok());
    ASSERT_TRUE(smalls.Append(overflow ? 40'000 : 7).ok());
  }
  auto batch = arrow::RecordBatch::Make(
      arrow::schema({arrow::field("id", arrow::int64()), arrow::field("name", arrow::utf8()),
                     arrow::field("small", arrow::int32())}),
      rows,
      {ids.Finish().ValueOrDie(), names.Finish().ValueOrDie(),
       smalls.Finish().ValueOrDie()});
  Options options = MakeOptions();
  options.stream.max_request_bytes = 100'000;
  auto writer = ZerobusWriter::Make(options).ValueOrDie();
  auto result = writer->SendBatch(batch);
  EXPECT_TRUE(result.error().ok()) << result.error();
  std::set<int64_t> failed;
  for (const FailedRow& row : result.failed_rows()) {
    failed.insert(row.index);
    EXPECT_EQ(KindOf(*row.error), ErrorKind::kConversion) << *row.error;
  }
  EXPECT_EQ(failed, bad);
  EXPECT_EQ(result.successful_count() + result.failed_count(), rows);
  // Nothing but bad rows, and none at all.
  auto none = writer->SendBatch(batch->Slice(0, 1));
  EXPECT_EQ(none.failed_count(), 1);
  EXPECT_TRUE(writer->Shutdown().ok());
  auto logged = Logged();
  EXPECT_EQ(logged.size(), static_cast<size_t>(rows) - bad.size());
  for (auto [id, count] : logged) {
    EXPECT_EQ(count, 1) << id;
    EXPECT_FALSE(bad.contains(id)) << id;
  }
  EXPECT_EQ(emulator_->Read(Counter::kRefusedRequests), 0);
}

// --- Scenario 15: the table is altered between two connections ---

std::string Altered(const std::string& more) {
  std::string columns = kColumns;
  return columns.substr(0, columns.rfind(']')) + ", " + more + "]";
}

TEST_P(ZerobusEmulator, ANullableColumnMoreIsNotNoticed) {
  Start();
  auto writer = Make();
  ASSERT_TRUE(writer->SendBatch(Rows(0, 10)).success());
  ASSERT_TRUE(emulator_
                  ->PutTable(kTable, Altered(R"({"name": "more", "type_name": "DOUBLE",
                      "type_text": "double", "type_json": "\"double\"", "position": 2})"))
                  .ok());
  ASSERT_EQ(emulator_->Rotate(kTable, milliseconds(0)), 1);
  ASSERT_TRUE(emulator_->WaitUntil(
      [](const auto& counters) {
        return counters[static_cast<size_t>(Counter::kOpened)] >= 2;
      },
      seconds(10)));
  auto result = writer->SendBatch(Rows(10, 10));
  EXPECT_TRUE(result.success()) << result.error();
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(Logged().size(), 20U);
}

TEST_P(ZerobusEmulator, AnAlterationThatDoesNotFitIsATypedErrorAndTheRowsComeBack) {
  const std::string id = R"({"name": "id", "type_name": "LONG", "type_text": "bigint",
      "type_json": "\"long\"", "nullable": false, "position": 0})";
  const std::string alterations[] = {
      Altered(R"({"name": "more", "type_name": "DOUBLE", "type_text": "double",
          "type_json": "\"double\"", "nullable": false, "position": 2})"),  // NOT NULL
      "[" + id + "]",                                                       // dropped
      "[" + id + R"(, {"name": "name", "type_name": "LONG", "type_text": "bigint",
          "type_json": "\"long\"", "nullable": true, "position": 1}])",  // another type
  };
  for (const std::string& columns : alterations) {
    SCOPED_TRACE(columns);
    // Acknowledgements take so long that the rows are under way when the stream breaks.
    Start(R"({"acks": {"delay_ms": 600000}})");
    auto writer = Make();
    auto sent = writer->SendAsync(Rows(0, 10));
    ASSERT_TRUE(sent.ok()) << sent.status();
    ASSERT_TRUE(emulator_->WaitUntil(
        [](const auto& counters) {
          return counters[static_cast<size_t>(Counter::kLoggedRequests)] > 0;
        },
        seconds(10)));
    ASSERT_TRUE(emulator_->PutTable(kTable, columns).ok());
    ASSERT_EQ(emulator_->Rotate(kTable, milliseconds(0)), 1);
    const TransmissionResult result = sent->result.result().ValueOrDie();
    // A stream of JSON opens without a schema: there the rows are what does not fit.
    EXPECT_EQ(KindOf(result.error()), GetParam() == Mode::kJson ? ErrorKind::kConversion
                                                                : ErrorKind::kSchema)
        << result.error();
    EXPECT_EQ(result.failed_count(), 10);
    if (GetParam() == Mode::kFlight) {
      EXPECT_FALSE(FactsOf(result.error()).schema_causes.empty());
    }
    auto left = writer->TakeUnacknowledged().ValueOrDie();
    ASSERT_EQ(left.size(), 1U);
    EXPECT_TRUE(left[0].batch->Equals(*Rows(0, 10)));
    // The next send knows the table as it is now, and says what does not fit.
    auto next = writer->SendBatch(Rows(10, 10));
    EXPECT_EQ(next.failed_count(), 10);
    EXPECT_FALSE(next.error().ok());
  }
}

// --- Observers ---

/// Asks the writer for something from another thread while it is being told.
class CuriousObserver : public WriterObserver {
 public:
  void OnDescriptor(std::string_view) override {
    auto answer = std::async(std::launch::async, [this] { return writer->statistics(); });
    answered = answer.wait_for(seconds(10)) == std::future_status::ready;
    ++told;
  }
  ZerobusWriter* writer = nullptr;
  std::atomic<bool> answered{false};
  std::atomic<int> told{0};
};

TEST_P(ZerobusEmulator, TheWriterAnswersWhileAnObserverIsToldOfAStream) {
  Start();
  auto observer = std::make_shared<CuriousObserver>();
  Options options = MakeOptions();
  options.observers.push_back(observer);
  auto writer = ZerobusWriter::Make(options).ValueOrDie();
  observer->writer = writer.get();
  EXPECT_TRUE(writer->SendBatch(Rows(0, 10)).success());
  EXPECT_TRUE(observer->answered);
  EXPECT_EQ(observer->told, 1);
  EXPECT_TRUE(writer->Shutdown().ok());
}

INSTANTIATE_TEST_SUITE_P(Modes, ZerobusEmulator,
                         ::testing::Values(Mode::kProto, Mode::kJson, Mode::kFlight),
                         [](const auto& info) {
                           return info.param == Mode::kProto  ? "Proto"
                                  : info.param == Mode::kJson ? "Json"
                                                              : "Flight";
                         });

}  // namespace
}  // namespace arrowport::zerobus
