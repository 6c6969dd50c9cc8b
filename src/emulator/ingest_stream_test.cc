#include "emulator/ingest_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "emulator/grpc_code.h"
#include "emulator/testing_call.h"

namespace arrowport::emulator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::RecordCall;

constexpr char kTable[] = "c.s.t";
constexpr char kColumns[] = R"([
  {"name": "id", "type_name": "LONG", "type_text": "bigint", "nullable": false,
   "position": 0},
  {"name": "small", "type_name": "SHORT", "type_text": "smallint", "position": 1},
  {"name": "name", "type_name": "STRING", "type_text": "string", "position": 2}])";

class IngestStreamTest : public ::testing::Test {
 protected:
  IngestStreamTest() {
    ServiceOptions options;
    options.oauth = {"id", "secret", ""};
    options.request_bytes_max = 1000;
    auto log = RowLog::Open("");
    service_ = std::make_unique<Service>(options, std::move(log).ValueOrDie());
    EXPECT_TRUE(service_->tables.Put(kTable, kColumns).ok());
    EXPECT_TRUE(service_->tables.Put("c.s.other", kColumns).ok());
  }
  ~IngestStreamTest() override {
    service_->timers.Stop();
    service_->log->Stop();
  }

  std::string Token(const std::string& table = kTable) {
    const auto catalog = table.substr(0, table.find('.'));
    const auto schema = table.substr(0, table.rfind('.'));
    const auto detail = [](const char* type, const std::string& path,
                           std::vector<std::string> privileges) {
      return nlohmann::json{{"type", "unity_catalog_privileges"},
                            {"object_type", type},
                            {"object_full_path", path},
                            {"privileges", privileges}};
    };
    nlohmann::json details = {detail("CATALOG", catalog, {"USE CATALOG"}),
                              detail("SCHEMA", schema, {"USE SCHEMA"}),
                              detail("TABLE", table, {"SELECT", "MODIFY"})};
    details[2]["operations"] = {"zerobuswrite"};
    wire::net::RequestHead head;
    head.headers = {{"authorization", "Basic aWQ6c2VjcmV0"},
                    {"content-type", "application/x-www-form-urlencoded"}};
    const HttpReply reply = service_->tokens.Answer(
        {head,
         "grant_type=client_credentials&scope=all-apis&resource=api%3A%2F%2Fdatabricks"
         "%2Fworkspaces%2F1%2FzerobusDirectWriteApi&authorization_details=" +
             Encode(details.dump())});
    EXPECT_EQ(reply.status, 200) << reply.body;
    return nlohmann::json::parse(reply.body).value("access_token", "");
  }

  static std::string Encode(const std::string& text) {
    std::string encoded;
    char piece[4];
    for (const unsigned char c : text) {
      std::snprintf(piece, sizeof piece, "%%%02X", c);
      encoded += piece;
    }
    return encoded;
  }

  std::unique_ptr<RecordCall> Begin(const std::string& table = kTable) {
    return std::make_unique<RecordCall>(service_.get(), table, Token(table));
  }
  std::unique_ptr<RecordCall> OpenJson() {
    auto call = Begin();
    call->CreateJson(kTable);
    return call;
  }
  void Script(const std::string& json) {
    auto script = ParseScript(json);
    ASSERT_TRUE(script.ok()) << script.status();
    service_->scenario.SetScript(std::move(*script));
  }
  std::vector<LoggedRequest> Logged() {
    auto requests = service_->log->ReadRequests();
    EXPECT_TRUE(requests.ok()) << requests.status();
    return *requests;
  }
  int64_t Count(Counter counter) {
    return service_->counters.Read(kTable)[static_cast<size_t>(counter)];
  }

  std::unique_ptr<Service> service_;
};

TEST_F(IngestStreamTest, RowsAreLoggedThenAcknowledgedThenTheCallEnds) {
  auto call = OpenJson();
  EXPECT_EQ(call->call().heads, 1);
  ASSERT_EQ(call->replies().size(), 1u);
  EXPECT_TRUE(call->replies()[0].create_stream_response().has_stream_id());
  call->SendJson(0, {R"({"id": 7})", R"({"id": 8, "name": "x"})"});
  ASSERT_TRUE(call->PumpAcks(1));
  EXPECT_THAT(call->acks(), ElementsAre(0));
  ASSERT_EQ(Logged().size(), 1u);
  EXPECT_THAT(Logged()[0].ids, ElementsAre("7", "8"));
  EXPECT_EQ(Logged()[0].stream, call->replies()[0].create_stream_response().stream_id());
  call->stream().OnEnd();
  EXPECT_EQ(call->status(), kGrpcOk);
  EXPECT_EQ(Count(Counter::kHalfCloses), 1);
  EXPECT_EQ(Count(Counter::kServerEnds), 0);
}

