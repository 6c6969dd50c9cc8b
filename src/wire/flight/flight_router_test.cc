#include "wire/flight/flight_router.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "wire/flight/error_map.h"
#include "wire/flight/flight_test_messages.h"
#include "wire/flight/run_once.h"

namespace arrowport::wire::flight {
namespace {

class FlightRouterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    query_->Add("SELECT 1", {NumberBatch(3), NumberBatch(2, 3)});
    query_->Add("main.events", {NumberBatch(4)});
    query_->Add("sales.orders", {NumberBatch(1)});
    query_->Add("SELECT nothing",
                FakeQuery::Result{NumberBatch(0)->schema(), {}, arrow::Status::OK()});
    query_->Add("SELECT broken",
                FakeQuery::Result{NumberBatch(0)->schema(),
                                  {NumberBatch(1)},
                                  MakeError(ErrorCode::kBadQuery, "division by zero")});
    MakeRouter({});
  }

  void MakeRouter(SenderOptions sender) {
    FlightOptions options;
    options.ingest = ingest_;
    options.query = query_;
    options.authenticator = MakeOpenAuthenticator(OpenTo::kLoopback);
    options.sender = sender;
    router_ = std::make_unique<FlightRouter>(std::move(options));
  }

  // Opens a call; its handler stays until the next one.
  void Open(const std::string& method, net::Headers headers = {}) {
    call_ = std::make_shared<FakeCall>(method, std::move(headers));
    route_ = router_->OnRequest(call_->head(), call_);
  }
  void Run(const std::string& method, const google::protobuf::MessageLite& request,
           net::Headers headers = {}) {
    Open(method, std::move(headers));
    ASSERT_NE(route_.handler, nullptr) << method;
    route_.handler->OnMessage(Raw(request));
    route_.handler->OnEnd();
    query_->Join();
    call_->RunTasks();
  }
  template <typename Reply>
  Reply Only() {
    Reply reply;
    EXPECT_EQ(status(), 0) << call_->outcome->message;
    EXPECT_EQ(call_->written.size(), 1u);
    if (!call_->written.empty()) {
      EXPECT_TRUE(reply.ParseFromString(call_->written[0]));
    }
    return reply;
  }
  ReadResult Get(const std::string& ticket) {
    proto::Ticket request;
    request.set_ticket(ticket);
    Run("DoGet", request);
    EXPECT_EQ(status(), 0);
    return ReadFlightData(call_->written);
  }
  int status() const { return call_->finished ? call_->outcome->grpc_status : -1; }
  static int64_t Rows(const ReadResult& result) {
    int64_t rows = 0;
    for (const auto& batch : result.batches) rows += batch->num_rows();
    return rows;
  }

  std::shared_ptr<FakeIngest> ingest_ = std::make_shared<FakeIngest>();
  std::shared_ptr<FakeQuery> query_ = std::make_shared<FakeQuery>();
  std::unique_ptr<FlightRouter> router_;
  std::shared_ptr<FakeCall> call_;
  net::Route route_;
};

std::shared_ptr<arrow::RecordBatch> CountBatch(int64_t count) {
  return MakeCountBatch(count).ValueOrDie();
}

constexpr int kUnimplemented = static_cast<int>(GrpcStatus::kUnimplemented);
constexpr int kInvalidArgument = static_cast<int>(GrpcStatus::kInvalidArgument);

TEST_F(FlightRouterTest, TakesOnlyFlightOverGrpc) {
  Open("DoNothing");
  EXPECT_EQ(route_.handler, nullptr);
  auto call = std::make_shared<FakeCall>("DoGet");
  call->head_.protocol = net::Protocol::kHttp1;
  EXPECT_EQ(router_->OnRequest(call->head(), call).handler, nullptr);
  call->head_.protocol = net::Protocol::kGrpc;
  call->head_.path = "/some.other.Service/DoGet";
  EXPECT_EQ(router_->OnRequest(call->head(), call).handler, nullptr);
  Open("DoPut");
  EXPECT_EQ(route_.format, net::MessageFormat::kFlightData);
}

