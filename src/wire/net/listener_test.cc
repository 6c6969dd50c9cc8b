#include "wire/net/listener.h"

#include <arrow/flight/api.h>
#include <gtest/gtest.h>

#include "wire/net/testing_server.h"

namespace arrowport::wire::net {
namespace {

using testing::Eventually;
using testing::MakeBatch;
using testing::RawSocket;
using testing::TestServer;
namespace flight = arrow::flight;

std::unique_ptr<flight::FlightClient> Connect(uint16_t port) {
  auto location = *flight::Location::ForGrpcTcp("127.0.0.1", port);
  return *flight::FlightClient::Connect(location);
}

TEST(ListenerTest, PutThroughTheArrowClient) {
  TestServer server;
  auto client = Connect(server.port);
  auto batch = MakeBatch(10'000);
  auto put = *client->DoPut(flight::FlightDescriptor::Path({"events"}), batch->schema());
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(put.writer->WriteRecordBatch(*batch).ok());
  ASSERT_TRUE(put.writer->DoneWriting().ok());
  auto status = put.writer->Close();
  EXPECT_TRUE(status.ok()) << status;
}

TEST(ListenerTest, GetThroughTheArrowClient) {
  TestServer server;
  auto client = Connect(server.port);
  auto reader = *client->DoGet(flight::Ticket{"any"});
  auto table = reader->ToTable();
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ((*table)->num_rows(), 200'000);
  EXPECT_TRUE((*table)->ValidateFull().ok());
}

TEST(ListenerTest, UnknownMethodIsUnimplemented) {
  TestServer server;
  auto client = Connect(server.port);
  auto flights = client->ListFlights();
  ASSERT_FALSE(flights.ok());
  EXPECT_TRUE(flights.status().IsNotImplemented()) << flights.status();
}

TEST(ListenerTest, BothProtocolsOnOnePort) {
  TestServer server;
  auto client = Connect(server.port);
  EXPECT_TRUE(client->DoGet(flight::Ticket{"any"}).ok());
  std::string answer =
      server.Ask("GET /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_NE(answer.find("HTTP/1.1 200 OK\r\n"), std::string::npos) << answer;
  EXPECT_NE(answer.find("X-Request-Id: "), std::string::npos) << answer;
}

}  // namespace
}  // namespace arrowport::wire::net