TEST_F(IngestStreamTest, MetadataAloneIsJudgedWithoutResponseHeaders) {
  struct Case {
    std::string table, token;
    int status;
  };
  const std::string revoked = Token();
  service_->tokens.Revoke(kTable);
  const std::string expired = Token();
  service_->tokens.Expire(kTable);
  const Case cases[] = {
      {"", Token(), kGrpcInvalidArgument},
      {kTable, "", kGrpcUnauthenticated},
      {kTable, "zbe-guess", kGrpcUnauthenticated},
      {kTable, revoked, kGrpcUnauthenticated},
      {kTable, expired, kGrpcUnauthenticated},
      {kTable, Token("c.s.other"), kGrpcPermissionDenied},
      {"c.s.nothing", Token("c.s.nothing"), kGrpcNotFound},
  };
  for (const Case& given : cases) {
    RecordCall call(service_.get(), given.table, given.token);
    EXPECT_EQ(call.status(), given.status) << given.table << " " << call.message();
    EXPECT_EQ(call.call().heads, 0) << call.message();
  }
}

TEST_F(IngestStreamTest, TheCreateMessageIsReadBeforeItIsJudged) {
  const auto refused = [&](auto change) {
    auto call = Begin();
    EXPECT_EQ(call->call().heads, 1);
    EXPECT_FALSE(call->outcome());
    testing::EphemeralStreamRequest request;
    request.mutable_create_stream()->set_table_name(kTable);
    request.mutable_create_stream()->set_record_type(databricks::zerobus::JSON);
    change(&request);
    call->Send(request);
    EXPECT_THAT(call->replies(), IsEmpty());
    EXPECT_EQ(call->status(), kGrpcInvalidArgument);
    return call->message();
  };
  EXPECT_THAT(refused([](auto* r) { r->mutable_ingest_record()->set_offset_id(0); }),
              HasSubstr("must be create_stream"));
  EXPECT_THAT(
      refused([](auto* r) { r->mutable_create_stream()->set_table_name("c.s.x"); }),
      HasSubstr("names table c.s.x"));
  EXPECT_THAT(refused([](auto* r) { r->mutable_create_stream()->clear_record_type(); }),
              HasSubstr("record_type"));
  EXPECT_THAT(refused([](auto* r) {
                r->mutable_create_stream()->set_record_type(databricks::zerobus::PROTO);
                r->mutable_create_stream()->set_descriptor_proto("\xff\xff");
              }),
              HasSubstr("not a serialized DescriptorProto"));
}

TEST_F(IngestStreamTest, OffsetsCountUpWithoutGapOrRepeat) {
  for (const int64_t wrong : {0, 2, -1}) {
    auto call = OpenJson();
    call->SendJson(0, {R"({"id": 1})"});
    call->SendJson(wrong, {R"({"id": 2})"});
    EXPECT_EQ(call->status(), kGrpcInvalidArgument) << wrong;
    EXPECT_THAT(call->message(), HasSubstr("expected 1"));
  }
  Script(R"({"statuses": {"offset": "OUT_OF_RANGE"}})");
  auto call = OpenJson();
  call->SendJson(5, {R"({"id": 1})"});
  EXPECT_EQ(call->status(), *GrpcCodeOf("OUT_OF_RANGE"));
}

TEST_F(IngestStreamTest, ABadRowRefusesItsWholeRequestAndNothingOfItIsLogged) {
  auto call = OpenJson();
  call->SendJson(0, {R"({"id": 1})"});
  ASSERT_TRUE(call->PumpAcks(1));
  call->SendJson(1, {R"({"id": 2})", R"({"id": 3, "small": 40000})"});
  EXPECT_EQ(call->status(), kGrpcInvalidArgument);
  EXPECT_THAT(call->message(), HasSubstr("row 1"));
  EXPECT_THAT(call->message(), HasSubstr("small"));
  service_->log->Stop();
  EXPECT_EQ(Logged().size(), 1u);
  EXPECT_EQ(Count(Counter::kRefusedRequests), 1);
}

TEST_F(IngestStreamTest, ARequestOverTheLimitIsRefusedWithTheScriptedStatus) {
  Script(R"({"statuses": {"size": "RESOURCE_EXHAUSTED"}})");
  auto call = OpenJson();
  call->SendJson(0, {R"({"id": 1, "name": ")" + std::string(1000, 'x') + "\"}"});
  EXPECT_EQ(call->status(), *GrpcCodeOf("RESOURCE_EXHAUSTED"));
}

