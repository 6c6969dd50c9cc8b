#include "zerobus/rpc/connection.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "zerobus/rpc/testing_server.h"

namespace arrowport::zerobus::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ServerCall;
using testing::ServerScript;
using testing::TestServer;

// Remembers what a call said; the I/O thread writes, the test waits.
class Recorder : public CallHandler {
 public:
  void OnHeaders(const Metadata& metadata) override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++headers;
    changed_.notify_all();
  }
  void OnMessage(std::string_view message) override {
    std::lock_guard<std::mutex> lock(mutex_);
    messages.emplace_back(message);
    changed_.notify_all();
  }
  void OnWritable() override {
    std::lock_guard<std::mutex> lock(mutex_);
    ++writable;
    changed_.notify_all();
  }
  void OnEnd(const RpcStatus& status) override {
    std::lock_guard<std::mutex> lock(mutex_);
    end = status;
    ++ends;
    changed_.notify_all();
  }
  template <typename Predicate>
  bool WaitFor(Predicate predicate) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, seconds(20), [&] { return predicate(*this); });
  }
  int EndsSoFar() {
    std::lock_guard<std::mutex> lock(mutex_);
    return ends;
  }
  bool WaitForEnd() {
    return WaitFor([](Recorder& self) { return self.ends > 0; });
  }

  int headers = 0;
  std::vector<std::string> messages;
  int writable = 0;
  int ends = 0;
  RpcStatus end;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

class ConnectionTest : public ::testing::Test {
 protected:
  void SetUp() override { reactor_ = Reactor::Start().ValueOrDie(); }
  void TearDown() override {
    Do([this] { calls_.clear(); });
    reactor_.reset();
  }
  void Do(std::function<void()> task) {
    std::mutex mutex;
    std::condition_variable done;
    bool finished = false;
    reactor_->Post([&] {
      task();
      std::lock_guard<std::mutex> lock(mutex);
      finished = true;
      done.notify_all();
    });
    std::unique_lock<std::mutex> lock(mutex);
    done.wait(lock, [&] { return finished; });
  }
  ConnectionOptions OptionsFor(uint16_t port) {
    ConnectionOptions options;
    options.link.endpoint = {false, "127.0.0.1", port};
    return options;
  }
  Call* Start(const ConnectionOptions& options, CallHandler* handler,
              Metadata metadata = {}) {
    Call* call = nullptr;
    Do([&] {
      auto connection = Connection::Open(reactor_.get(), &tasks_, options);
      auto started = connection->StartCall("/a.B/C", std::move(metadata), handler);
      ASSERT_TRUE(started.ok()) << started.status();
      call = started->get();
      calls_.push_back(*std::move(started));
    });
    return call;
  }
  /// Lives as long as the calls: one that a test leaves open ends when its server goes.
  Recorder& NewRecorder() {
    return *recorders_.emplace_back(std::make_unique<Recorder>());
  }
  static Message Text(std::string text) {
    return {arrow::Buffer::FromString(std::move(text))};
  }

  TaskPool tasks_{2};
  std::unique_ptr<Reactor> reactor_;
  std::vector<std::unique_ptr<Recorder>> recorders_;
  std::vector<std::unique_ptr<Call>> calls_;
};

TEST_F(ConnectionTest, EchoesMessagesAndEndsWithTheStatus) {
  ServerScript script;
  std::string seen_header;
  script.on_start = [&](ServerCall& call) {
    seen_header = call.header("x-name") + call.header(":path") + call.header("te");
    call.SendHeaders();
  };
  script.on_message = [](ServerCall& call, const std::string& message) {
    call.SendMessage(message);
  };
  script.on_half_close = [](ServerCall& call) {
    call.Finish(5, "not%20here%E2%82%AC%", "aGVsbG8");
  };
  TestServer server(script);
  Recorder& recorder = NewRecorder();
  Call* call = Start(OptionsFor(server.port()), &recorder, {{"x-name", "value"}});
  const std::string large(3 << 20, 'x');
  Do([&] {
    call->Write(Text("one"));
    call->Write({arrow::Buffer::FromString("t"), arrow::Buffer::FromString(""),
                 arrow::Buffer::FromString("wo")});
    call->Write(Text(""));
    call->HalfClose();
  });
  ASSERT_TRUE(recorder.WaitForEnd());
  EXPECT_EQ(recorder.messages, (std::vector<std::string>{"one", "two", ""}));
  EXPECT_EQ(recorder.headers, 1);
  EXPECT_EQ(recorder.ends, 1);
  EXPECT_EQ(recorder.end.code, StatusCode::kNotFound);
  EXPECT_EQ(recorder.end.message, "not here\xE2\x82\xAC%");
  EXPECT_EQ(recorder.end.details, "hello");
  EXPECT_TRUE(recorder.end.from_peer);
  EXPECT_EQ(seen_header, "value/a.B/Ctrailers");
}

