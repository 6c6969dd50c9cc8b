// Acknowledgements that are unusual: inside a batch, lower, too high, without an offset.
#include <gtest/gtest.h>

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
using Connection = FakeService::Connection;

// Scenario 13: acks inside a batch, then a drop: only the rest is sent again.
TEST(FlightRecovery, OnlyRowsAfterTheLastAckedAreSentAgain) {
  FakeService service;
  service.set_on_request([](ServerCall& call, Connection& connection, const Received&) {
    if (connection.number > 0) return Action::kLogAndAck;
    if (connection.requests == 2) {
      FakeService::SendRowsAck(call, 0, 130);
      call.Finish(14, "gone");
    }
    return Action::kLog;
  });
  auto writer = MakeWriter(OptionsFor(service, Mode::kFlight));
  auto first = writer->SendAsync(Ids(0, 100)).ValueOrDie();
  auto second = writer->SendAsync(Ids(100, 100)).ValueOrDie();
  EXPECT_TRUE(writer->Flush().ok());
  auto log = service.log();
  std::vector<int64_t> again;
  for (const Received& request : log) {
    if (request.connection > 0) {
      again.insert(again.end(), request.ids.begin(), request.ids.end());
    }
  }
  EXPECT_EQ(again, Sequence(130, 70));
  EXPECT_TRUE(first.result.result()->success());
  EXPECT_TRUE(second.result.result()->success());
}

TEST(FlightRecovery, UnacknowledgedRowsAreSlicedAtTheLastAck) {
  FakeService service;
  service.set_on_request([](ServerCall& call, Connection& connection, const Received&) {
    FakeService::SendRowsAck(call, -1, 30);
    call.Finish(3, "no more");
    return Action::kLog;
  });
  auto writer = MakeWriter(OptionsFor(service, Mode::kFlight));
  auto sent = writer->SendAsync(Ids(0, 100)).ValueOrDie();
  EXPECT_FALSE(writer->Flush().ok());
  ASSERT_TRUE(sent.result.Wait(20));
  auto result = *sent.result.result();
  EXPECT_EQ(result.successful_count(), 30);
  EXPECT_EQ(result.failed_count(), 70);
  EXPECT_EQ(result.GetSuccessfulRowIndices(), Sequence(0, 30));
  EXPECT_TRUE(writer->Shutdown().ok() == false);
  auto left = writer->TakeUnacknowledged().ValueOrDie();
  ASSERT_EQ(left.size(), 1U);
  EXPECT_TRUE(left[0].batch->Equals(*Ids(30, 70)));
}

TEST(FlightRecovery, SchemaRefusalIsTyped) {
  FakeService service;
  service.set_on_open([](ServerCall& call, Connection&) {
    // google.rpc.Status {3: Any {1: type URL, 2: ErrorInfo {1: reason, 2: domain,
    // 3: {causes}, 3: {error_code}}}}
    auto field = [](uint32_t number, const std::string& value) {
      std::string bytes;
      AppendLengthField(number, value.size(), &bytes);
      return bytes + value;
    };
    const std::string info =
        field(1, "SCHEMA_VALIDATION_FAILED") + field(2, "zerobus.databricks.com") +
        field(3, field(1, "causes") + field(2, "FIELD_NOT_IN_TABLE,SOMETHING_NEW")) +
        field(3, field(1, "error_code") + field(2, "8001"));
    const std::string any =
        field(1, "type.googleapis.com/google.rpc.ErrorInfo") + field(2, info);
    call.Finish(3, "schema", rpc::EncodeBase64(field(3, any)));
    return true;
  });
  auto writer = MakeWriter(OptionsFor(service, Mode::kFlight));
  auto result = writer->SendBatch(Ids(0, 10));
  const ErrorFacts facts = FactsOf(result.error());
  EXPECT_EQ(facts.kind, ErrorKind::kSchema);
  EXPECT_EQ(facts.service_code, 8001);
  EXPECT_EQ(facts.schema_causes,
            (std::vector<std::string>{"FIELD_NOT_IN_TABLE", "SOMETHING_NEW"}));
  EXPECT_EQ(service.connections(), 1);
}

// Scenarios 3 and 4: strange acks.
TEST(RecordRecovery, JumpingEqualAndLowerAcks) {
  FakeService service;
  service.set_on_request([](ServerCall& call, Connection& connection, const Received&) {
    if (connection.requests == 8) {
      for (int64_t offset : {5, 5, 2, -7, 7, 0, 7}) FakeService::SendAck(call, offset);
    }
    return Action::kLog;
  });
  auto writer = MakeWriter(OptionsFor(service));
  for (int64_t i = 0; i < 8; ++i) ASSERT_TRUE(writer->SendAsync(Ids(i, 1)).ok());
  EXPECT_TRUE(writer->Flush().ok());
  ASSERT_TRUE(service.WaitFor([&] { return writer->statistics().acks_received == 7; }));
  EXPECT_EQ(writer->statistics().acks_without_progress, 5);
  EXPECT_EQ(writer->statistics().rows_durable, 8);
  EXPECT_EQ(service.connections(), 1);
  EXPECT_TRUE(writer->Shutdown().ok());
}

TEST(RecordRecovery, AckAboveWhatWasSentOrWithoutOffsetEndsTheConnection) {
  for (bool too_high : {true, false}) {
    FakeService service;
    service.set_on_request(
        [&](ServerCall& call, Connection& connection, const Received&) {
          if (connection.number > 0) return Action::kLogAndAck;
          if (too_high) {
            FakeService::SendAck(call, 1000);
          } else {
            FakeService::SendAckWithoutOffset(call);
          }
          return Action::kDrop;
        });
    auto writer = MakeWriter(OptionsFor(service));
    auto result = writer->SendBatch(Ids(0, 10));
    EXPECT_TRUE(result.success()) << result.error();
    EXPECT_EQ(service.logged_ids(), Sequence(0, 10));
    EXPECT_EQ(service.connections(), 2);
    EXPECT_EQ(writer->statistics().protocol_errors, 1);
  }
}

}  // namespace
}  // namespace arrowport::zerobus
