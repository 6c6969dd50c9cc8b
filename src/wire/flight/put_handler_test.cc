#include "wire/flight/put_handler.h"

#include <gtest/gtest.h>

#include "wire/flight/error_map.h"
#include "wire/flight/flight_test_messages.h"

namespace arrowport::wire::flight {
namespace {

class PutHandlerTest : public ::testing::Test {
 protected:
  void Open() { handler_ = MakePutHandler(call_, {ingest_, {}, nullptr}); }

  void Send(const std::vector<net::Message>& messages) {
    if (!handler_) Open();
    for (const auto& message : messages) {
      handler_->OnMessage(message);
      call_->RunTasks();
    }
  }
  void EndUpload() {
    handler_->OnEnd();
    call_->RunTasks();
  }
  void Put(const proto::FlightDescriptor& descriptor, int batches = 2) {
    std::vector<std::shared_ptr<arrow::RecordBatch>> rows;
    for (int i = 0; i < batches; ++i) rows.push_back(NumberBatch(3, 10 * i));
    Send(PutMessages(descriptor, rows));
  }
  int status() const { return call_->outcome ? call_->outcome->grpc_status : -1; }
  std::string message() const { return call_->outcome ? call_->outcome->message : ""; }
  nlohmann::json reply(size_t index) const { return PutReply(call_->written.at(index)); }

