#include "arrowport/client.h"

#include <arrow/array/builder_primitive.h>
#include <arrow/flight/server.h>
#include <arrow/flight/server_middleware.h>
#include <arrow/table.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "base/mutex.h"
#include "client/backoff.h"
#include "client/flight_error.h"
#include "client/messages.h"
#include "client/upload.h"
#include "client/url.h"

namespace arrowport {
namespace {

namespace flight = arrow::flight;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<arrow::RecordBatch> MakeBatch(int64_t rows) {
  arrow::Int64Builder builder;
  for (int64_t i = 0; i < rows; ++i) EXPECT_TRUE(builder.Append(i).ok());
  return arrow::RecordBatch::Make(arrow::schema({arrow::field("a", arrow::int64())}), rows,
                                  {builder.Finish().ValueOrDie()});
}

/// Speaks the upload contract on Arrow's own server.
class Peer : public flight::FlightServerBase {
 public:
  ~Peer() override {
    // TSan does not see that the threads of Arrow's server have ended.
    MutexLock lock(mutex_);
  }

  /// What goes wrong in the n-th upload (from 0), at its n-th message, or at its end.
  enum Moment : size_t { kStart, kMessage, kEnd };
  using Refusal = std::function<arrow::Status(int64_t number)>;
  void Refuse(Moment moment, Refusal refusal) {
    MutexLock lock(mutex_);
    refusals_[moment] = std::move(refusal);
  }

  arrow::Status DoPut(const flight::ServerCallContext& context,
                      std::unique_ptr<flight::FlightMessageReader> reader,
                      std::unique_ptr<flight::FlightMetadataWriter> writer) override {
    const json request = json::parse(reader->descriptor().cmd);
    int64_t attempt = 0;
    {
      MutexLock lock(mutex_);
      attempt = std::ssize(requests_);
      requests_.push_back(request);
    }
    ARROW_RETURN_NOT_OK(Check(kStart, attempt));
    ARROW_RETURN_NOT_OK(Say(*writer, {{"ready", true}, {"producer_last_sequence", 41}}));
    int64_t rows = 0;
    for (int64_t message = 0;; ++message) {
      ARROW_ASSIGN_OR_RAISE(const auto chunk, reader->Next());
      if (!chunk.data && !chunk.app_metadata) break;
      ARROW_RETURN_NOT_OK(Check(kMessage, message));
      if (chunk.app_metadata) {
        const json metadata = json::parse(std::string_view(*chunk.app_metadata));
        if (metadata["offset_id"] != message) return arrow::Status::Invalid("offset gap");
      }
      rows += chunk.data->num_rows();
      if (request["commit"] == "batch")
        ARROW_RETURN_NOT_OK(
            Say(*writer, {{"ack_up_to_offset", message}, {"ack_up_to_records", rows}}));
    }
    ARROW_RETURN_NOT_OK(Check(kEnd, attempt));
    {
      MutexLock lock(mutex_);
      landed_rows_ += rows;
    }
    return Say(*writer, {{"status", "success"}, {"stream", request["stream_name"]},
                         {"rows_processed", rows}, {"table", "t"}, {"durability", "file"},
                         {"storage_backend", "duckdb"}, {"version", "duckdb:1"}});
  }

  arrow::Status GetFlightInfo(const flight::ServerCallContext& context,
                              const flight::FlightDescriptor& request,
                              std::unique_ptr<flight::FlightInfo>* info) override {
    flight::FlightEndpoint endpoint;
    endpoint.ticket.ticket = "one";
    ARROW_ASSIGN_OR_RAISE(
        auto made, flight::FlightInfo::Make(*MakeBatch(0)->schema(), request,
                                            {endpoint, endpoint}, -1, -1, false, ""));
    *info = std::make_unique<flight::FlightInfo>(std::move(made));
    return {};
  }

  arrow::Status DoGet(const flight::ServerCallContext& context, const flight::Ticket& ticket,
                      std::unique_ptr<flight::FlightDataStream>* stream) override {
    if (ticket.ticket == "bad") return arrow::Status::Invalid("no such column: x");
    ARROW_ASSIGN_OR_RAISE(
        auto reader, arrow::RecordBatchReader::Make({MakeBatch(3)}));
    *stream = std::make_unique<flight::RecordBatchStream>(std::move(reader));
    return {};
  }

  std::vector<json> requests() const {
    MutexLock lock(mutex_);
    return requests_;
  }
  int64_t landed_rows() const {
    MutexLock lock(mutex_);
    return landed_rows_;
  }