TEST_F(FlightRouterTest, HandedOutTicketsReadWhatWasDescribed) {
  const std::vector<std::pair<proto::FlightDescriptor, int64_t>> cases = {
      {CommandDescriptor("SELECT 1"), 5},
      {CommandDescriptor(R"({"query": "SELECT 1"})"), 5},
      {PathDescriptor({"events"}), 4},
      {PathDescriptor({"sales", "orders"}), 1},
  };
  for (const auto& [descriptor, rows] : cases) {
    Run("GetFlightInfo", descriptor);
    const auto info = Only<proto::FlightInfo>();
    EXPECT_EQ(info.flight_descriptor().SerializeAsString(),
              descriptor.SerializeAsString());
    EXPECT_EQ(info.total_records(), -1);
    ASSERT_EQ(info.endpoint_size(), 1);
    EXPECT_EQ(info.endpoint(0).location_size(), 0);
    const auto result = Get(info.endpoint(0).ticket().ticket());
    EXPECT_EQ(Rows(result), rows);
    Run("GetSchema", descriptor);
    EXPECT_EQ(Only<proto::SchemaResult>().schema(), info.schema());
  }
}

TEST_F(FlightRouterTest, PollFlightInfoIsCompleteAtOnce) {
  Run("PollFlightInfo", CommandDescriptor("SELECT 1"));
  const auto poll = Only<proto::PollInfo>();
  EXPECT_EQ(poll.progress(), 1.0);
  EXPECT_FALSE(poll.has_flight_descriptor());
  EXPECT_EQ(poll.info().endpoint_size(), 1);
}

TEST_F(FlightRouterTest, SqlTextIsATicketToo) { EXPECT_EQ(Rows(Get("SELECT 1")), 5); }

TEST_F(FlightRouterTest, ReadAfterComesFromTheHeaderOrTheTicket) {
  Run("GetFlightInfo", CommandDescriptor("SELECT 1"),
      {{"arrowport-read-after", "duckdb:9"}});
  const auto info = Only<proto::FlightInfo>();
  Get(info.endpoint(0).ticket().ticket());
  EXPECT_EQ(query_->last_request().read_after, "duckdb:9");
}

TEST_F(FlightRouterTest, BadReadsAreRefused) {
  const auto run = [this](const proto::FlightDescriptor& descriptor) {
    Run("GetFlightInfo", descriptor);
    return status();
  };
  EXPECT_EQ(run(CommandDescriptor("")), kInvalidArgument);
  EXPECT_EQ(run(CommandDescriptor("  ")), kInvalidArgument);
  EXPECT_EQ(run(CommandDescriptor("SELECT '\xFF'")), kInvalidArgument);
  EXPECT_EQ(run(CommandDescriptor("{\"query\":")), kInvalidArgument);
  EXPECT_EQ(run(CommandDescriptor("{}")), kInvalidArgument);
  EXPECT_EQ(run(CommandDescriptor(R"({"query": 7})")), kInvalidArgument);
  EXPECT_EQ(run(PathDescriptor({"a", "b", "c", "d"})), kInvalidArgument);
  EXPECT_EQ(run(PathDescriptor({""})), kInvalidArgument);
  EXPECT_EQ(run(proto::FlightDescriptor()), kInvalidArgument);
  EXPECT_EQ(run(CommandDescriptor("SELECT missing")),
            static_cast<int>(GrpcStatus::kNotFound));
  Open("GetFlightInfo");
  net::Message garbage;
  garbage.body = ToBuffer("\xFF\xFF\xFF");
  route_.handler->OnMessage(garbage);
  route_.handler->OnEnd();
  EXPECT_EQ(status(), kInvalidArgument);
  Open("GetFlightInfo");
  route_.handler->OnEnd();
  EXPECT_EQ(status(), kInvalidArgument);
}

TEST_F(FlightRouterTest, EmptyResultHasSchemaAndOneBatchWithoutRows) {
  const auto result = Get("SELECT nothing");
  ASSERT_NE(result.schema, nullptr);
  ASSERT_EQ(result.batches.size(), 1u);
  EXPECT_EQ(result.batches[0]->num_rows(), 0);
}

TEST_F(FlightRouterTest, ErrorInMidStreamIsTheStatus) {
  proto::Ticket ticket;
  ticket.set_ticket("SELECT broken");
  Run("DoGet", ticket);
  EXPECT_EQ(status(), kInvalidArgument);
  EXPECT_EQ(call_->outcome->message, "division by zero");
}

