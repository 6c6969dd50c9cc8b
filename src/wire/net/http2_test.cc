// HTTP/2 and gRPC as bytes: limits, floods, ends, encodings; and through the stock
// client.
#include <arrow/flight/api.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "wire/net/testing_http2.h"
#include "wire/net/testing_server.h"

namespace arrowport::wire::net {
namespace {

using std::chrono::milliseconds;
using testing::Eventually;
using testing::GrpcMessage;
using testing::Http2Client;
using testing::MakeBatch;
using testing::RawSocket;
using testing::Seen;
using testing::TestServer;
namespace flight = arrow::flight;

constexpr char kEcho[] = "/test.Echo/Echo";
constexpr char kHold[] = "/test/Hold";

std::unique_ptr<flight::FlightClient> Connect(uint16_t port) {
  auto location = *flight::Location::ForGrpcTcp("127.0.0.1", port);
  return *flight::FlightClient::Connect(location);
}

std::string Deflate(std::string_view text, int window_bits) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  std::string out(text.size() / 2 + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

TEST(Http2Test, EchoesMessagesOfAllSizes) {
  TestServer server;
  Http2Client client(server.port);
  int32_t id = client.Begin(kEcho);
  std::string sent;
  for (size_t size : {0u, 1u, 5u, 100u, 16'384u, 70'000u, 3'000'000u}) {
    sent += GrpcMessage(std::string(size, static_cast<char>('a' + size % 26)));
  }
  client.SendData(id, sent, /*end=*/true);
  ASSERT_TRUE(client.WaitClosed(id));
  EXPECT_EQ(client.stream(id).header("grpc-status"), "0");
  EXPECT_TRUE(client.stream(id).data == sent);
}

TEST(Http2Test, OversizedMessageIsRefusedAtItsPrefix) {
  TestServer server([](ListenerOptions& o) {
    o.message_bytes_max = 1 << 20;
    o.budget = std::make_shared<ByteBudget>(1 << 30);
  });
  Http2Client client(server.port);
  int32_t id = client.Begin(kEcho);
  client.SendData(id, std::string("\0\x40\0\0\0", 5), /*end=*/false);
  ASSERT_TRUE(client.WaitClosed(id));
  EXPECT_EQ(client.stream(id).header("grpc-status"), "8");
  EXPECT_NE(client.stream(id).header("grpc-message").find("message_bytes_max"),
            std::string::npos);
  // The connection goes on.
  id = client.Begin(kEcho);
  client.SendData(id, GrpcMessage("still here"), true);
  ASSERT_TRUE(client.WaitClosed(id));
  EXPECT_EQ(client.stream(id).data, GrpcMessage("still here"));
}

TEST(Http2Test, CompressedMessages) {
  TestServer server;
  Http2Client client(server.port);
  const std::string text(100'000, 'z');
  for (auto [name, bits] : {std::pair{"gzip", 31}, std::pair{"deflate", 15}}) {
    int32_t id = client.Begin(kEcho, {{"grpc-encoding", name}});
    client.SendData(id, GrpcMessage(Deflate(text, bits), true) + GrpcMessage("plain"),
                    true);
    ASSERT_TRUE(client.WaitClosed(id));
    EXPECT_EQ(client.stream(id).header("grpc-status"), "0");
    EXPECT_TRUE(client.stream(id).data == GrpcMessage(text) + GrpcMessage("plain"));
  }
  int32_t id = client.Begin(kEcho, {{"grpc-encoding", "snappy"}});
  ASSERT_TRUE(client.WaitClosed(id));
  EXPECT_EQ(client.stream(id).header("grpc-status"), "12");
  EXPECT_EQ(client.stream(id).header("grpc-accept-encoding"), "identity, deflate, gzip");
}

TEST(Http2Test, DecompressionIsBounded) {
  auto budget = std::make_shared<ByteBudget>(1 << 30);
  TestServer server([&](ListenerOptions& o) {
    o.message_bytes_max = 1 << 20;
    o.budget = budget;
  });
  Http2Client client(server.port);
  int32_t id = client.Begin(kEcho, {{"grpc-encoding", "gzip"}});
  client.SendData(id, GrpcMessage(Deflate(std::string(50 << 20, '\0'), 31), true), true);
  ASSERT_TRUE(client.WaitClosed(id));
  EXPECT_EQ(client.stream(id).header("grpc-status"), "8");
  id = client.Begin(kEcho, {{"grpc-encoding", "gzip"}});
  client.SendData(id, GrpcMessage("not gzip", true), true);
  ASSERT_TRUE(client.WaitClosed(id));
  EXPECT_EQ(client.stream(id).header("grpc-status"), "3");
  EXPECT_TRUE(Eventually([&] { return budget->used_bytes() == 0; }));
}

TEST(Http2Test, BadFramesOfGrpc) {
  TestServer server;
  Http2Client client(server.port);
  int32_t cut = client.Begin(kEcho);
  client.SendData(cut, std::string("\0\0\0\0\x09half", 9), true);
  ASSERT_TRUE(client.WaitClosed(cut));
  EXPECT_EQ(client.stream(cut).header("grpc-status"), "3");
  int32_t flag = client.Begin(kEcho);
  client.SendData(flag, std::string("\x07\0\0\0\x01x", 6), true);
  ASSERT_TRUE(client.WaitClosed(flag));
  EXPECT_EQ(client.stream(flag).header("grpc-status"), "3");
  int32_t flight_data = client.Begin("/arrow.flight.protocol.FlightService/DoPut");
  client.SendData(flight_data, GrpcMessage("\xff\xff\xff\xff\xff\xff"), true);
  ASSERT_TRUE(client.WaitClosed(flight_data));
  EXPECT_EQ(client.stream(flight_data).header("grpc-status"), "3");
}

TEST(Http2Test, RefusesWithoutAHandler) {
  TestServer server;
  Http2Client client(server.port);
  int32_t plain = client.Begin("/x", {}, "text/plain");
  ASSERT_TRUE(client.WaitClosed(plain));
  EXPECT_EQ(client.stream(plain).header(":status"), "415");
  EXPECT_NE(client.stream(plain).data.find("UNSUPPORTED_MEDIA_TYPE"), std::string::npos);
  int32_t none = client.Begin("/none/Method");
  ASSERT_TRUE(client.WaitClosed(none));
  EXPECT_EQ(client.stream(none).header("grpc-status"), "12");
  int32_t large = client.Begin(
      kEcho, {{"a", std::string(40'000, 'a')}, {"b", std::string(40'000, 'b')}});
  // nghttp2 refuses to send more than 64 KiB; what it sent must not hurt the connection.
  client.WaitClosed(large);
  int32_t bad = client.Begin(kEcho, {{"x-bin", "***"}});
  ASSERT_TRUE(client.WaitClosed(bad));
  EXPECT_EQ(client.stream(bad).header("grpc-status"), "13");
}

TEST(Http2Test, CutCallIsCancelledAndNeverEnded) {
  TestServer server;
  {
    Http2Client client(server.port);
    int32_t id = client.Begin(kHold);
    client.SendData(id, GrpcMessage("one") + std::string("\0\0\0\0\x09half", 9), false);
    ASSERT_TRUE(server.record.WaitFor(
        kHold, [](const Seen& seen) { return seen.messages == 1; }));
  }
  ASSERT_TRUE(server.record.WaitDone(kHold));
  Seen seen = server.record.Get(kHold);
  EXPECT_EQ(CodeOf(*seen.done), ErrorCode::kCancelled);
  EXPECT_FALSE(seen.ended);
  EXPECT_TRUE(Eventually([&] { return server.listener->open_calls() == 0; }));
}

TEST(Http2Test, ResetCallIsCancelled) {
  TestServer server;
  Http2Client client(server.port);
  int32_t id = client.Begin(kHold);
  client.SendData(id, GrpcMessage("one"), false);
  ASSERT_TRUE(
      server.record.WaitFor(kHold, [](const Seen& seen) { return seen.messages == 1; }));
  client.Reset(id);
  ASSERT_TRUE(server.record.WaitDone(kHold));
  EXPECT_EQ(CodeOf(*server.record.Get(kHold).done), ErrorCode::kCancelled);
}

TEST(Http2Test, DeadlineEndsTheCall) {
  TestServer server;
  Http2Client client(server.port);
  int32_t id = client.Begin(kHold, {{"grpc-timeout", "100m"}});
  client.SendData(id, GrpcMessage("one"), true);
  ASSERT_TRUE(client.WaitClosed(id));
  EXPECT_EQ(client.stream(id).header("grpc-status"), "4");
  ASSERT_TRUE(server.record.WaitDone(kHold));
  EXPECT_EQ(CodeOf(*server.record.Get(kHold).done), ErrorCode::kTimeout);
}

TEST(Http2Test, RapidResetEndsTheConnection) {
  TestServer server;
  Http2Client client(server.port);
  for (int i = 0; i < 20'000 && client.alive(); ++i) {
    int32_t id = client.Begin(kHold);
    if (id < 0) break;
    client.Reset(id);
    if (i % 50 == 0) client.Pump(0);
  }
  EXPECT_TRUE(Eventually([&] {
    client.Pump(1);
    return !client.alive();
  }));
  EXPECT_TRUE(Eventually([&] { return server.listener->open_calls() == 0; }));
  EXPECT_TRUE(Eventually([&] { return server.listener->open_connections() == 0; }));
}

TEST(Http2Test, PingFloodEndsTheConnection) {
  TestServer server;
  Http2Client client(server.port);
  ASSERT_TRUE(client.Handshake());
  // A PING frame: 8 bytes, type 6, no flags, stream 0.
  const std::string ping("\0\0\x08\x06\0\0\0\0\0pingpong", 17);
  std::string flood;
  for (int i = 0; i < 5000; ++i) flood += ping;
  client.SendRaw(flood);
  EXPECT_TRUE(Eventually([&] {
    client.Pump(1);
    return !client.alive();
  }));
  EXPECT_TRUE(Eventually([&] { return server.observer->rejected("http2_flood") == 1; }));
}

TEST(Http2Test, SettingsFloodEndsTheConnection) {
  TestServer server;
  Http2Client client(server.port);
  ASSERT_TRUE(client.Handshake());
  const std::string settings("\0\0\0\x04\0\0\0\0\0", 9);
  std::string flood;
  for (int i = 0; i < 5000; ++i) flood += settings;
  client.SendRaw(flood);
  EXPECT_TRUE(Eventually([&] {
    client.Pump(1);
    return !client.alive();
  }));
}

TEST(Http2Test, GarbageBehindThePrefaceEndsTheConnection) {
  TestServer server;
  for (int seed = 0; seed < 50; ++seed) {
    RawSocket socket(server.port);
    std::string bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    uint32_t state = static_cast<uint32_t>(seed) * 2654435761u + 1;
    for (int i = 0; i < 2000; ++i) {
      state = state * 1664525u + 1013904223u;
      bytes += static_cast<char>(state >> 24);
    }
    socket.Send(bytes);
    socket.EndSending();
    socket.ReceiveAll();
    EXPECT_TRUE(socket.ended()) << "seed " << seed;
  }
  EXPECT_TRUE(Eventually([&] { return server.listener->open_connections() == 0; }));
}

TEST(Http2Test, UnfinishedHandshakeTimesOut) {
  TestServer server([](ListenerOptions& o) { o.header_timeout = milliseconds(100); });
  RawSocket socket(server.port);
  socket.Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  socket.ReceiveAll();
  EXPECT_TRUE(socket.ended());
  RawSocket partial(server.port);
  partial.Send("PRI * HT");
  partial.ReceiveAll();
  EXPECT_TRUE(partial.ended());
}

TEST(Http2Test, StalledReaderLosesItsCallOnly) {
  TestServer server(
      [](ListenerOptions& o) { o.write_stall_timeout = milliseconds(300); });
  Http2Client client(server.port, Http2Client::Window::kNeverOpened);
  int32_t id = client.Begin("/big", {}, "application/grpc", "?30000000");
  client.SendData(id, "", true);
  ASSERT_TRUE(client.WaitClosed(id));
  ASSERT_TRUE(server.record.WaitDone("/big"));
  EXPECT_EQ(CodeOf(*server.record.Get("/big").done), ErrorCode::kTimeout);
  EXPECT_EQ(server.observer->rejected("write_stall"), 1);
  EXPECT_TRUE(client.alive());
}

TEST(Http2Test, UnresponsivePeerIsDropped) {
  TestServer server([](ListenerOptions& o) { o.keepalive_interval = milliseconds(100); });
  Http2Client client(server.port);
  int32_t id = client.Begin(kHold);
  client.SendData(id, GrpcMessage("x"), true);
  ASSERT_TRUE(server.record.WaitHeld(1));
  // Answers pings while it is pumped ...
  for (int i = 0; i < 50; ++i) client.Pump(10);
  EXPECT_EQ(server.listener->open_connections(), 1);
  // ... and is dropped when it is not.
  ASSERT_TRUE(server.record.WaitDone(kHold));
  EXPECT_TRUE(Eventually([&] { return server.listener->open_connections() == 0; }));
}

TEST(Http2Test, LimitedMemoryHoldsStreamsBack) {
  auto budget = std::make_shared<ByteBudget>(4 << 20);
  TestServer server([&](ListenerOptions& o) {
    o.budget = budget;
    o.queue_wait = milliseconds(200);
  });
  budget->Charge(5 << 20);  // somebody else holds it all
  Http2Client client(server.port);
  int32_t id = client.Begin(kEcho);
  client.SendData(id, GrpcMessage(std::string(1'000'000, 'm')), true);
  ASSERT_TRUE(client.WaitClosed(id));
  EXPECT_EQ(client.stream(id).header("grpc-status"), "8");
  EXPECT_EQ(CodeOf(server.record.Get(kEcho).body_error), ErrorCode::kOverloaded);
  // Once there is room the wait ends well.
  id = client.Begin("/test.Echo/Later");
  client.SendData(id, GrpcMessage(std::string(1'000'000, 'm')), true);
  client.Pump(50);
  budget->Release(5 << 20);
  ASSERT_TRUE(client.WaitClosed(id));
  EXPECT_EQ(client.stream(id).header("grpc-status"), "0");
  client.stream(id).data.clear();
  EXPECT_TRUE(Eventually([&] { return budget->used_bytes() == 0; }));
}

TEST(Http2Test, MessagesLargerThanTheBudgetPassAlone) {
  auto budget = std::make_shared<ByteBudget>(1 << 20);
  TestServer server([&](ListenerOptions& o) {
    o.budget = budget;
    o.request_memory_max = 1 << 20;
  });
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      auto client = Connect(server.port);
      auto batch = MakeBatch(100'000);
      auto put = *client->DoPut(flight::FlightDescriptor::Path({"t"}), batch->schema());
      for (int j = 0; j < 10; ++j) {
        if (!put.writer->WriteRecordBatch(*batch).ok()) break;
      }
      if (put.writer->Close().ok()) ++good;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 4);
  EXPECT_TRUE(Eventually([&] { return budget->used_bytes() == 0; }));
}

TEST(Http2Test, StuckStreamDoesNotStopItsNeighbour) {
  TestServer server([](ListenerOptions& o) { o.request_memory_max = 1 << 20; });
  Http2Client client(server.port);
  int32_t stuck = client.Begin("/pause");
  std::string many;
  for (int i = 0; i < 400; ++i) many += GrpcMessage(std::string(100'000, 's'));
  client.SendData(stuck, many, true);
  ASSERT_TRUE(Eventually([&] {
    client.Pump(5);
    return server.record.Get("/pause").messages == 1;
  }));
  int32_t id = client.Begin(kEcho);
  client.SendData(id, GrpcMessage(std::string(2'000'000, 'f')), true);
  ASSERT_TRUE(client.WaitClosed(id));
  EXPECT_EQ(client.stream(id).header("grpc-status"), "0");
  EXPECT_EQ(server.record.Get("/pause").messages, 1);
}

TEST(Http2Test, EarlyStatusReachesAWritingClient) {
  TestServer server([](ListenerOptions& o) { o.message_bytes_max = 1 << 20; });
  auto client = Connect(server.port);
  auto batch = MakeBatch(100'000);  // over the limit
  auto put = *client->DoPut(flight::FlightDescriptor::Path({"t"}), batch->schema());
  arrow::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) {
    status = put.writer->WriteRecordBatch(*batch);
  }
  status = put.writer->Close();
  EXPECT_NE(status.message().find("message_bytes_max"), std::string::npos) << status;
}

}  // namespace
}  // namespace arrowport::wire::net
