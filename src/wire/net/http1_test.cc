// HTTP/1.1 over raw sockets: framing in odd pieces, limits of size and time, ends.
#include <gtest/gtest.h>

#include "wire/net/testing_server.h"

namespace arrowport::wire::net {
namespace {

using std::chrono::milliseconds;
using testing::Eventually;
using testing::RawSocket;
using testing::Seen;
using testing::TestServer;

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

size_t Count(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

constexpr std::string_view kGet = "GET /count HTTP/1.1\r\nHost: x\r\n\r\n";

TEST(Http1Test, ChunkedBodyInOddPieces) {
  TestServer server;
  const std::string request =
      "POST /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
      "Transfer-Encoding: chunked\r\n\r\n"
      "5;name=value\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
  for (size_t piece : {1, 2, 3, 7, 50}) {
    RawSocket socket(server.port);
    for (size_t at = 0; at < request.size(); at += piece) {
      ASSERT_TRUE(socket.Send(request.substr(at, piece)));
    }
    std::string answer = socket.ReceiveAll();
    EXPECT_TRUE(Contains(answer, "HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_TRUE(answer.ends_with("\r\n\r\n15")) << answer;
  }
}

TEST(Http1Test, LargeBodiesComeBackUnchanged) {
  TestServer server;
  std::string body(5 << 20, '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 >> 3);
  RawSocket socket(server.port);
  std::thread sender([&] {
    socket.Send("POST /echo HTTP/1.0\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\n\r\n");
    socket.Send(body);
  });
  std::string answer = socket.ReceiveAll();
  sender.join();
  ASSERT_TRUE(Contains(answer, "\r\n\r\n"));
  EXPECT_FALSE(Contains(answer.substr(0, answer.find("\r\n\r\n")), "chunked"));
  std::string echoed = answer.substr(answer.find("\r\n\r\n") + 4);
  EXPECT_TRUE(server.record.Get("/echo").body_error.ok())
      << server.record.Get("/echo").body_error;
  EXPECT_EQ(echoed.size(), body.size());
  EXPECT_TRUE(echoed == body);
}

TEST(Http1Test, PipelinedRequestsAreAnsweredInOrder) {
  TestServer server;
  RawSocket socket(server.port);
  std::string all;
  for (int i = 0; i < 50; ++i) {
    all += "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(i) +
           "\r\n\r\n" + std::string(static_cast<size_t>(i), 'x');
  }
  all += "GET /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  ASSERT_TRUE(socket.Send(all));
  std::string answers = socket.ReceiveAll();
  EXPECT_EQ(Count(answers, "HTTP/1.1 200 OK"), 51u);
  size_t at = 0;
  for (int i = 0; i < 50; ++i) {
    at = answers.find("\r\n\r\n" + std::to_string(i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

TEST(Http1Test, KeepsTheConnectionAndTheRequestId) {
  TestServer server;
  RawSocket socket(server.port);
  std::string answers;
  socket.Send("GET /count HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine-1\r\n\r\n");
  ASSERT_TRUE(socket.ReceiveUntil("\r\n\r\n0", &answers));
  EXPECT_TRUE(Contains(answers, "X-Request-Id: mine-1\r\n")) << answers;
  answers.clear();
  socket.Send("GET /count HTTP/1.1\r\nHost: x\r\nX-Request-Id: not sane!\r\n\r\n");
  ASSERT_TRUE(socket.ReceiveUntil("\r\n\r\n0", &answers));
  EXPECT_FALSE(Contains(answers, "not sane")) << answers;
}

TEST(Http1Test, ContinuesWhenAsked) {
  TestServer server;
  RawSocket socket(server.port);
  socket.Send(
      "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
      "Expect: 100-continue\r\n\r\n");
  std::string answer;
  ASSERT_TRUE(socket.ReceiveUntil("HTTP/1.1 100 Continue\r\n\r\n", &answer));
  socket.Send("abc");
  ASSERT_TRUE(socket.ReceiveUntil("\r\n\r\n3", &answer)) << answer;
}

TEST(Http1Test, RefusesWithoutAHandler) {
  TestServer server;
  struct Case {
    std::string request;
    std::string status;
    std::string code;
  };
  const std::string long_field(70'000, 'a');
  const Case cases[] = {
      {"GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404", "NOT_FOUND"},
      {"GARBAGE\r\n\r\n", "400", "INVALID_ARGUMENT"},
      {"GET /count HTTP/1.1\r\n\r\n", "400", "INVALID_ARGUMENT"},
      {"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n", "400", "INVALID_ARGUMENT"},
      {"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: "
       "chunked\r\n\r\n",
       "400", "INVALID_ARGUMENT"},
      {"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: "
       "99999999999999999999999\r\n\r\n",
       "400", "INVALID_ARGUMENT"},
      {"POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
       "501", "UNIMPLEMENTED"},
      {"POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: magic\r\n\r\n",
       "417", "INVALID_ARGUMENT"},
      {"GET /count HTTP/1.1\r\nHost: x\r\nA: " + long_field + "\r\n\r\n", "431",
       "TOO_LARGE"},
      {"GET /" + long_field + " HTTP/1.1\r\nHost: x\r\n\r\n", "431", "TOO_LARGE"},
  };
  for (const Case& test : cases) {
    std::string answer = server.Ask(test.request);
    std::string head = test.request.substr(0, 60);
    EXPECT_TRUE(Contains(answer, "HTTP/1.1 " + test.status)) << head << "\n" << answer;
    EXPECT_TRUE(Contains(answer, "\"code\":\"" + test.code + "\"")) << answer;
    EXPECT_TRUE(Contains(answer, "X-Request-Id: ")) << answer;
    EXPECT_TRUE(Contains(answer, "\"retriable\":false")) << answer;
  }
}

TEST(Http1Test, RefusedRouteKeepsTheConnection) {
  TestServer server;
  RawSocket socket(server.port);
  socket.Send("GET /none HTTP/1.1\r\nHost: x\r\n\r\n" + std::string(kGet));
  std::string answers;
  EXPECT_TRUE(socket.ReceiveUntil("200 OK", &answers)) << answers;
}

TEST(Http1Test, BodyOverTheLimitOfItsRoute) {
  TestServer server;
  std::string answer = server.Ask(
      "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775808\r\n\r\n");
  EXPECT_TRUE(Contains(answer, "HTTP/1.1 413")) << answer;
  EXPECT_TRUE(Contains(answer, "Connection: close")) << answer;

  RawSocket socket(server.port);
  socket.Send("POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::string chunk = "ffff\r\n" + std::string(0xffff, 'x') + "\r\n";
  // Endless: the server must end it.
  int64_t sent = 0;
  while (socket.Send(chunk) && sent < (1 << 30)) {
    sent += static_cast<int64_t>(chunk.size());
    std::string some;
    if (socket.ReceiveSome(&some, 0)) {
      EXPECT_TRUE(Contains(some, "413")) << some;
    }
    if (socket.ended()) break;
  }
  EXPECT_LT(sent, 1 << 30);
  EXPECT_FALSE(server.record.Get("/small").ended);
}

TEST(Http1Test, MalformedChunkReachesTheHandler) {
  TestServer server;
  std::string answer = server.Ask(
      "POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\nnot-a-size\r\n");
  EXPECT_TRUE(Contains(answer, "HTTP/1.1 400")) << answer;
  Seen seen = server.record.Get("/count");
  EXPECT_FALSE(seen.body_error.ok());
  EXPECT_FALSE(seen.ended);
}

TEST(Http1Test, CutBodyIsCancelledAndNeverEnded) {
  TestServer server;
  for (bool chunked : {false, true}) {
    RawSocket socket(server.port);
    std::string path = chunked ? "/cut-chunked" : "/cut-sized";
    socket.Send("POST " + path + " HTTP/1.1\r\nHost: x\r\n" +
                (chunked ? "Transfer-Encoding: chunked\r\n\r\n64\r\nabc"
                         : "Content-Length: 100\r\n\r\nabc"));
    ASSERT_TRUE(
        server.record.WaitFor(path, [](const Seen& seen) { return seen.messages == 1; }));
    socket.Close();
    ASSERT_TRUE(server.record.WaitDone(path));
    Seen seen = server.record.Get(path);
    EXPECT_EQ(CodeOf(*seen.done), ErrorCode::kCancelled);
    EXPECT_FALSE(seen.ended);
  }
}

TEST(Http1Test, SlowHeadIsRefused) {
  TestServer server([](ListenerOptions& o) { o.header_timeout = milliseconds(100); });
  RawSocket socket(server.port);
  socket.Send("GET /count HTTP/1.1\r\nHost");
  std::string answer = socket.ReceiveAll();
  EXPECT_TRUE(Contains(answer, "HTTP/1.1 408")) << answer;
  EXPECT_EQ(server.observer->rejected("header_timeout"), 1);
}

TEST(Http1Test, SlowBodyIsRefused) {
  TestServer server([](ListenerOptions& o) {
    o.body_rate_window = milliseconds(100);
    o.body_rate_min_bytes = 100'000;
  });
  RawSocket socket(server.port);
  socket.Send("POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc");
  std::string answer = socket.ReceiveAll();
  EXPECT_TRUE(Contains(answer, "HTTP/1.1 400")) << answer;
  EXPECT_EQ(CodeOf(server.record.Get("/count").body_error), ErrorCode::kTimeout);
}

TEST(Http1Test, IdleConnectionIsClosed) {
  TestServer server([](ListenerOptions& o) { o.idle_timeout = milliseconds(100); });
  RawSocket silent(server.port);
  EXPECT_EQ(silent.ReceiveAll(), "");
  EXPECT_TRUE(silent.ended());
  RawSocket used(server.port);
  used.Send(kGet);
  EXPECT_TRUE(Contains(used.ReceiveAll(), "200 OK"));
  EXPECT_TRUE(used.ended());
}

TEST(Http1Test, StalledReaderIsCut) {
  TestServer server(
      [](ListenerOptions& o) { o.write_stall_timeout = milliseconds(200); });
  RawSocket socket(server.port);
  socket.Send("GET /big?200000000 HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(server.record.WaitDone("/big"));
  EXPECT_EQ(CodeOf(*server.record.Get("/big").done), ErrorCode::kTimeout);
  EXPECT_TRUE(Eventually([&] { return server.listener->open_connections() == 0; }));
}

TEST(Http1Test, BigAnswerWithBackPressure) {
  TestServer server;
  std::string answer =
      server.Ask("GET /big?30000000 HTTP/1.0\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, 30'000'000u);
  EXPECT_TRUE(server.record.WaitDone("/big"));
  EXPECT_TRUE(server.record.Get("/big").done->ok());
}

TEST(Http1Test, AbortedAnswerHasNoLastChunk) {
  TestServer server;
  std::string answer = server.Ask("GET /abort HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_FALSE(Contains(answer, "\r\n0\r\n\r\n")) << answer;
}

TEST(Http1Test, HeadHasNoBody) {
  TestServer server;
  std::string answer =
      server.Ask("HEAD /count HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(answer.ends_with("\r\n\r\n")) << answer;
}

TEST(Http1Test, HalfClosedPeerStillGetsItsAnswer) {
  TestServer server;
  RawSocket socket(server.port);
  socket.Send("POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab");
  socket.EndSending();
  EXPECT_TRUE(socket.ReceiveAll().ends_with("\r\n\r\n2"));
}

TEST(Http1Test, PausedHandlerStopsTheSender) {
  TestServer server([](ListenerOptions& o) { o.request_memory_max = 1 << 20; });
  RawSocket socket(server.port);
  std::atomic<int64_t> sent{0};
  std::thread sender([&] {
    socket.Send("POST /pause HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n");
    std::string piece(100'000, 'p');
    for (int i = 0; i < 1000 && socket.Send(piece); ++i) sent += 100'000;
  });
  ASSERT_TRUE(server.record.WaitHeld(1));
  int64_t before = -1;
  // What the kernel's buffers take aside, the sender comes to a halt.
  EXPECT_TRUE(Eventually([&] {
    ::poll(nullptr, 0, 50);
    return std::exchange(before, sent.load()) == sent.load() && sent > 0;
  }));
  EXPECT_LT(sent, 50'000'000);
  EXPECT_EQ(server.record.Get("/pause").messages, 1);
  // Resumed over and over (it pauses after every message), everything arrives.
  auto call = server.record.TakeHeld()[0];
  EXPECT_TRUE(Eventually([&] {
    call->ResumeReading();
    return server.record.Get("/pause").ended;
  }));
  sender.join();
  EXPECT_EQ(sent, 100'000'000);
}

}  // namespace
}  // namespace arrowport::wire::net
