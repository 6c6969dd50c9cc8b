// Harm on purpose, as a peer sees it.
#include <gtest/gtest.h>

#include "wire/net/testing_http2.h"
#include "wire/net/testing_server.h"

namespace arrowport::wire::net {
namespace {

using testing::Eventually;
using testing::GrpcMessage;
using testing::Http2Client;
using testing::Seen;
using testing::TestServer;
using Kind = Breakage::Kind;

constexpr char kEcho[] = "/test.Echo/Echo";
constexpr char kHold[] = "/test/Hold";

class BreakageTest : public ::testing::Test {
 protected:
  /// A call whose request is complete and whose answer is up to the test.
  std::shared_ptr<Call> HoldCall() {
    id_ = client_.Begin(kHold);
    client_.SendData(id_, GrpcMessage("x"), /*end=*/true);
    std::vector<std::shared_ptr<Call>> held;
    EXPECT_TRUE(Eventually([&] {
      client_.Pump(1);
      for (auto& call : server_.record.TakeHeld()) held.push_back(std::move(call));
      return !held.empty();
    }));
    return held.empty() ? nullptr : held[0];
  }
  bool EchoWorks() {
    const int32_t id = client_.Begin(kEcho);
    client_.SendData(id, GrpcMessage("still here"), true);
    return client_.WaitClosed(id) && client_.stream(id).header("grpc-status") == "0";
  }
  bool ConnectionEnds() {
    return Eventually([&] {
      client_.Pump(5);
      return !client_.alive();
    });
  }
  bool CallIsDone() { return server_.record.WaitDone(kHold); }

  TestServer server_;
  Http2Client client_{server_.port};
  int32_t id_ = 0;
};

TEST_F(BreakageTest, AStreamIsResetAndTheConnectionGoesOn) {
  HoldCall()->Break({Kind::kStreamReset, 7});
  EXPECT_TRUE(client_.WaitClosed(id_));
  EXPECT_EQ(client_.stream(id_).header("grpc-status"), "");
  EXPECT_TRUE(CallIsDone());
  EXPECT_TRUE(EchoWorks());
}

TEST_F(BreakageTest, GoawayLetsTheCallEndAndThenTheConnection) {
  const auto call = HoldCall();
  call->Break({Kind::kGoaway});
  call->Write({arrow::Buffer::FromString("last words")});
  call->Finish({0, "", {}});
  EXPECT_TRUE(client_.WaitClosed(id_));
  EXPECT_EQ(client_.stream(id_).header("grpc-status"), "0");
  EXPECT_EQ(client_.stream(id_).data, GrpcMessage("last words"));
  EXPECT_TRUE(ConnectionEnds());
}

TEST_F(BreakageTest, CloseSendsWhatIsQueuedAndEndsTheConnection) {
  for (const Kind kind : {Kind::kClose, Kind::kReset}) {
    TestServer server;
    Http2Client client(server.port);
    const int32_t id = client.Begin(kHold);
    client.SendData(id, GrpcMessage("x"), true);
    ASSERT_TRUE(server.record.WaitHeld(1));
    const auto call = server.record.TakeHeld()[0];
    if (kind == Kind::kClose) call->Write({arrow::Buffer::FromString("queued")});
    call->Break({kind});
    EXPECT_TRUE(Eventually([&] {
      client.Pump(5);
      return !client.alive();
    }));
    if (kind == Kind::kClose) {
      EXPECT_EQ(client.stream(id).data, GrpcMessage("queued"));
    }
    EXPECT_FALSE(client.stream(id).closed);
    EXPECT_TRUE(server.record.WaitDone(kHold));
  }
}

TEST_F(BreakageTest, ATornFrameBringsPartOfAMessage) {
  const auto call = HoldCall();
  call->Write({arrow::Buffer::FromString("whole")});
  call->Break({Kind::kClose, 0, /*torn_frame=*/true});
  EXPECT_TRUE(ConnectionEnds());
  const std::string whole = GrpcMessage("whole");
  const std::string& data = client_.stream(id_).data;
  ASSERT_EQ(data.size(), whole.size() + 16) << "16 of the 64 the frame announced";
  EXPECT_EQ(data.substr(0, whole.size()), whole);
  EXPECT_EQ(data.substr(whole.size(), 5), GrpcMessage(std::string(59, ' ')).substr(0, 5));
}

TEST_F(BreakageTest, AFrozenConnectionStaysOpenAndSilentUntilTheServerEnds) {
  HoldCall()->Break({Kind::kFreeze});
  const int32_t id = client_.Begin(kEcho);
  client_.SendData(id, GrpcMessage("anyone?"), true);
  Http2Client other(server_.port);
  const int32_t other_id = other.Begin(kEcho);
  other.SendData(other_id, GrpcMessage("x"), true);
  EXPECT_TRUE(other.WaitClosed(other_id)) << "others are served meanwhile";
  client_.Pump(100);
  EXPECT_FALSE(client_.stream(id).closed);
  EXPECT_TRUE(client_.alive());
  server_.listener->Stop(std::chrono::milliseconds(0));
  EXPECT_TRUE(CallIsDone());
  EXPECT_TRUE(ConnectionEnds());
}

TEST_F(BreakageTest, TheCallTellsHowItsPeerEndedIt) {
  const auto cancelled = HoldCall();
  EXPECT_EQ(cancelled->peer_end(), PeerEnd::kNone);
  client_.Reset(id_);
  EXPECT_TRUE(Eventually([&] { return cancelled->peer_end() == PeerEnd::kCancel; }));

  TestServer server;
  std::shared_ptr<Call> left;
  {
    Http2Client client(server.port);
    const int32_t id = client.Begin(kHold);
    client.SendData(id, GrpcMessage("x"), true);
    ASSERT_TRUE(server.record.WaitHeld(1));
    left = server.record.TakeHeld()[0];
  }
  EXPECT_TRUE(Eventually([&] { return left->peer_end() == PeerEnd::kGone; }));
}

}  // namespace
}  // namespace arrowport::wire::net
