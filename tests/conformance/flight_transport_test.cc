// The Flight handlers behind the real listener, judged by Arrow's own C++ client; the
// services behind them are fakes.
#include <arrow/flight/api.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "wire/flight/flight_fakes.h"
#include "wire/flight/flight_router.h"
#include "wire/net/listener.h"

namespace arrowport::wire::flight {
namespace {

namespace client = ::arrow::flight;

class FlightTransportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    query_->Add("SELECT 1", {NumberBatch(1000), NumberBatch(500, 1000)});
    query_->Add("main.events", {NumberBatch(4)});
    FlightOptions options;
    options.ingest = ingest_;
    options.query = query_;
    options.authenticator = MakeOpenAuthenticator(OpenTo::kLoopback);
    net::ListenerOptions listener;
    listener.io_threads = 1;
    listener.worker_threads = 2;
    listener.router = std::make_shared<FlightRouter>(std::move(options));
    listener_ = net::Listener::Make(std::move(listener)).ValueOrDie();
    const uint16_t port = listener_->Bind("127.0.0.1", 0).ValueOrDie();
    ASSERT_TRUE(listener_->Start().ok());
    location_ = client::Location::ForGrpcTcp("127.0.0.1", port).ValueOrDie();
    client_ = client::FlightClient::Connect(location_).ValueOrDie();
  }

  void TearDown() override {
    if (client_) {
      EXPECT_TRUE(client_->Close().ok());
    }
    listener_->Stop(std::chrono::seconds(5));
  }