TEST_F(FlightRouterTest, LargeBatchesAreCutByRows) {
  MakeRouter({.message_bytes_max = 4096});
  auto batch = NumberBatch(2000);
  query_->Add("SELECT large", {batch});
  const auto result = Get("SELECT large");
  EXPECT_GT(result.batches.size(), 5u);
  EXPECT_EQ(Rows(result), 2000);
  for (const auto& bytes : call_->written) EXPECT_LT(bytes.size(), 4200u);
  auto table = arrow::Table::FromRecordBatches(result.batches).ValueOrDie();
  EXPECT_TRUE(table->Equals(*arrow::Table::FromRecordBatches({batch}).ValueOrDie()));
}

TEST_F(FlightRouterTest, OneHugeRowGoesAlone) {
  MakeRouter({.message_bytes_max = 4096});
  arrow::StringBuilder builder;
  ASSERT_TRUE(builder.Append(std::string(100000, 'x')).ok());
  ASSERT_TRUE(builder.Append("y").ok());
  auto schema = arrow::schema({arrow::field("t", arrow::utf8())});
  query_->Add("SELECT huge",
              {arrow::RecordBatch::Make(schema, 2, {builder.Finish().ValueOrDie()})});
  const auto result = Get("SELECT huge");
  EXPECT_EQ(result.batches.size(), 2u);
}

TEST_F(FlightRouterTest, ASlowReaderStopsTheQueryAndLosesNothing) {
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
  for (int i = 0; i < 50; ++i) batches.push_back(NumberBatch(10, 10 * i));
  query_->Add("SELECT many", batches);
  proto::Ticket ticket;
  ticket.set_ticket("SELECT many");
  Open("DoGet");
  call_->writes_before_full = 4;
  route_.handler->OnMessage(Raw(ticket));
  route_.handler->OnEnd();
  // Each time the call drains, at most what fits follows. The query's thread runs on its
  // own: looking again until the end costs nothing but time.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (status() < 0 && std::chrono::steady_clock::now() < deadline) {
    call_->writes_since_drain = 0;
    route_.handler->OnWritable();
    std::this_thread::yield();
  }
  query_->Join();
  ASSERT_EQ(status(), 0);
  EXPECT_EQ(Rows(ReadFlightData(call_->written)), 500);
}

TEST_F(FlightRouterTest, AGoneClientStopsTheQuery) {
  query_->Add("SELECT many",
              std::vector<std::shared_ptr<arrow::RecordBatch>>(20, NumberBatch(10)));
  proto::Ticket ticket;
  ticket.set_ticket("SELECT many");
  Open("DoGet");
  call_->writes_before_full = 2;
  route_.handler->OnMessage(Raw(ticket));
  route_.handler->OnEnd();
  route_.handler->OnDone(MakeError(ErrorCode::kCancelled, "gone"));
  route_.handler.reset();
  query_->Join();
  EXPECT_LT(call_->written.size(), 20u);
}

TEST_F(FlightRouterTest, ListFlightsShowsEachTableOnce) {
  Run("ListFlights", proto::Criteria());
  ASSERT_EQ(status(), 0);
  ASSERT_EQ(call_->written.size(), 2u);
  proto::FlightInfo events;
  proto::FlightInfo orders;
  ASSERT_TRUE(events.ParseFromString(call_->written[0]));
  ASSERT_TRUE(orders.ParseFromString(call_->written[1]));
  EXPECT_EQ(events.flight_descriptor().path_size(), 1);
  EXPECT_EQ(orders.flight_descriptor().path_size(), 2);
  EXPECT_EQ(orders.flight_descriptor().path(0), "sales");
  EXPECT_EQ(events.total_records(), 42);
  EXPECT_EQ(Rows(Get(events.endpoint(0).ticket().ticket())), 4);
}

TEST_F(FlightRouterTest, RepliesWaitForASlowReader) {
  Open("ListActions");
  call_->writes_before_full = 1;
  route_.handler->OnMessage(Raw(proto::Criteria()));
  route_.handler->OnEnd();
  for (int i = 0; i < 10 && status() < 0; ++i) {
    EXPECT_EQ(call_->written.size(), static_cast<size_t>(i + 1));
    call_->writes_since_drain = 0;
    route_.handler->OnWritable();
  }
  EXPECT_EQ(status(), 0);
  EXPECT_EQ(call_->written.size(), 5u);
}