 private:
  static arrow::Status Say(flight::FlightMetadataWriter& writer, const json& message) {
    return writer.WriteMetadata(*arrow::Buffer::FromString(message.dump()));
  }

  arrow::Status Check(Moment moment, int64_t number) const {
    MutexLock lock(mutex_);
    const Refusal& refusal = refusals_[moment];
    return refusal ? refusal(number) : arrow::Status();
  }

  mutable Mutex mutex_;
  std::array<Refusal, 3> refusals_ GUARDED_BY(mutex_);
  std::vector<json> requests_ GUARDED_BY(mutex_);
  int64_t landed_rows_ GUARDED_BY(mutex_) = 0;
};

class ClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto location = flight::Location::ForGrpcTcp("127.0.0.1", 0).ValueOrDie();
    ASSERT_TRUE(peer_.Init(flight::FlightServerOptions(location)).ok());
    ClientOptions options;
    options.retry.delay_base = std::chrono::milliseconds(1);
    options.retry.attempts_max = 3;
    client_ = Client::Connect("http://127.0.0.1:" + std::to_string(peer_.port()), options)
                  .ValueOrDie();
  }
  void TearDown() override { ASSERT_TRUE(peer_.Shutdown().ok()); }

  Peer peer_;
  std::unique_ptr<Client> client_;
};

arrow::Status Unavailable() {
  return flight::MakeFlightError(flight::FlightStatusCode::Unavailable, "draining");
}

TEST_F(ClientTest, SendLandsAllAndTellsHow) {
  SendOptions options;
  options.settings = {{"mode", "overwrite"}, {"delta_options.partition_by", "a,b"}};
  const auto receipt = client_->Send("s", {MakeBatch(200000), MakeBatch(5)}, options);
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  EXPECT_EQ(receipt->rows, 200005);
  EXPECT_EQ(receipt->durability, "file");
  EXPECT_EQ(receipt->version, "duckdb:1");
  const json request = peer_.requests().at(0);
  EXPECT_EQ(request["stream_name"], "s");
  EXPECT_EQ(request["commit"], "stream");
  EXPECT_EQ(request["mode"], "overwrite");
  EXPECT_EQ(request["delta_options"]["partition_by"], "a,b");
}

TEST_F(ClientTest, RetriesUnderOneKeyAlsoWhenTheAnswerWasLost) {
  peer_.Refuse(Peer::kStart, [](int64_t attempt) {
    return attempt == 0 ? Unavailable() : arrow::Status();
  });
  peer_.Refuse(Peer::kEnd, [](int64_t attempt) {
    return attempt == 1 ? Unavailable() : arrow::Status();
  });
  const auto receipt = client_->Send("s", {MakeBatch(10)});
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  const auto requests = peer_.requests();
  ASSERT_EQ(requests.size(), 3);
  EXPECT_FALSE(requests[0]["idempotency_key"].get<std::string>().empty());
  EXPECT_EQ(requests[0]["idempotency_key"], requests[2]["idempotency_key"]);
  EXPECT_EQ(peer_.landed_rows(), 10);
}

TEST_F(ClientTest, GivesUpAfterTheLastAttempt) {
  peer_.Refuse(Peer::kStart, [](int64_t) { return Unavailable(); });
  const auto receipt = client_->Send("s", {MakeBatch(10)});
  ASSERT_FALSE(receipt.ok());
  EXPECT_EQ(ErrorName(receipt.status()), "UNREACHABLE");
  EXPECT_TRUE(IsRetriable(receipt.status()));
  EXPECT_EQ(peer_.requests().size(), 3);
}

TEST_F(ClientTest, RefusalsAreNotRetried) {
  peer_.Refuse(Peer::kMessage, [](int64_t message) {
    return message == 1 ? arrow::Status::Invalid("column a: value 7 does not fit")
                        : arrow::Status::OK();
  });
  const auto receipt =
      client_->Send("s", {MakeBatch(10), MakeBatch(10), MakeBatch(10)});
  ASSERT_FALSE(receipt.ok());
  EXPECT_EQ(receipt.status().message(), "column a: value 7 does not fit");
  EXPECT_FALSE(IsRetriable(receipt.status()));
  EXPECT_EQ(peer_.requests().size(), 1);
}