  static bool Eventually(const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  static nlohmann::json ReadReply(client::FlightMetadataReader& reader) {
    std::shared_ptr<arrow::Buffer> metadata;
    const auto status = reader.ReadMetadata(&metadata);
    EXPECT_TRUE(status.ok()) << status.ToString();
    if (!metadata) return nullptr;
    return nlohmann::json::parse(metadata->ToString());
  }

  client::FlightClient::DoPutResult Put(const client::FlightDescriptor& descriptor,
                                        const std::shared_ptr<arrow::Schema>& schema) {
    return client_->DoPut(descriptor, schema).ValueOrDie();
  }

  std::shared_ptr<FakeIngest> ingest_ = std::make_shared<FakeIngest>();
  std::shared_ptr<FakeQuery> query_ = std::make_shared<FakeQuery>();
  std::unique_ptr<net::Listener> listener_;
  client::Location location_;
  std::unique_ptr<client::FlightClient> client_;
};

TEST_F(FlightTransportTest, PutIsReadyLandsAndIsSummedUp) {
  const auto batch = NumberBatch(100000);
  auto put = Put(client::FlightDescriptor::Path({"events"}), batch->schema());
  EXPECT_EQ(ReadReply(*put.reader)["ready"], true);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(put.writer->WriteRecordBatch(*batch).ok());
  ASSERT_TRUE(put.writer->DoneWriting().ok());
  const auto summary = ReadReply(*put.reader);
  EXPECT_EQ(summary["status"], "success");
  EXPECT_EQ(summary["rows_processed"], 2000000);
  ASSERT_TRUE(put.writer->Close().ok());
  const auto upload = ingest_->upload();
  ASSERT_EQ(upload.batches.size(), 20u);
  EXPECT_TRUE(upload.batches[19]->Equals(*batch));
}

TEST_F(FlightTransportTest, BatchModeAcknowledgesWithOffsets) {
  ingest_->set_script({.ack_on_push = true});
  const auto batch = NumberBatch(10);
  auto put = Put(client::FlightDescriptor::Command(
                     R"({"stream_name": "events", "commit": "batch"})"),
                 batch->schema());
  EXPECT_EQ(ReadReply(*put.reader)["ready"], true);
  for (int i = 0; i < 5; ++i) {
    const auto metadata =
        arrow::Buffer::FromString("{\"offset_id\":" + std::to_string(i) + "}");
    ASSERT_TRUE(put.writer->WriteWithMetadata(*batch, metadata).ok());
    EXPECT_EQ(ReadReply(*put.reader)["ack_up_to_offset"], i);
  }
  ASSERT_TRUE(put.writer->DoneWriting().ok());
  EXPECT_EQ(ReadReply(*put.reader)["rows_processed"], 50);
  ASSERT_TRUE(put.writer->Close().ok());
}

TEST_F(FlightTransportTest, AClientThatNeverReadsAcksIsNotStalled) {
  ingest_->set_script({.ack_on_push = true});
  const auto batch = NumberBatch(1);
  auto put = Put(client::FlightDescriptor::Command(
                     R"({"stream_name": "events", "commit": "batch"})"),
                 batch->schema());
  for (int i = 0; i < 20000; ++i) {
    ASSERT_TRUE(put.writer->WriteRecordBatch(*batch).ok()) << i;
  }
  ASSERT_TRUE(put.writer->DoneWriting().ok());
  EXPECT_TRUE(Eventually([this] { return ingest_->upload().finished; }));
  EXPECT_EQ(ingest_->upload().batches.size(), 20000u);
  ASSERT_TRUE(put.writer->Close().ok());
}

TEST_F(FlightTransportTest, DictionariesAndCompressionArrive) {
  auto values = arrow::json::ArrayFromJSONString(arrow::utf8(), R"(["a", "b"])");
  auto indices = arrow::json::ArrayFromJSONString(arrow::int32(), "[0, 1, null, 0]");
  auto column =
      arrow::DictionaryArray::FromArrays(indices.ValueOrDie(), values.ValueOrDie())
          .ValueOrDie();
  auto batch = arrow::RecordBatch::Make(
      arrow::schema({arrow::field("d", column->type())}), 4, {column});
  client::FlightCallOptions options;
  options.write_options.codec =
      arrow::util::Codec::Create(arrow::Compression::ZSTD).ValueOrDie();
  auto put =
      client_->DoPut(options, client::FlightDescriptor::Path({"events"}), batch->schema())
          .ValueOrDie();
  ASSERT_TRUE(put.writer->WriteRecordBatch(*batch).ok());
  ASSERT_TRUE(put.writer->Close().ok());
  ASSERT_EQ(ingest_->upload().batches.size(), 1u);
  EXPECT_TRUE(ingest_->upload().batches[0]->Equals(*batch));
}

TEST_F(FlightTransportTest, ARefusedUploadTellsWhy) {
  ingest_->set_script({.fail_push_at = 0});
  const auto batch = NumberBatch(10);
  auto put = Put(client::FlightDescriptor::Path({"events"}), batch->schema());
  // Writes may already fail once the call has ended.
  for (int i = 0; i < 100; ++i) {
    if (!put.writer->WriteRecordBatch(*batch).ok()) break;
  }
  const auto status = put.writer->Close();
  EXPECT_EQ(status.code(), arrow::StatusCode::Invalid) << status.ToString();
  EXPECT_NE(status.message().find("message 0: column c0, row 1"), std::string::npos)
      << status.ToString();
  EXPECT_TRUE(Eventually([this] { return ingest_->upload().aborted; }));
}

TEST_F(FlightTransportTest, AnUploadCutByTheServersEndIsRolledBack) {
  const auto batch = NumberBatch(1000);
  auto put = Put(client::FlightDescriptor::Path({"events"}), batch->schema());
  ASSERT_TRUE(put.writer->WriteRecordBatch(*batch).ok());
  EXPECT_TRUE(Eventually([this] { return ingest_->upload().batches.size() == 1; }));
  listener_->Stop(std::chrono::milliseconds(0));
  EXPECT_TRUE(Eventually([this] { return ingest_->upload().aborted; }));
  EXPECT_FALSE(ingest_->upload().finished);
  EXPECT_FALSE(put.writer->Close().ok());
}

TEST_F(FlightTransportTest, GetFollowsTheHandedOutTicket) {
  for (const auto& descriptor : {client::FlightDescriptor::Command("SELECT 1"),
                                 client::FlightDescriptor::Path({"events"})}) {
    const auto info = client_->GetFlightInfo(descriptor).ValueOrDie();
    ASSERT_EQ(info->endpoints().size(), 1u);
    auto reader = client_->DoGet(info->endpoints()[0].ticket).ValueOrDie();
    arrow::ipc::DictionaryMemo memo;
    const auto schema = info->GetSchema(&memo).ValueOrDie();
    EXPECT_TRUE(schema->Equals(*reader->GetSchema().ValueOrDie()));
    const auto table = reader->ToTable().ValueOrDie();
    EXPECT_EQ(table->num_rows(),
              descriptor.type == client::FlightDescriptor::CMD ? 1500 : 4);
    ASSERT_TRUE(table->ValidateFull().ok());
    const auto described = client_->GetSchema(descriptor).ValueOrDie();
    EXPECT_TRUE(described->GetSchema(&memo).ValueOrDie()->Equals(*schema));
  }
}

TEST_F(FlightTransportTest, ALargeResultArrivesWhole) {
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches(200, NumberBatch(65536));
  query_->Add("SELECT large", batches);
  auto reader = client_->DoGet({"SELECT large"}).ValueOrDie();
  int64_t rows = 0;
  for (;;) {
    const auto chunk = reader->Next().ValueOrDie();
    if (!chunk.data) break;
    rows += chunk.data->num_rows();
  }
  EXPECT_EQ(rows, 200 * 65536);
}

TEST_F(FlightTransportTest, ErrorsKeepTheirKind) {
  const auto missing =
      client_->GetFlightInfo(client::FlightDescriptor::Command("SELECT missing"));
  EXPECT_EQ(missing.status().code(), arrow::StatusCode::KeyError)
      << missing.status().ToString();
  const auto reader = client_->DoGet({"SELECT missing"});
  const auto status = reader.ok() ? (*reader)->Next().status() : reader.status();
  EXPECT_EQ(status.code(), arrow::StatusCode::KeyError) << status.ToString();
  const auto empty = client_->GetFlightInfo(client::FlightDescriptor::Command(""));
  EXPECT_EQ(empty.status().code(), arrow::StatusCode::Invalid);
  const auto exchange = client_->DoExchange(client::FlightDescriptor::Path({"events"}));
  const auto refused = exchange.ok() ? [&] {
    EXPECT_TRUE(exchange->writer->DoneWriting().ok());
    return exchange->writer->Close();
  }()
                                     : exchange.status();
  EXPECT_EQ(refused.code(), arrow::StatusCode::NotImplemented) << refused.ToString();
}

TEST_F(FlightTransportTest, ACancelledReadStopsTheQuery) {
  query_->Add("SELECT endless",
              std::vector<std::shared_ptr<arrow::RecordBatch>>(2000, NumberBatch(10000)));
  auto reader = client_->DoGet({"SELECT endless"}).ValueOrDie();
  ASSERT_TRUE(reader->Next().ok());
  reader->Cancel();
  reader.reset();
  EXPECT_TRUE(Eventually([this] { return listener_->open_calls() == 0; }));
  query_->Join();
}

TEST_F(FlightTransportTest, ListsAndActions) {
  auto listing = client_->ListFlights().ValueOrDie();
  const auto first = listing->Next().ValueOrDie();
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->descriptor().path, std::vector<std::string>{"events"});
  EXPECT_EQ(first->total_records(), 42);
  EXPECT_EQ(listing->Next().ValueOrDie(), nullptr);
  EXPECT_EQ(client_->ListActions().ValueOrDie().size(), 5u);
  auto results = client_->DoAction({"healthcheck", nullptr}).ValueOrDie();
  EXPECT_EQ(results->Next().ValueOrDie()->body->ToString(), R"({"status":"ok"})");
  auto unknown = client_->DoAction({"dance", nullptr});
  const auto status = unknown.ok() ? (*unknown)->Next().status() : unknown.status();
  EXPECT_EQ(status.code(), arrow::StatusCode::NotImplemented) << status.ToString();
}

TEST_F(FlightTransportTest, BasicTokenHandshake) {
  const auto token = client_->AuthenticateBasicToken({}, "user", "pass:word");
  ASSERT_TRUE(token.ok()) << token.status().ToString();
  EXPECT_EQ(token->first, "authorization");
  client::FlightCallOptions options;
  options.headers.push_back(*token);
  EXPECT_TRUE(client_->ListActions(options).ok());
}

}  // namespace
}  // namespace arrowport::wire::flight