TEST_F(IngestStreamTest, AcksComeEveryKAndTheTailAfterAnIdleTime) {
  Script(R"({"acks": {"every": 3, "idle_ms": 5}})");
  auto call = OpenJson();
  for (int64_t i = 0; i < 7; ++i) call->SendJson(i, {R"({"id": 1})"});
  ASSERT_TRUE(call->PumpAcks(3));
  EXPECT_THAT(call->acks(), ElementsAre(2, 5, 6));
}

TEST_F(IngestStreamTest, AHalfCloseBringsTheTailAtOnce) {
  Script(R"({"acks": {"every": 100, "idle_ms": 60000}})");
  auto call = OpenJson();
  for (int64_t i = 0; i < 4; ++i) call->SendJson(i, {R"({"id": 1})"});
  call->stream().OnEnd();
  ASSERT_TRUE(call->PumpOutcome());
  EXPECT_THAT(call->acks(), ElementsAre(3));
  EXPECT_EQ(call->status(), kGrpcOk);
}

TEST_F(IngestStreamTest, JitterKeepsAcksInOrder) {
  Script(R"({"acks": {"every": 1, "delay_ms": 1, "jitter_ms": 10}})");
  auto call = OpenJson();
  for (int64_t i = 0; i < 20; ++i) call->SendJson(i, {R"({"id": 1})"});
  ASSERT_TRUE(call->PumpAckOf(19));
  const auto acks = call->acks();
  // Acks that fall due together are told as one: they are cumulative.
  EXPECT_TRUE(std::is_sorted(acks.begin(), acks.end(), std::less_equal<>()));
  EXPECT_EQ(acks.back(), 19);
}

TEST_F(IngestStreamTest, AnUnwritableCallGetsOneAckForAllOnceItIsWritable) {
  Script(R"({"acks": {"every": 1}})");
  auto call = OpenJson();
  call->call().writable = false;
  for (int64_t i = 0; i < 5; ++i) call->SendJson(i, {R"({"id": 1})"});
  ASSERT_TRUE(call->call().Pump([&] { return Count(Counter::kLoggedRequests) == 5; }));
  call->call().writable = true;
  const size_t before = call->acks().size();
  call->stream().OnWritable();
  EXPECT_EQ(call->acks().size(), before + 1);
  EXPECT_EQ(call->acks().back(), 4);
}

TEST_F(IngestStreamTest, FaultsStrikeAtTheirPointOnTheirConnection) {
  Script(R"({"faults": [{"connection": 2, "point": "before_log", "at": 1,
             "action": {"type": "status", "code": "UNAVAILABLE", "message": "gone"}}]})");
  for (const int connection : {1, 2, 3}) {
    auto call = OpenJson();
    for (int64_t i = 0; i < 3; ++i) call->SendJson(i, {R"({"id": 1})"});
    if (connection == 2) {
      EXPECT_EQ(call->status(), kGrpcUnavailable);
      EXPECT_EQ(call->message(), "gone");
    } else {
      ASSERT_TRUE(call->PumpAckOf(2));
      EXPECT_FALSE(call->outcome());
    }
  }
  service_->log->Stop();
  EXPECT_EQ(Logged().size(), 7u) << "all of two connections, the first of one";
  EXPECT_EQ(Count(Counter::kFaults), 1);
}

TEST_F(IngestStreamTest, AResetBehindTheLogLeavesTheRowsLoggedAndNotAcknowledged) {
  Script(R"({"acks": {"every": 1}, "faults": [{"point": "after_log", "at": 2,
             "action": {"type": "reset_stream", "http2_code": 2}}]})");
  auto call = OpenJson();
  for (int64_t i = 0; i < 3; ++i) call->SendJson(i, {R"({"id": 1})"});
  ASSERT_TRUE(call->call().Pump([&] { return !call->call().broken.empty(); }));
  EXPECT_EQ(call->call().broken[0].kind, wire::net::Breakage::Kind::kStreamReset);
  EXPECT_EQ(call->call().broken[0].http2_code, 2u);
  EXPECT_EQ(Logged().size(), 3u);
  for (const int64_t ack : call->acks()) EXPECT_LT(ack, 2);
}