TEST_F(FlightRouterTest, Actions) {
  const auto act = [this](const std::string& type) {
    proto::Action action;
    action.set_type(type);
    Run("DoAction", action);
    return status();
  };
  EXPECT_EQ(act("healthcheck"), 0);
  EXPECT_EQ(Only<proto::Result>().body(), R"({"status":"ok"})");
  EXPECT_EQ(act("flush"), 0);
  EXPECT_EQ(ingest_->flushes, 1);
  EXPECT_EQ(act("checkpoint"), static_cast<int>(GrpcStatus::kUnavailable));
  EXPECT_EQ(act("delta.vacuum"), kUnimplemented);
  EXPECT_EQ(act("dance"), kUnimplemented);
  EXPECT_NE(call_->outcome->message.find("dance"), std::string::npos);
}

TEST_F(FlightRouterTest, DoExchangeIsRefusedByName) {
  Open("DoExchange");
  route_.handler->OnEnd();
  EXPECT_EQ(status(), kUnimplemented);
  EXPECT_NE(call_->outcome->message.find("DoExchange"), std::string::npos);
}

TEST_F(FlightRouterTest, FlightSqlStatements) {
  proto::CommandStatementQuery query;
  query.set_query("SELECT 1");
  Run("GetFlightInfo", CommandDescriptor(FlightSqlAny("CommandStatementQuery", query)));
  const auto info = Only<proto::FlightInfo>();
  EXPECT_EQ(Rows(Get(info.endpoint(0).ticket().ticket())), 5);
  query.set_transaction_id("t1");
  Run("GetFlightInfo", CommandDescriptor(FlightSqlAny("CommandStatementQuery", query)));
  EXPECT_EQ(status(), kUnimplemented);
  Run("GetFlightInfo",
      CommandDescriptor(FlightSqlAny("CommandGetCatalogs", proto::Ticket())));
  EXPECT_EQ(status(), kUnimplemented);
  EXPECT_NE(call_->outcome->message.find("CommandGetCatalogs"), std::string::npos);
}

TEST_F(FlightRouterTest, FlightSqlPreparedStatements) {
  proto::ActionCreatePreparedStatementRequest request;
  request.set_query("SELECT 1");
  proto::Action action;
  action.set_type("CreatePreparedStatement");
  action.set_body(FlightSqlAny("ActionCreatePreparedStatementRequest", request));
  Run("DoAction", action);
  proto::Any any;
  ASSERT_TRUE(any.ParseFromString(Only<proto::Result>().body()));
  EXPECT_EQ(any.type_url(),
            "type.googleapis.com/arrow.flight.protocol.sql."
            "ActionCreatePreparedStatementResult");
  proto::ActionCreatePreparedStatementResult prepared;
  ASSERT_TRUE(prepared.ParseFromString(any.value()));
  EXPECT_FALSE(prepared.dataset_schema().empty());

  proto::CommandPreparedStatementQuery command;
  command.set_prepared_statement_handle(prepared.prepared_statement_handle());
  Run("GetFlightInfo",
      CommandDescriptor(FlightSqlAny("CommandPreparedStatementQuery", command)));
  const auto info = Only<proto::FlightInfo>();
  EXPECT_EQ(Rows(Get(info.endpoint(0).ticket().ticket())), 5);

  proto::ActionClosePreparedStatementRequest close;
  close.set_prepared_statement_handle(prepared.prepared_statement_handle());
  action.set_type("ClosePreparedStatement");
  action.set_body(FlightSqlAny("ActionClosePreparedStatementRequest", close));
  Run("DoAction", action);
  EXPECT_EQ(status(), 0);

  command.set_prepared_statement_handle("forged");
  Run("GetFlightInfo",
      CommandDescriptor(FlightSqlAny("CommandPreparedStatementQuery", command)));
  EXPECT_EQ(status(), static_cast<int>(GrpcStatus::kNotFound));
}

TEST_F(FlightRouterTest, FlightSqlStatementsWithoutRowsRunOnceWhenDescribed) {
  query_->Add("INSERT three", {CountBatch(3)});
  proto::CommandStatementQuery query;
  query.set_query("INSERT three");
  const auto descriptor = CommandDescriptor(FlightSqlAny("CommandStatementQuery", query));
  Run("GetSchema", descriptor);
  EXPECT_EQ(status(), 0);
  EXPECT_EQ(query_->executions(), 0) << "asking for the schema runs nothing";
  Run("GetFlightInfo", descriptor);
  const auto info = Only<proto::FlightInfo>();
  EXPECT_EQ(query_->executions(), 1);
  const auto result = Get(info.endpoint(0).ticket().ticket());
  EXPECT_EQ(query_->executions(), 1);
  ASSERT_EQ(result.batches.size(), 1u);
  EXPECT_TRUE(result.batches[0]->Equals(*CountBatch(3)));

  query.set_query("INSERT into nothing");
  Run("GetFlightInfo", CommandDescriptor(FlightSqlAny("CommandStatementQuery", query)));
  EXPECT_EQ(status(), static_cast<int>(GrpcStatus::kNotFound));
}

