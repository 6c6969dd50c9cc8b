// The Zerobus writer against the emulator, which knows nothing of the writer: tokens, the
// table's columns, both modes, and the faults of its script. The oracle is the
// emulator's log.
#include <arrow/api.h>
#include <gtest/gtest.h>

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

INSTANTIATE_TEST_SUITE_P(Modes, ZerobusEmulator,
                         ::testing::Values(Mode::kProto, Mode::kJson, Mode::kFlight),
                         [](const auto& info) {
                           return info.param == Mode::kProto  ? "Proto"
                                  : info.param == Mode::kJson ? "Json"
                                                              : "Flight";
                         });

}  // namespace
}  // namespace arrowport::zerobus