TEST_F(IngestStreamTest, AcknowledgementsCanBeWrongInEveryWay) {
  Script(R"({"acks": {"every": 1}, "faults": [
      {"point": "after_log", "at": 1, "action": {"type": "ack_missing"}},
      {"point": "after_acks", "at": 2, "action": {"type": "ack_duplicate"}},
      {"point": "after_acks", "at": 3, "action": {"type": "ack_lower", "by": 2}},
      {"point": "after_acks", "at": 4, "action": {"type": "ack_too_high", "by": 5}},
      {"point": "after_acks", "at": 4, "action": {"type": "ack_without_offset"}},
      {"point": "after_acks", "at": 5, "action": {"type": "ack_without_offset"}}]})");
  auto call = OpenJson();
  for (int64_t i = 0; i < 6; ++i) {
    call->SendJson(i, {R"({"id": 1})"});
    ASSERT_TRUE(
        call->call().Pump([&] { return Count(Counter::kLoggedRequests) == i + 1; }));
  }
  ASSERT_TRUE(call->PumpAcks(9));
  // Of two faults at one point the first strikes; an absent offset reads as 0 here.
  EXPECT_THAT(call->acks(), ElementsAre(0, 2, 2, 3, 1, 4, 9, 5, 0))
      << "acks of requests 0, 2, 3, 4, 5 and the wrong ones behind them";
  EXPECT_FALSE(
      call->replies().back().ingest_record_response().has_durability_ack_up_to_offset());
}

TEST_F(IngestStreamTest, SilenceReadsOnAndAnswersNothing) {
  Script(
      R"({"faults": [{"point": "before_log", "at": 1, "action": {"type": "silence"}}]})");
  auto call = OpenJson();
  call->SendJson(0, {R"({"id": 1})"});
  ASSERT_TRUE(call->PumpAcks(1));
  call->SendJson(1, {R"({"id": 2})"});
  call->SendJson(2, {R"({"id": 3})"});
  call->stream().OnEnd();
  service_->log->Stop();
  EXPECT_EQ(Logged().size(), 1u);
  EXPECT_FALSE(call->outcome());
  EXPECT_FALSE(call->call().paused);
}

TEST_F(IngestStreamTest, AStallStopsReadingForItsTime) {
  Script(R"({"faults": [{"point": "after_open",
             "action": {"type": "stall", "duration_ms": 5}}]})");
  auto call = OpenJson();
  EXPECT_TRUE(call->call().paused);
  EXPECT_TRUE(call->call().Pump([&] { return !call->call().paused; }));
}

TEST_F(IngestStreamTest, ADelayHoldsTheReplyAndTheReading) {
  Script(R"({"faults": [{"point": "before_create_reply",
             "action": {"type": "delay", "duration_ms": 5}}]})");
  auto call = OpenJson();
  EXPECT_THAT(call->replies(), IsEmpty());
  EXPECT_TRUE(call->call().paused);
  ASSERT_TRUE(call->call().Pump([&] { return !call->replies().empty(); }));
  EXPECT_FALSE(call->call().paused);
}

TEST_F(IngestStreamTest, ARotationSignalsAndThenForcesTheEnd) {
  Script(R"({"rotation": {"after_requests": 2, "duration_ms": 1500, "early_ms": 1490,
             "signals": 2, "repeat_ms": 1}})");
  auto call = OpenJson();
  for (int64_t i = 0; i < 2; ++i) call->SendJson(i, {R"({"id": 1})"});
  ASSERT_TRUE(call->call().Pump([&] { return Count(Counter::kCloseSignals) == 2; }));
  call->SendJson(2, {R"({"id": 1})"});
  EXPECT_EQ(Count(Counter::kRequestsAfterCloseSignal), 1);
  ASSERT_TRUE(call->PumpOutcome());
  EXPECT_EQ(call->status(), kGrpcUnavailable);
  EXPECT_THAT(call->message(), HasSubstr("6002"));
  for (const auto& reply : call->replies()) {
    if (!reply.has_close_stream_signal()) continue;
    EXPECT_EQ(reply.close_stream_signal().duration().seconds(), 1);
    EXPECT_EQ(reply.close_stream_signal().duration().nanos(), 500000000);
  }
}

TEST_F(IngestStreamTest, ASignalWithoutDurationSaysNone) {
  auto call = OpenJson();
  Rotation rotation;
  rotation.forced = false;
  EXPECT_EQ(service_->streams.Rotate(kTable, rotation), 1);
  EXPECT_EQ(service_->streams.Rotate("c.s.other", rotation), 0);
  ASSERT_TRUE(call->call().Pump([&] { return Count(Counter::kCloseSignals) == 1; }));
  EXPECT_TRUE(call->replies().back().has_close_stream_signal());
  EXPECT_FALSE(call->replies().back().close_stream_signal().has_duration());
}

TEST_F(IngestStreamTest, EndsAreCountedByKind) {
  {
    auto call = OpenJson();
    call->call().end = wire::net::PeerEnd::kCancel;
  }
  EXPECT_EQ(Count(Counter::kCancels), 1);
  {
    auto call = OpenJson();
    call->call().end = wire::net::PeerEnd::kGone;
  }
  EXPECT_EQ(Count(Counter::kResets), 1);
  EXPECT_EQ(Count(Counter::kOpenNow), 0);
  EXPECT_EQ(Count(Counter::kOpened), 2);
}

}  // namespace
}  // namespace arrowport::emulator