TEST_F(ConnectionTest, ServiceStatusWinsOverTheConnectionsEnd) {
  ServerScript script;
  script.on_message = [](ServerCall& call, const std::string&) {
    call.SendMessage("x");
    call.Finish(16, "who are you");
    call.CloseTcp();
  };
  TestServer server(script);
  Recorder& recorder = NewRecorder();
  Call* call = Start(OptionsFor(server.port()), &recorder);
  Do([&] {
    for (int i = 0; i < 100; ++i) call->Write(Text(std::string(10'000, 'y')));
  });
  ASSERT_TRUE(recorder.WaitForEnd());
  EXPECT_EQ(recorder.end.code, StatusCode::kUnauthenticated);
  EXPECT_EQ(recorder.end.message, "who are you");
}

TEST_F(ConnectionTest, ResetsGoAwayAndLostConnectionsHaveTheirCodes) {
  struct Case {
    std::function<void(ServerCall&)> harm;
    StatusCode code;
  };
  const std::vector<Case> cases = {
      {[](ServerCall& call) { call.Reset(NGHTTP2_REFUSED_STREAM); },
       StatusCode::kUnavailable},
      {[](ServerCall& call) { call.Reset(NGHTTP2_CANCEL); }, StatusCode::kCancelled},
      {[](ServerCall& call) { call.Reset(NGHTTP2_ENHANCE_YOUR_CALM); },
       StatusCode::kResourceExhausted},
      {[](ServerCall& call) { call.Reset(NGHTTP2_INTERNAL_ERROR); },
       StatusCode::kInternal},
      {[](ServerCall& call) { call.CloseTcp(); }, StatusCode::kUnavailable},
      {[](ServerCall& call) { call.ResetTcp(); }, StatusCode::kUnavailable},
      {[](ServerCall& call) { call.Finish(0); }, StatusCode::kOk},
      {[](ServerCall& call) { call.SendRaw(std::string("\1\0\0\0\1x", 6)); },
       StatusCode::kInternal},
      {[](ServerCall& call) { call.SendRaw(std::string("\0\xff\xff\xff\xff", 5)); },
       StatusCode::kInternal},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    ServerScript script;
    script.on_message = [&](ServerCall& call, const std::string&) {
      cases[i].harm(call);
    };
    TestServer server(script);
    Recorder& recorder = NewRecorder();
    Call* call = Start(OptionsFor(server.port()), &recorder);
    Do([&] { call->Write(Text("go")); });
    ASSERT_TRUE(recorder.WaitForEnd());
    EXPECT_EQ(recorder.end.code, cases[i].code) << recorder.end.message;
    EXPECT_EQ(recorder.ends, 1);
  }
}

TEST_F(ConnectionTest, PeerThatDoesNotReadStopsTheWriter) {
  ServerScript script;
  script.on_start = [](ServerCall& call) { call.SetReading(false); };
  TestServer server(script);
  Recorder& recorder = NewRecorder();
  Call* call = Start(OptionsFor(server.port()), &recorder);
  int taken = 0;
  const auto message = arrow::Buffer::FromString(std::string(64 * 1024, 'z'));
  // What the sockets and windows take passes; then the queue fills, and stays so.
  auto deadline = std::chrono::steady_clock::now() + milliseconds(300);
  while (std::chrono::steady_clock::now() < deadline) {
    Do([&] {
      if (call->unsent_messages() == 0) {
        while (call->Write({message}) == Call::Room::kYes) ++taken;
        ++taken;
      }
    });
  }
  EXPECT_LT(taken, 200);
  Do([&] {
    EXPECT_GT(call->unsent_messages(), 0U);
    EXPECT_LE(call->unsent_messages(), 5U);
    call->DropUnsent();
    EXPECT_EQ(call->unsent_messages(), 0U);
  });
}

TEST_F(ConnectionTest, WriterIsToldOfRoom) {
  TestServer server{ServerScript{}};
  Recorder& recorder = NewRecorder();
  Call* call = Start(OptionsFor(server.port()), &recorder);
  for (int round = 1; round <= 5; ++round) {
    Do([&] {
      while (call->Write(Text(std::string(100'000, 'z'))) == Call::Room::kYes) {
      }
    });
    ASSERT_TRUE(recorder.WaitFor([&](Recorder& self) { return self.writable >= round; }));
  }
  Do([&] { call->HalfClose(); });
  ASSERT_TRUE(recorder.WaitForEnd());
  EXPECT_EQ(recorder.end.code, StatusCode::kOk);
}

TEST_F(ConnectionTest, CancelIsSeenByTheServiceAndSilencesTheHandler) {
  std::atomic<bool> reset{false};
  ServerScript script;
  std::mutex mutex;
  ServerCall* seen = nullptr;
  script.on_message = [&](ServerCall& call, const std::string&) {
    std::lock_guard<std::mutex> lock(mutex);
    seen = &call;
    call.SendMessage("hello");
  };
  TestServer server(script);
  Recorder& recorder = NewRecorder();
  Recorder& other = NewRecorder();
  ConnectionOptions options = OptionsFor(server.port());
  Call* first = nullptr;
  Do([&] {
    auto connection = Connection::Open(reactor_.get(), &tasks_, options);
    calls_.push_back(connection->StartCall("/a.B/C", {}, &recorder).ValueOrDie());
    calls_.push_back(connection->StartCall("/a.B/C", {}, &other).ValueOrDie());
    first = calls_[0].get();
    first->Write(Text("x"));
  });
  ASSERT_TRUE(recorder.WaitFor([](Recorder& self) { return self.messages.size() == 1; }));
  Do([&] { first->Cancel(); });
  const auto deadline = std::chrono::steady_clock::now() + seconds(20);
  while (!reset && std::chrono::steady_clock::now() < deadline) {
    std::mutex done_mutex;
    std::condition_variable done;
    bool finished = false;
    server.Post([&] {
      std::lock_guard<std::mutex> lock(done_mutex);
      reset = seen->reset;
      finished = true;
      done.notify_all();
    });
    std::unique_lock<std::mutex> lock(done_mutex);
    done.wait(lock, [&] { return finished; });
  }
  EXPECT_TRUE(reset);
  EXPECT_EQ(recorder.EndsSoFar(), 0);
  EXPECT_EQ(server.connections(), 1);  // the other call lives on
  EXPECT_EQ(other.EndsSoFar(), 0);
}

TEST_F(ConnectionTest, NothingListensThere) {
  uint16_t port;
  {
    TestServer server{ServerScript{}};
    port = server.port();
  }
  Recorder& recorder = NewRecorder();
  Start(OptionsFor(port), &recorder);
  ASSERT_TRUE(recorder.WaitForEnd());
  EXPECT_EQ(recorder.end.code, StatusCode::kUnavailable);
  EXPECT_FALSE(recorder.end.configuration);
}

TEST_F(ConnectionTest, SilentPeerIsFoundByPing) {
  ServerScript script;
  script.on_message = [](ServerCall& call, const std::string&) {
    call.SetReading(false);
  };
  TestServer server(script);
  Recorder& recorder = NewRecorder();
  ConnectionOptions options = OptionsFor(server.port());
  options.keepalive_interval = milliseconds(50);
  options.keepalive_timeout = milliseconds(50);
  Call* call = Start(options, &recorder);
  Do([&] { call->Write(Text("x")); });
  ASSERT_TRUE(recorder.WaitForEnd());
  EXPECT_EQ(recorder.end.code, StatusCode::kUnavailable);
  EXPECT_EQ(recorder.end.message, "the peer answers no ping");
}

TEST_F(ConnectionTest, BadMetadataIsRefused) {
  TestServer server{ServerScript{}};
  Do([&] {
    auto connection =
        Connection::Open(reactor_.get(), &tasks_, OptionsFor(server.port()));
    Recorder& recorder = NewRecorder();
    EXPECT_FALSE(connection->StartCall("/a", {{"x", "a\r\nb: c"}}, &recorder).ok());
    EXPECT_FALSE(connection->StartCall("/a", {{"X", "a"}}, &recorder).ok());
    EXPECT_FALSE(connection->StartCall("/a", {{":path", "a"}}, &recorder).ok());
  });
}

}  // namespace
}  // namespace arrowport::zerobus::rpc