  std::shared_ptr<FakeCall> call_ = std::make_shared<FakeCall>("DoPut");
  std::shared_ptr<FakeIngest> ingest_ = std::make_shared<FakeIngest>();
  std::unique_ptr<net::CallHandler> handler_;
};

constexpr int kInvalidArgument = static_cast<int>(GrpcStatus::kInvalidArgument);

TEST_F(PutHandlerTest, StreamModeIsReadyThenSummedUp) {
  Put(CommandDescriptor(R"({"stream_name": "events"})"));
  ASSERT_EQ(call_->written.size(), 1u);
  EXPECT_EQ(reply(0), nlohmann::json::parse(
                          R"({"ready": true, "ack_up_to_offset": -1,
                              "ack_up_to_records": 0, "producer_last_sequence": null})"));
  EndUpload();
  ASSERT_EQ(call_->written.size(), 2u);
  const auto summary = reply(1);
  EXPECT_EQ(summary["status"], "success");
  EXPECT_EQ(summary["rows_processed"], 6);
  EXPECT_EQ(summary["storage_backend"], "duckdb");
  EXPECT_EQ(summary["message"], "Data processed successfully");
  EXPECT_EQ(summary["version"], "duckdb:8");
  EXPECT_EQ(summary["request_id"], "request-1");
  EXPECT_EQ(status(), 0);
  const auto upload = ingest_->upload();
  EXPECT_TRUE(upload.finished);
  EXPECT_FALSE(upload.aborted);
  EXPECT_EQ(upload.batches.size(), 2u);
  EXPECT_TRUE(upload.batches[1]->Equals(*NumberBatch(3, 10)));
}

TEST_F(PutHandlerTest, PathIsTheStream) {
  Put(PathDescriptor({"sales.orders"}));
  EXPECT_EQ(ingest_->upload().request.stream, "sales.orders");
  EXPECT_EQ(ingest_->upload().request.commit, ingest::CommitMode::kStream);
}

TEST_F(PutHandlerTest, OptionsBecomeTheRequest) {
  ingest_->set_script({.producer_last_sequence = 4});
  Put(CommandDescriptor(R"({"stream_name": "s", "producer": "p", "sequence": 5,
      "commit": "batch", "schema_mode": "merge", "chunk_size": 100, "table": "t",
      "delta_options": {"partition_by": ["a", "b"], "type_widening": true}})"));
  const auto request = ingest_->upload().request;
  EXPECT_EQ(request.producer, "p");
  EXPECT_EQ(request.sequence, 5);
  EXPECT_EQ(request.commit, ingest::CommitMode::kBatch);
  EXPECT_EQ(request.protocol, "flight");
  const std::map<std::string, std::string> expected = {
      {"schema_mode", "merge"},
      {"chunk_size", "100"},
      {"target_table", "t"},
      {"delta_options.partition_by", "a,b"},
      {"delta_options.type_widening", "true"}};
  EXPECT_EQ(request.overrides, expected);
  EXPECT_EQ(reply(0)["producer_last_sequence"], 4);
}

TEST_F(PutHandlerTest, OtherDescriptorsAreRefused) {
  const std::vector<proto::FlightDescriptor> refused = {
      CommandDescriptor("INSERT INTO t SELECT 1"),
      CommandDescriptor(R"({"query": "SELECT 1"})"),
      CommandDescriptor(R"({"stream_name": ""})"),
      CommandDescriptor(R"({"stream_name": 7})"),
      CommandDescriptor(R"({"stream_name": "s")"),
      CommandDescriptor(R"({"stream_name": "s", "sequence": 1})"),
      CommandDescriptor(R"({"stream_name": "s", "producer": "p"})"),
      CommandDescriptor(R"({"stream_name": "s", "commit": "often"})"),
      CommandDescriptor(
          R"({"stream_name": "s", "commit": "batch", "idempotency_key": "k"})"),
      CommandDescriptor(
          R"({"stream_name": "s", "commit": "batch", "mode": "overwrite"})"),
      CommandDescriptor(""),
      CommandDescriptor("\xFF\xFE"),
      PathDescriptor({}),
      PathDescriptor({"a", "b"}),
      PathDescriptor({""}),
      proto::FlightDescriptor(),
  };
  for (const auto& descriptor : refused) {
    call_ = std::make_shared<FakeCall>("DoPut");
    handler_.reset();
    Put(descriptor);
    EXPECT_EQ(status(), kInvalidArgument) << descriptor.cmd() << ": " << message();
  }
  EXPECT_EQ(ingest_->upload_count(), 0u);
}

TEST_F(PutHandlerTest, UnknownFlightSqlCommandsAreNamed) {
  Put(CommandDescriptor(FlightSqlAny("CommandStatementIngest", proto::Ticket())));
  EXPECT_EQ(status(), static_cast<int>(GrpcStatus::kUnimplemented));
  EXPECT_NE(message().find("CommandStatementIngest"), std::string::npos);
}

TEST_F(PutHandlerTest, FirstMessageNeedsADescriptor) {
  auto messages = PutMessages(PathDescriptor({"s"}), {NumberBatch(1)});
  messages[0].descriptor = nullptr;
  Send(messages);
  EXPECT_EQ(status(), kInvalidArgument);
}

TEST_F(PutHandlerTest, ADescriptorAloneMayComeFirst) {
  auto messages = PutMessages(PathDescriptor({"s"}), {NumberBatch(1)});
  net::Message opening;
  opening.descriptor = std::exchange(messages[0].descriptor, nullptr);
  messages.insert(messages.begin(), opening);
  Send(messages);
  EndUpload();
  EXPECT_EQ(status(), 0);
}

TEST_F(PutHandlerTest, UploadWithoutSchemaIsNotASuccess) {
  net::Message opening;
  opening.descriptor = ToBuffer(PathDescriptor({"s"}).SerializeAsString());
  Send({opening});
  EndUpload();
  EXPECT_EQ(status(), kInvalidArgument);
  EXPECT_TRUE(ingest_->upload().aborted);
}

TEST_F(PutHandlerTest, RefusedBatchEndsTheCallAtOnceAndRollsBack) {
  ingest_->set_script({.fail_push_at = 1});
  Put(PathDescriptor({"s"}), 3);
  EXPECT_EQ(status(), kInvalidArgument);
  EXPECT_EQ(message(), "message 1: column c0, row 1: does not fit");
  EXPECT_TRUE(ingest_->upload().aborted);
  EXPECT_EQ(ingest_->upload().batches.size(), 1u) << "what follows is dropped";
}

TEST_F(PutHandlerTest, RefusedSchemaAndSessionEndTheCall) {
  ingest_->set_script({.start = MakeError(ErrorCode::kSchemaMismatch, "column x")});
  Put(PathDescriptor({"s"}));
  EXPECT_EQ(status(), kInvalidArgument);
  EXPECT_EQ(call_->written.size(), 0u);

  call_ = std::make_shared<FakeCall>("DoPut");
  handler_.reset();
  ingest_->set_script({.open = MakeError(ErrorCode::kNotBuilt, "no delta")});
  Put(PathDescriptor({"s"}));
  EXPECT_EQ(status(), static_cast<int>(GrpcStatus::kUnimplemented));
}

TEST_F(PutHandlerTest, RefusedCommitIsTheCallsStatus) {
  ingest_->set_script({.finish_failure = MakeError(ErrorCode::kNoSpace, "disk full")});
  Put(PathDescriptor({"s"}));
  EndUpload();
  EXPECT_EQ(status(), static_cast<int>(GrpcStatus::kResourceExhausted));
  EXPECT_EQ(call_->written.size(), 1u);
}

TEST_F(PutHandlerTest, AKilledClientIsRolledBack) {
  Put(PathDescriptor({"s"}));
  handler_->OnDone(MakeError(ErrorCode::kCancelled, "the peer went away"));
  EXPECT_TRUE(ingest_->upload().aborted);
  EXPECT_FALSE(ingest_->upload().finished);
  handler_.reset();
  EXPECT_FALSE(call_->outcome.has_value());
}

TEST_F(PutHandlerTest, AMalformedBodyIsRolledBack) {
  Put(PathDescriptor({"s"}));
  handler_->OnBodyError(MakeError(ErrorCode::kTooLarge, "message too large"));
  EXPECT_EQ(status(), static_cast<int>(GrpcStatus::kResourceExhausted));
  EXPECT_TRUE(ingest_->upload().aborted);
}

TEST_F(PutHandlerTest, PressurePausesReadingUntilReady) {
  ingest_->set_script({.pause_at = 1});
  Put(PathDescriptor({"s"}), 2);
  EXPECT_TRUE(call_->paused);
  ingest_->observer()->OnReady();
  EXPECT_TRUE(call_->paused) << "only the call's own events touch it";
  call_->RunTasks();
  EXPECT_FALSE(call_->paused);
}

TEST_F(PutHandlerTest, BatchModeAcknowledgesAsItGoes) {
  ingest_->set_script({.ack_on_push = true});
  Put(CommandDescriptor(R"({"stream_name": "s", "commit": "batch"})"), 3);
  ASSERT_EQ(call_->written.size(), 4u);
  EXPECT_EQ(reply(3), nlohmann::json::parse(
                          R"({"ack_up_to_offset": 2, "ack_up_to_records": 9,
                              "version": "duckdb:7"})"));
  EndUpload();
  EXPECT_EQ(reply(4)["rows_processed"], 9);
  EXPECT_EQ(status(), 0);
}

TEST_F(PutHandlerTest, UnreadAcksMergeAndDoNotGrow) {
  ingest_->set_script({.ack_on_push = true});
  call_->writes_before_full = 2;
  Put(CommandDescriptor(R"({"stream_name": "s", "commit": "batch"})"), 100);
  EXPECT_EQ(call_->written.size(), 2u) << "ready, one ack, then the peer reads no more";
  EXPECT_EQ(ingest_->upload().batches.size(), 100u) << "the upload goes on";
  call_->writes_since_drain = 0;
  handler_->OnWritable();
  ASSERT_EQ(call_->written.size(), 3u);
  EXPECT_EQ(reply(2)["ack_up_to_offset"], 99);
  EXPECT_EQ(reply(2)["ack_up_to_records"], 300);
}

TEST_F(PutHandlerTest, ManyAcksBetweenTwoEventsPostOneTask) {
  Put(CommandDescriptor(R"({"stream_name": "s", "commit": "batch"})"), 1);
  for (int i = 0; i < 1000; ++i) {
    ingest_->observer()->OnAck({i, i, "duckdb:1", {}});
  }
  EXPECT_EQ(call_->task_count(), 1u);
  call_->RunTasks();
  EXPECT_EQ(reply(1)["ack_up_to_offset"], 999);
}

TEST_F(PutHandlerTest, QuarantinedOffsetsSurviveMerging) {
  Put(CommandDescriptor(R"({"stream_name": "s", "commit": "batch"})"), 1);
  ingest_->observer()->OnAck({0, 1, "v1", {0}});
  ingest_->observer()->OnAck({1, 2, "v1", {}});
  ingest_->observer()->OnAck({3, 3, "v2", {2, 3}});
  call_->RunTasks();
  EXPECT_EQ(reply(1)["quarantined"], nlohmann::json({0, 2, 3}));
  EXPECT_EQ(reply(1)["version"], "v2");
}

TEST_F(PutHandlerTest, BatchModeKeepsWhatCameBeforeABadMessage) {
  ingest_->set_script({.fail_push_at = 2, .ack_on_push = true});
  Put(CommandDescriptor(R"({"stream_name": "s", "commit": "batch"})"), 4);
  EXPECT_EQ(status(), kInvalidArgument);
  EXPECT_EQ(message(), "message 2: column c0, row 1: does not fit");
  EXPECT_EQ(PutReply(call_->written.back())["ack_up_to_offset"], 1);
}

TEST_F(PutHandlerTest, BatchModeCommitsWhatCameBeforeABrokenMessage) {
  auto messages =
      PutMessages(CommandDescriptor(R"({"stream_name": "s", "commit": "batch"})"),
                  {NumberBatch(1), NumberBatch(2), NumberBatch(3)});
  messages[2].metadata = ToBuffer("not a flatbuffer");
  Send(messages);
  EXPECT_EQ(status(), kInvalidArgument);
  EXPECT_NE(message().find("message 1: "), std::string::npos) << message();
  EXPECT_TRUE(ingest_->upload().finished);
  EXPECT_EQ(ingest_->upload().batches.size(), 1u);
}

TEST_F(PutHandlerTest, OffsetsMustCountUpFromZero) {
  const auto put = [this](const std::vector<std::string>& metadata) {
    call_ = std::make_shared<FakeCall>("DoPut");
    handler_.reset();
    std::vector<std::shared_ptr<arrow::RecordBatch>> rows(metadata.size(),
                                                          NumberBatch(1));
    auto messages = PutMessages(PathDescriptor({"s"}), rows);
    for (size_t i = 0; i < metadata.size(); ++i) {
      if (!metadata[i].empty()) messages[i + 1].app_metadata = ToBuffer(metadata[i]);
    }
    Send(messages);
    if (status() < 0) EndUpload();
    return status();
  };
  EXPECT_EQ(put({R"({"offset_id": 0})", R"({"offset_id": 1})"}), 0);
  EXPECT_EQ(put({"", R"({"offset_id": 1})"}), 0);
  EXPECT_EQ(put({"someone else's bytes", R"({"other": 1})"}), 0);
  EXPECT_EQ(put({R"({"offset_id": 1})"}), kInvalidArgument);
  EXPECT_EQ(put({R"({"offset_id": 0})", R"({"offset_id": 0})"}), kInvalidArgument);
  EXPECT_EQ(put({R"({"offset_id": "0"})"}), kInvalidArgument);
  EXPECT_EQ(put({R"({"offset_id": 18446744073709551615})"}), kInvalidArgument);
}

TEST_F(PutHandlerTest, NewsAfterTheEndIsIgnored) {
  Put(PathDescriptor({"s"}));
  auto observer = ingest_->observer();
  EndUpload();
  observer->OnAck({5, 5, "v", {}});
  call_->RunTasks();
  EXPECT_EQ(call_->written.size(), 2u);
}

}  // namespace
}  // namespace arrowport::wire::flight