/// Fails after its first batch.
class BreakingReader : public arrow::RecordBatchReader {
 public:
  std::shared_ptr<arrow::Schema> schema() const override { return MakeBatch(0)->schema(); }
  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* out) override {
    if (reads_++ > 0) return arrow::Status::IOError("disk went away");
    *out = MakeBatch(10);
    return {};
  }

 private:
  int reads_ = 0;
};

TEST_F(ClientTest, DataThatBreaksOffIsNeverTakenForAll) {
  const auto receipt = client_->Send("s", std::make_shared<BreakingReader>());
  ASSERT_FALSE(receipt.ok());
  EXPECT_THAT(receipt.status().message(), HasSubstr("disk went away"));
  EXPECT_EQ(peer_.landed_rows(), 0);
  EXPECT_EQ(peer_.requests().size(), 1);
}

TEST_F(ClientTest, WriterAcknowledgesEveryBatch) {
  WriterOptions options;
  options.producer = "p";
  options.sequence = 42;
  options.unacknowledged_batches_max = 2;
  std::vector<int64_t> offsets;
  options.on_ack = [&](const Ack& ack) { offsets.push_back(ack.offset); };
  auto writer = client_->OpenWriter("s", MakeBatch(0)->schema(), options);
  ASSERT_TRUE(writer.ok()) << writer.status();
  EXPECT_EQ((*writer)->producer_last_sequence(), 41);
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(*(*writer)->Write(MakeBatch(2)), i);
  ASSERT_TRUE((*writer)->Flush().ok());
  EXPECT_EQ((*writer)->acknowledged_offset(), 4);
  const auto receipt = (*writer)->Close();
  ASSERT_TRUE(receipt.ok()) << receipt.status();
  EXPECT_EQ(receipt->rows, 10);
  EXPECT_THAT(offsets, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_FALSE((*writer)->Write(MakeBatch(1)).ok());
  EXPECT_EQ(peer_.requests().at(0)["sequence"], 42);
}

TEST_F(ClientTest, WriterRefusesAnotherSchemaAndGoesOn) {
  auto writer = client_->OpenWriter("s", MakeBatch(0)->schema()).ValueOrDie();
  ASSERT_TRUE(writer->Write(MakeBatch(2)).ok());
  auto other = MakeBatch(2)->RemoveColumn(0).ValueOrDie();
  EXPECT_EQ(CodeOf(writer->Write(other).status()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(*writer->Write(MakeBatch(2)), 1);
  EXPECT_EQ(writer->Close()->rows, 4);
}

TEST_F(ClientTest, WriterReportsTheServersRefusalAndKeepsWhatWasAcknowledged) {
  peer_.Refuse(Peer::kMessage, [](int64_t message) {
    return message == 2 ? arrow::Status::Invalid("bad batch") : arrow::Status::OK();
  });
  auto writer = client_->OpenWriter("s", MakeBatch(0)->schema()).ValueOrDie();
  // Acknowledged before the refusal comes: beside it, Arrow's client may drop one unread.
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(writer->Write(MakeBatch(1000)).ok());
  ASSERT_TRUE(writer->Flush().ok());
  arrow::Status failure;
  for (int i = 0; i < 1000 && failure.ok(); ++i)
    failure = writer->Write(MakeBatch(1000)).status();
  if (failure.ok()) failure = writer->Flush();
  ASSERT_FALSE(failure.ok());
  EXPECT_EQ(failure.message(), "bad batch");
  EXPECT_EQ(writer->acknowledged_offset(), 1);
  EXPECT_FALSE(writer->Close().ok());
}

TEST_F(ClientTest, QueriesByTicketAndByFlightSql) {
  const auto by_ticket = client_->Query("one");
  ASSERT_TRUE(by_ticket.ok()) << by_ticket.status();
  EXPECT_EQ((*(*by_ticket)->ToTable())->num_rows(), 3);
  QueryOptions options;
  options.route = QueryRoute::kFlightSql;
  const auto by_info = client_->Query("SELECT 1", options);
  ASSERT_TRUE(by_info.ok()) << by_info.status();
  EXPECT_EQ((*(*by_info)->ToTable())->num_rows(), 6);
  const auto bad = client_->Query("bad");
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.status().message(), "no such column: x");
}

TEST_F(ClientTest, NothingListening) {
  const int port = peer_.port();
  ASSERT_TRUE(peer_.Shutdown().ok());
  ClientOptions options;
  options.retry.attempts_max = 1;
  const auto client =
      Client::Connect("127.0.0.1:" + std::to_string(port), options).ValueOrDie();
  EXPECT_EQ(CodeOf(client->Ping()), ErrorCode::kUnreachable);
  EXPECT_EQ(CodeOf(client->Send("s", {MakeBatch(1)}).status()), ErrorCode::kUnreachable);
}

TEST(Trailers, NameTheCode) {
  client::ErrorTrailers trailers;
  std::unique_ptr<flight::ClientMiddleware> middleware;
  trailers.StartCall({}, &middleware);
  flight::CallHeaders headers;
  headers.emplace("arrowport-code", "OVERLOADED");
  headers.emplace("retry-after", "7");
  middleware->ReceivedHeaders(headers);
  const auto status = client::FromFlight(arrow::Status::UnknownError("busy"), trailers);
  EXPECT_EQ(CodeOf(status), ErrorCode::kOverloaded);
  EXPECT_EQ(RetryAfterSeconds(status), 7);
  EXPECT_EQ(CodeOf(client::FromFlight(arrow::Status::Invalid("x"), trailers)),
            ErrorCode::kInvalidArgument);
}

TEST(Url, Forms) {
  using client::ParseServerUrl;
  EXPECT_EQ(ParseServerUrl("http://h:1/")->FlightUri(), "grpc+tcp://h:1");
  EXPECT_EQ(ParseServerUrl("h")->HttpUrl(), "http://h:8888");
  EXPECT_EQ(ParseServerUrl("grpc+tls://h:2")->HttpUrl(), "https://h:2");
  EXPECT_EQ(ParseServerUrl("https://[::1]:3")->FlightUri(), "grpc+tls://[::1]:3");
  for (const char* bad : {"", "ftp://h", "h:x", "h:99999", "h/path", "http://", "[::1", "a b"})
    EXPECT_FALSE(ParseServerUrl(bad).ok()) << bad;
}

TEST(Messages, HostileAcknowledgements) {
  for (const char* bad : {"", "[]", "nonsense", "\xFF"})
    EXPECT_FALSE(client::ParsePutMessage(bad).ok()) << bad;
  const auto odd = client::ParsePutMessage(
      R"({"ready":1,"ack_up_to_offset":"x","quarantined":[1,"y"]})");
  ASSERT_TRUE(odd.ok());
  EXPECT_FALSE(odd->is_ready);
  EXPECT_EQ(odd->ack->offset, -1);
  EXPECT_THAT(odd->ack->quarantined, ElementsAre(1));
}

TEST(Messages, StatementCommandIsAnAny) {
  const std::string command = client::StatementQueryCommand(std::string(300, 'x'));
  EXPECT_EQ(command[0], 0x0A);
  EXPECT_EQ(static_cast<size_t>(command[1]), 67u);
  EXPECT_EQ(command.substr(2, 20), "type.googleapis.com/");
  EXPECT_EQ(command.substr(69, 6), std::string("\x12\xAF\x02\x0A\xAC\x02"));
}

TEST(Backoff, IsBoundedAndHeedsTheServer) {
  RetryOptions options;
  options.attempts_max = 100;
  options.delay_max = std::chrono::milliseconds(500);
  client::Backoff backoff(options, 1);
  std::chrono::milliseconds delay{0};
  const auto busy = MakeError(ErrorCode::kOverloaded, "busy");
  for (int i = 1; i < 100; ++i) {
    ASSERT_TRUE(backoff.Next(busy, &delay));
    EXPECT_LE(delay, options.delay_max);
    EXPECT_GE(delay.count(), 0);
  }
  EXPECT_FALSE(backoff.Next(busy, &delay));
  client::Backoff again(RetryOptions{}, 1);
  ASSERT_TRUE(again.Next(MakeError(ErrorCode::kOverloaded, "busy", 2), &delay));
  EXPECT_EQ(delay, std::chrono::seconds(2));
  EXPECT_FALSE(again.Next(MakeError(ErrorCode::kSchemaMismatch, "no"), &delay));
}

TEST(CutBatch, PiecesAreSmallAndComplete) {
  const auto pieces = client::CutBatch(MakeBatch(300000));
  int64_t rows = 0;
  for (const auto& piece : pieces) {
    EXPECT_LE(piece->num_rows(), client::kMessageRowsMax);
    rows += piece->num_rows();
  }
  EXPECT_EQ(rows, 300000);
  EXPECT_EQ(client::CutBatch(MakeBatch(0)).size(), 1);
}

}  // namespace
}  // namespace arrowport