TEST_F(FlightRouterTest, FlightSqlInfo) {
  proto::CommandGetSqlInfo command;
  command.add_info(0);
  command.add_info(8);
  command.add_info(999999);
  Run("GetFlightInfo", CommandDescriptor(FlightSqlAny("CommandGetSqlInfo", command)));
  const auto info = Only<proto::FlightInfo>();
  const auto result = Get(info.endpoint(0).ticket().ticket());
  ASSERT_EQ(result.batches.size(), 1u);
  EXPECT_EQ(result.batches[0]->num_rows(), 2);
  ASSERT_TRUE(result.batches[0]->ValidateFull().ok());
  EXPECT_EQ(result.batches[0]->column(1)->GetScalar(0).ValueOrDie()->ToString(),
            "union{string_value: string not null = Arrowport}");
  Run("GetFlightInfo",
      CommandDescriptor(FlightSqlAny("CommandGetSqlInfo", proto::CommandGetSqlInfo())));
  EXPECT_GT(Rows(Get(Only<proto::FlightInfo>().endpoint(0).ticket().ticket())), 10);
}

TEST_F(FlightRouterTest, BasicCredentialsAreAnsweredWithAToken) {
  // "user:pass:word" without padding, as the Go driver sends it.
  Run("ListActions", proto::Criteria(), {{"authorization", "Basic dXNlcjpwYXNzOndvcmQ"}});
  EXPECT_EQ(status(), 0);
  ASSERT_TRUE(call_->response_head.has_value());
  ASSERT_EQ(call_->response_head->headers.size(), 1u);
  EXPECT_EQ(call_->response_head->headers[0].first, "authorization");
  EXPECT_EQ(call_->response_head->headers[0].second.substr(0, 7), "Bearer ");
  Run("ListActions", proto::Criteria(), {{"authorization", "Bearer abc"}});
  EXPECT_EQ(status(), 0);
  Run("ListActions", proto::Criteria(), {{"authorization", "Basic !!!"}});
  EXPECT_EQ(status(), static_cast<int>(GrpcStatus::kUnauthenticated));
  EXPECT_TRUE(call_->written.empty());
}

TEST_F(FlightRouterTest, ProtectedModeServesOnlyLocalPeers) {
  auto call = std::make_shared<FakeCall>("ListActions");
  call->head_.peer = {"10.0.0.7", 1, false, false};
  auto route = router_->OnRequest(call->head(), call);
  route.handler->OnMessage(Raw(proto::Criteria()));
  ASSERT_TRUE(call->outcome.has_value());
  EXPECT_EQ(call->outcome->grpc_status, static_cast<int>(GrpcStatus::kUnauthenticated));
  EXPECT_NE(call->outcome->message.find("auth.allow_anonymous"), std::string::npos);
}

TEST_F(FlightRouterTest, HandshakesOfAllKinds) {
  const auto shake = [this](const std::string& payload) {
    Open("Handshake");
    proto::HandshakeRequest request;
    request.set_payload(payload);
    route_.handler->OnMessage(Raw(request));
    EXPECT_EQ(call_->written.size(), 1u) << "answered before the client's end";
    route_.handler->OnEnd();
    return Only<proto::HandshakeResponse>().payload();
  };
  EXPECT_FALSE(shake(R"({"username": "u", "password": "p"})").empty());
  proto::BasicAuth basic;
  basic.set_username("u");
  basic.set_password("p");
  EXPECT_FALSE(shake(basic.SerializeAsString()).empty());
  EXPECT_FALSE(shake("").empty());
  Open("Handshake", {{"authorization", "Basic dTpw"}});
  route_.handler->OnEnd();
  EXPECT_EQ(status(), 0);
  EXPECT_TRUE(call_->response_head.has_value());
}

}  // namespace
}  // namespace arrowport::wire::flight
