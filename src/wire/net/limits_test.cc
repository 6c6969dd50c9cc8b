// Limits over calls and connections, and the end of the server.
#include "wire/net/limits.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/thread_sanitizer.h"
#include "wire/net/bind.h"
#include "wire/net/testing_http2.h"
#include "wire/net/testing_server.h"

namespace arrowport::wire::net {
namespace {

using std::chrono::milliseconds;
using testing::Eventually;
using testing::GrpcMessage;
using testing::Http2Client;
using testing::RawSocket;
using testing::TestServer;

constexpr char kHold[] = "/test/Hold";

// TSan keeps a shadow of what a thread touches: that is resident too.
constexpr int64_t kShadowFactor = kThreadSanitizer ? 4 : 1;

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

TEST(CallSlotsTest, FirstComeFirstServed) {
  CallSlots slots(1, 2);
  std::string order;
  uint64_t first = 0, second = 0, third = 0;
  EXPECT_EQ(slots.Acquire(nullptr, &first), CallSlots::Answer::kTaken);
  EXPECT_EQ(slots.Acquire([&] { order += "a"; }, &first), CallSlots::Answer::kQueued);
  EXPECT_EQ(slots.Acquire([&] { order += "b"; }, &second), CallSlots::Answer::kQueued);
  EXPECT_EQ(slots.Acquire([&] { order += "c"; }, &third), CallSlots::Answer::kRefused);
  slots.Release();
  EXPECT_FALSE(slots.Forget(first));
  slots.Release();
  EXPECT_EQ(order, "ab");
  EXPECT_EQ(slots.taken(), 1);
  EXPECT_EQ(slots.Acquire([&] { order += "d"; }, &third), CallSlots::Answer::kQueued);
  EXPECT_TRUE(slots.Forget(third));
  slots.Release();
  EXPECT_EQ(order, "ab");
  EXPECT_EQ(slots.taken(), 0);
}

TEST(ConnectionCountsTest, LoopbackCountsOnlyInAll) {
  ConnectionCounts counts(4, 1);
  Peer local{"127.0.0.1", 1, true};
  Peer remote{"192.0.2.1", 1, false};
  EXPECT_EQ(counts.Open(local), "");
  EXPECT_EQ(counts.Open(local), "");
  EXPECT_EQ(counts.Open(remote), "");
  EXPECT_EQ(counts.Open(remote), "connections_per_address_max");
  EXPECT_EQ(counts.Open(local), "");
  EXPECT_EQ(counts.Open(local), "connections_max");
  counts.Close(remote);
  EXPECT_EQ(counts.Open(remote), "");
}

TEST(RateLimitTest, RefillsWithTime) {
  RateLimit limit(2, 10);
  TimePoint now = TimePoint{} + std::chrono::hours(1);
  EXPECT_TRUE(limit.Take(now));
  EXPECT_TRUE(limit.Take(now));
  EXPECT_FALSE(limit.Take(now));
  EXPECT_TRUE(limit.Take(now + milliseconds(150)));
  EXPECT_FALSE(limit.Take(now + milliseconds(160)));
}

TEST(LimitsTest, CallsWaitForASlotAndAreThenRefused) {
  TestServer server([](ListenerOptions& o) {
    o.requests_in_flight_max = 2;
    o.queue_wait = milliseconds(200);
  });
  RawSocket first(server.port), second(server.port);
  first.Send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  second.Send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(server.record.WaitHeld(2));

  std::string answer =
      server.Ask("GET /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(Contains(answer, "HTTP/1.1 429")) << answer;
  EXPECT_TRUE(Contains(answer, "retry-after: 1\r\n")) << answer;
  EXPECT_TRUE(Contains(answer, "\"code\":\"OVERLOADED\"")) << answer;
  EXPECT_TRUE(Contains(answer, "\"retriable\":true")) << answer;
  Http2Client client(server.port);
  int32_t id = client.Begin("/test.Echo/Echo");
  client.SendData(id, GrpcMessage("x"), true);
  ASSERT_TRUE(client.WaitClosed(id));
  EXPECT_EQ(client.stream(id).header("grpc-status"), "8");
  EXPECT_EQ(client.stream(id).header("grpc-retry-pushback-ms"), "1000");
  EXPECT_EQ(server.observer->rejected("requests_in_flight_max"), 2);

  answer = server.Ask("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(Contains(answer, "HTTP/1.1 200")) << answer;
}

TEST(LimitsTest, WaitingCallsRunWhenASlotIsFree) {
  TestServer server([](ListenerOptions& o) { o.requests_in_flight_max = 1; });
  RawSocket first(server.port);
  first.Send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(server.record.WaitHeld(1));
  RawSocket second(server.port);
  second.Send("POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
  Http2Client client(server.port);
  int32_t id = client.Begin("/test.Echo/Echo");
  client.SendData(id, GrpcMessage("waited"), true);
  client.Pump(50);
  EXPECT_FALSE(client.stream(id).closed);
  server.record.TakeHeld()[0]->Finish({});
  std::string answer;
  EXPECT_TRUE(second.ReceiveUntil("\r\n\r\n3", &answer)) << answer;
  ASSERT_TRUE(client.WaitClosed(id));
  EXPECT_EQ(client.stream(id).data, GrpcMessage("waited"));
}

TEST(LimitsTest, WaitersThatLeaveGiveTheirPlaceBack) {
  TestServer server([](ListenerOptions& o) { o.requests_in_flight_max = 1; });
  RawSocket first(server.port);
  first.Send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(server.record.WaitHeld(1));
  for (int i = 0; i < 50; ++i) {
    Http2Client client(server.port);
    int32_t id = client.Begin(kHold);
    client.SendData(id, GrpcMessage("x"), true);
  }
  server.record.TakeHeld()[0]->Finish({});
  EXPECT_TRUE(Eventually([&] { return server.listener->open_connections() <= 1; }));
  EXPECT_TRUE(Eventually([&] { return server.listener->open_calls() == 0; }));
}

TEST(LimitsTest, ConnectionsOverTheLimitAreClosed) {
  TestServer server([](ListenerOptions& o) { o.connections_max = 3; });
  std::vector<std::unique_ptr<RawSocket>> sockets;
  for (int i = 0; i < 3; ++i) {
    sockets.push_back(std::make_unique<RawSocket>(server.port));
  }
  ASSERT_TRUE(Eventually([&] { return server.listener->open_connections() == 3; }));
  RawSocket refused(server.port);
  refused.ReceiveAll();
  EXPECT_TRUE(refused.ended());
  EXPECT_EQ(server.observer->rejected("connections_max"), 1);
  sockets.clear();
  ASSERT_TRUE(Eventually([&] { return server.listener->open_connections() == 0; }));
  EXPECT_TRUE(Contains(
      server.Ask("GET /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "200"));
}

TEST(LimitsTest, ThousandIdleConnectionsAreCheap) {
  TestServer server;
  int64_t before = ResidentBytes();
  std::vector<std::unique_ptr<RawSocket>> plain;
  std::vector<std::unique_ptr<Http2Client>> http2;
  for (int i = 0; i < 500; ++i) {
    plain.push_back(std::make_unique<RawSocket>(server.port));
    ASSERT_TRUE(plain.back()->connected());
    plain.back()->Send("GET /count HTTP/1.1\r\nHost: x\r\n\r\n");
    http2.push_back(std::make_unique<Http2Client>(server.port));
    ASSERT_TRUE(http2.back()->Handshake());
  }
  ASSERT_TRUE(Eventually([&] { return server.listener->open_connections() == 1000; }));
  EXPECT_LT(ResidentBytes() - before, (60 << 20) * kShadowFactor);
  EXPECT_TRUE(Contains(
      server.Ask("GET /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "200"));
}

TEST(LimitsTest, ThousandOpenCallsHoldNoThreadAndLittleMemory) {
  TestServer server([](ListenerOptions& o) { o.requests_in_flight_max = 2000; });
  Http2Client client(server.port);
  ASSERT_TRUE(client.Handshake());
  int64_t before = ResidentBytes();
  for (int i = 0; i < 1000; ++i) {
    int32_t id = client.Begin(kHold);
    // A prefix that announces much and brings little.
    client.SendData(id, std::string("\0\0\x0f\0\0", 5) + std::string(100, 'x'), false);
  }
  ASSERT_TRUE(Eventually([&] {
    client.Pump(1);
    return server.listener->open_calls() == 1000;
  }));
  EXPECT_LT(ResidentBytes() - before, (100 << 20) * kShadowFactor);
}

TEST(StopTest, WaitsForOpenCalls) {
  TestServer server;
  Http2Client client(server.port);
  int32_t id = client.Begin(kHold);
  client.SendData(id, GrpcMessage("x"), true);
  RawSocket socket(server.port);
  socket.Send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  RawSocket idle(server.port);
  ASSERT_TRUE(server.record.WaitHeld(2));
  std::atomic<int> cut{-1};
  std::thread stop([&] { cut = server.listener->Stop(std::chrono::seconds(20)); });
  idle.ReceiveAll();
  EXPECT_TRUE(idle.ended());
  EXPECT_EQ(cut, -1);
  for (auto& call : server.record.TakeHeld()) call->Finish({});
  EXPECT_TRUE(client.WaitClosed(id));
  EXPECT_EQ(client.stream(id).header("grpc-status"), "0");
  EXPECT_TRUE(Contains(socket.ReceiveAll(), "Connection: close"));
  EXPECT_TRUE(Eventually([&] {
    client.Pump(1);
    return !client.alive();
  }));
  stop.join();
  EXPECT_EQ(cut, 0);
  EXPECT_FALSE(RawSocket(server.port).connected());
}

TEST(StopTest, CutsWhatDoesNotEnd) {
  TestServer server;
  RawSocket socket(server.port);
  socket.Send("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(server.record.WaitHeld(1));
  EXPECT_EQ(server.listener->Stop(milliseconds(100)), 1);
  ASSERT_TRUE(server.record.WaitDone("/hold"));
  EXPECT_EQ(CodeOf(*server.record.Get("/hold").done), ErrorCode::kDraining);
  EXPECT_EQ(server.listener->Stop(milliseconds(100)), 0);
  // A call that outlives the listener does nothing.
  auto call = server.record.TakeHeld()[0];
  EXPECT_TRUE(call->cancelled());
  EXPECT_FALSE(call->Write({arrow::Buffer::FromString("late")}));
  call->Finish({});
}

TEST(BindTest, TakenPortNamesItsHolder) {
  TestServer server;
  ListenerOptions options;
  options.router = std::make_shared<testing::TestRouter>(&server.record);
  auto other = *Listener::Make(options);
  auto port = other->Bind("127.0.0.1", server.port);
  ASSERT_FALSE(port.ok());
  EXPECT_EQ(CodeOf(port.status()), ErrorCode::kUnreachable);
  EXPECT_TRUE(Contains(port.status().message(), std::to_string(server.port)));
  EXPECT_TRUE(
      Contains(port.status().message(), "(pid " + std::to_string(::getpid()) + ")"))
      << port.status();
}

TEST(BindTest, UnknownHostIsAnError) {
  EXPECT_EQ(CodeOf(BindAll("no-such-host.invalid", 0).status()), ErrorCode::kBadConfig);
}

TEST(BindTest, HostNameBindsAtOnePort) {
  auto bound = BindAll("localhost", 0);
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_GT(bound->port, 0);
  EXPECT_GE(bound->sockets.size(), 1u);
  EXPECT_TRUE(RawSocket(bound->port).connected());
}

}  // namespace
}  // namespace arrowport::wire::net
