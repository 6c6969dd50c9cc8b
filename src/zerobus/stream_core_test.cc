#include "zerobus/stream_core.h"

#include <gtest/gtest.h>

#include "zerobus/failure.h"

namespace arrowport::zerobus {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Phase = StreamCore::Phase;
using Step = StreamCore::Step;

class CountingProtocol final : public StreamProtocol {
 public:
  explicit CountingProtocol(AckUnit unit) : unit_(unit) {}
  std::string path() const override { return "/"; }
  AckUnit ack_unit() const override { return unit_; }
  rpc::Message OpenMessage() const override { return {}; }
  arrow::Result<ServiceMessage> Parse(std::string_view) const override {
    return ServiceMessage{};
  }
  arrow::Result<rpc::Message> Encode(const Request&, int64_t, int64_t) const override {
    return rpc::Message{};
  }
  arrow::Result<Request> Slice(const Request& request, int64_t first_row,
                               int64_t rows) const override {
    Request slice = request;
    slice.first_row += first_row;
    slice.rows = rows;
    slice.bytes = rows;
    return slice;
  }

 private:
  const AckUnit unit_;
};

// A core with a clock and dice of its own.
class StreamCoreTest : public ::testing::Test {
 protected:
  void Make(AckUnit unit = AckUnit::kRequests) {
    core_ = std::make_unique<StreamCore>(
        options_, std::make_shared<CountingProtocol>(unit), [this] { return dice_; });
  }
  void SetUp() override {
    options_.requests_max = 100;
    options_.attempt_timeout = seconds(15);
    Make();
  }
  int64_t Accept(int64_t rows = 10) {
    Request request;
    request.rows = rows;
    request.bytes = rows;
    return core_->Accept(std::move(request), now_);
  }
  Step Next() { return core_->Next(now_, &out_); }
  void Connect() {
    ASSERT_EQ(Next(), Step::kConnect);
    core_->OnOpened({}, now_, &out_);
  }
  int Send() {
    int sent = 0;
    while (Next() == Step::kSend) {
      core_->MarkSent(now_);
      ++sent;
    }
    return sent;
  }
  arrow::Status Ack(std::optional<int64_t> up_to, int64_t unsent = 0) {
    return core_->OnAck({up_to}, unsent, now_, &out_);
  }
  void Break(Reaction reaction = Reaction::kRetry) {
    core_->OnEnded({reaction, MakeFailure(reaction == Reaction::kRenewToken
                                              ? ErrorKind::kAuthentication
                                              : ErrorKind::kTransmission,
                                          "broke")},
                   now_, &out_);
  }
  void Pass(milliseconds time) { now_ += time; }
  milliseconds Wait() {
    return std::chrono::duration_cast<milliseconds>(core_->NextDeadline() - now_);
  }

  StreamCore::Options options_;
  double dice_ = 0.5;
  TimePoint now_{seconds(1000)};
  Outcomes out_;
  std::unique_ptr<StreamCore> core_;
};

TEST_F(StreamCoreTest, SleepsUntilTheFirstRequest) {
  EXPECT_EQ(Next(), Step::kNothing);
  EXPECT_EQ(core_->NextDeadline(), TimePoint::max());
  Accept();
  EXPECT_EQ(Next(), Step::kConnect);
  EXPECT_EQ(Next(), Step::kNothing);
}

// Trap 1: a mere connect resets no budget.
TEST_F(StreamCoreTest, ConnectsWithoutProgressUseUpTheBudget) {
  Accept();
  int connects = 0;
  while (core_->phase() != Phase::kEnded) {
    ASSERT_EQ(Next(), Step::kConnect);
    ++connects;
    core_->OnOpened({}, now_, &out_);
    EXPECT_EQ(Send(), 1);
    Break();
    if (core_->phase() == Phase::kWaiting) Pass(Wait());
    ASSERT_LT(connects, 100);
  }
  EXPECT_EQ(connects, 5);
  EXPECT_EQ(KindOf(core_->end_status()), ErrorKind::kRetryExhausted);
}

// Trap 22: waits grow, with jitter over the whole range.
TEST_F(StreamCoreTest, WaitsDoubleUpToTheirLimitAndAreRandom) {
  options_.stream.recovery_retries = 10;
  Make();
  dice_ = 0.999999;
  Accept();
  std::vector<int64_t> waits;
  for (int i = 0; i < 6; ++i) {
    ASSERT_EQ(Next(), Step::kConnect);
    Break();
    waits.push_back(Wait().count());
    Pass(Wait());
  }
  EXPECT_EQ(waits, (std::vector<int64_t>{1999, 3999, 7999, 15999, 29999, 29999}));
  dice_ = 0;
  ASSERT_EQ(Next(), Step::kConnect);
  Break();
  EXPECT_EQ(Wait().count(), 0);
}

TEST_F(StreamCoreTest, ProgressEndsAnOutage) {
  options_.stream.recovery_retries = 1;
  Make();
  for (int i = 0; i < 10; ++i) {
    Accept();
    Accept();
    if (i == 0) {
      Connect();
    }
    EXPECT_GE(Send(), 2);
    EXPECT_TRUE(Ack(0).ok());
    Break();
    Pass(Wait());
    Connect();
  }
  EXPECT_NE(core_->phase(), Phase::kEnded);
}

TEST_F(StreamCoreTest, AnIdleOpenSecondEndsAnOutage) {
  options_.stream.recovery_retries = 1;
  Make();
  Accept();
  Connect();
  Send();
  EXPECT_TRUE(Ack(0).ok());
  for (int i = 0; i < 5; ++i) {
    Break();  // nothing in flight
    Pass(Wait());
    ASSERT_EQ(Next(), Step::kConnect);
    core_->OnOpened({}, now_, &out_);
    EXPECT_EQ(Next(), Step::kNothing);
    EXPECT_EQ(Wait(), seconds(1));
    Pass(seconds(1));
    EXPECT_EQ(Next(), Step::kNothing);
  }
  EXPECT_EQ(core_->phase(), Phase::kOpen);
}

// Trap 2: only progress re-arms the ack timer.
TEST_F(StreamCoreTest, AckTimerRunsFromTheOldestAndOnlyProgressMovesIt) {
  Accept();
  Connect();
  Send();
  Pass(seconds(40));
  Accept();
  Send();
  EXPECT_TRUE(Ack(-5).ok());  // lower: no progress
  EXPECT_EQ(Wait(), seconds(20));
  EXPECT_TRUE(Ack(0).ok());
  EXPECT_EQ(Wait(), seconds(60));
  EXPECT_TRUE(Ack(0).ok());  // equal: no progress
  Pass(seconds(60));
  EXPECT_EQ(Next(), Step::kDrop);
  EXPECT_EQ(core_->phase(), Phase::kWaiting);
}

TEST_F(StreamCoreTest, NoAckTimerWhileIdleOrPaused) {
  Accept();
  Connect();
  Send();
  EXPECT_TRUE(Ack(0).ok());
  Pass(seconds(3600));
  EXPECT_EQ(Next(), Step::kNothing);
  EXPECT_EQ(core_->phase(), Phase::kOpen);
  Accept();
  Send();
  core_->OnCloseSignal({seconds(600)}, now_);
  Pass(seconds(300));
  EXPECT_EQ(Next(), Step::kNothing);
  EXPECT_EQ(core_->phase(), Phase::kPaused);
}

TEST_F(StreamCoreTest, ACompletedReplayRearmsTheAckTimer) {
  Accept();
  Accept();
  Connect();
  Send();
  EXPECT_TRUE(Ack(0).ok());
  Accept();
  Send();
  Break();
  Connect();
  ASSERT_EQ(Next(), Step::kSend);
  core_->MarkSent(now_);
  Pass(seconds(30));
  ASSERT_EQ(Next(), Step::kSend);
  core_->MarkSent(now_);
  EXPECT_EQ(Wait(), seconds(60));
}

// Trap 3: a lower ack is no watermark.
TEST_F(StreamCoreTest, LowerAckIsForgotten) {
  for (int i = 0; i < 5; ++i) Accept();
  Connect();
  Send();
  EXPECT_TRUE(Ack(3).ok());
  EXPECT_TRUE(Ack(1).ok());
  EXPECT_EQ(core_->inflight_requests(), 1);
  EXPECT_TRUE(Ack(4).ok());
  EXPECT_EQ(core_->inflight_requests(), 0);
  EXPECT_EQ(out_.settlements.size(), 5U);
  EXPECT_EQ(core_->counters().acks_without_progress, 1);
}

TEST_F(StreamCoreTest, AckOfWhatIsStillQueuedIsAProtocolError) {
  for (int i = 0; i < 5; ++i) Accept();
  Connect();
  Send();
  EXPECT_EQ(KindOf(Ack(3, /*unsent=*/2)), ErrorKind::kProtocol);
  EXPECT_EQ(KindOf(Ack(5)), ErrorKind::kProtocol);
  EXPECT_EQ(KindOf(Ack(std::nullopt)), ErrorKind::kProtocol);
  EXPECT_TRUE(out_.settlements.empty());
  EXPECT_TRUE(Ack(2, 2).ok());
  EXPECT_EQ(out_.settlements.size(), 3U);
}

// Trap 4: memory is bounded by bytes too.
TEST_F(StreamCoreTest, RoomIsByCountAndByBytes) {
  options_.stream.max_inflight_bytes = 100;
  Make();
  EXPECT_TRUE(core_->HasRoom(1'000));  // one is always let in
  Accept(60);
  EXPECT_TRUE(core_->HasRoom(40));
  EXPECT_FALSE(core_->HasRoom(41));
  options_.requests_max = 2;
  Make();
  Accept(1);
  Accept(1);
  EXPECT_FALSE(core_->HasRoom(1));
}

// Trap 5: nothing is sent after the pause; what was queued is taken back and sent again.
TEST_F(StreamCoreTest, CloseSignalStopsSendingAndTakesBackWhatWasQueued) {
  for (int i = 0; i < 5; ++i) Accept();
  Connect();
  EXPECT_EQ(Send(), 5);
  core_->TakeBack(2);
  core_->OnCloseSignal({seconds(10)}, now_);
  Accept();
  EXPECT_EQ(Next(), Step::kNothing);
  EXPECT_TRUE(Ack(2).ok());
  EXPECT_EQ(Next(), Step::kHalfClose);  // drained early
  EXPECT_EQ(Next(), Step::kNothing);
  Break();
  EXPECT_EQ(Next(), Step::kConnect);  // no wait, no budget
  core_->OnOpened({}, now_, &out_);
  EXPECT_EQ(Send(), 3);
  EXPECT_EQ(core_->counters().reconnects_after_failure, 0);
  EXPECT_EQ(core_->counters().requests_replayed, 0);
}

TEST_F(StreamCoreTest, PauseEndsAtTheSignalsTimeAndLateAcksCount) {
  Accept();
  Connect();
  Send();
  core_->OnCloseSignal({seconds(2)}, now_);
  core_->OnCloseSignal({seconds(100)}, now_);  // part of the same rotation
  EXPECT_EQ(Wait(), seconds(2));
  Pass(seconds(2));
  EXPECT_EQ(Next(), Step::kHalfClose);
  EXPECT_TRUE(Ack(0).ok());
  EXPECT_EQ(core_->inflight_requests(), 0);
  EXPECT_EQ(Wait(), milliseconds(500));
  Pass(milliseconds(500));
  EXPECT_EQ(Next(), Step::kDrop);
}

TEST_F(StreamCoreTest, PausedWaitHasACapAndZeroMeansNoWait) {
  options_.stream.stream_paused_max_wait = milliseconds(0);
  options_.stream.recovery = false;  // a rotation counts all the same
  Make();
  Accept();
  Connect();
  Send();
  core_->OnCloseSignal({seconds(2)}, now_);
  EXPECT_EQ(Next(), Step::kHalfClose);
  Break();
  EXPECT_EQ(Next(), Step::kConnect);
}

TEST_F(StreamCoreTest, RotationsWithoutAnyProgressAreNotForEver) {
  Accept();
  int connects = 0;
  while (core_->phase() != Phase::kEnded && connects < 1000) {
    if (core_->phase() == Phase::kWaiting) Pass(Wait());
    if (Next() != Step::kConnect) continue;
    ++connects;
    core_->OnOpened({}, now_, &out_);
    core_->OnCloseSignal({milliseconds(0)}, now_);
    ASSERT_EQ(Next(), Step::kHalfClose);
    Break();
  }
  EXPECT_EQ(KindOf(core_->end_status()), ErrorKind::kRetryExhausted);
  EXPECT_LT(connects, 60);
}

TEST_F(StreamCoreTest, TokenIsRenewedOncePerOutage) {
  Accept();
  Connect();
  Send();
  Break(Reaction::kRenewToken);
  EXPECT_EQ(Next(), Step::kConnect);  // at once
  core_->OnOpened({}, now_, &out_);
  Send();
  EXPECT_TRUE(Ack(0).ok());  // progress: the outage is over
  Accept();
  Send();
  Break(Reaction::kRenewToken);
  EXPECT_EQ(Next(), Step::kConnect);
  Break(Reaction::kRenewToken);
  EXPECT_EQ(core_->phase(), Phase::kEnded);
  EXPECT_EQ(KindOf(core_->end_status()), ErrorKind::kAuthentication);
}

TEST_F(StreamCoreTest, BlockedPipelineLengthensTheWait) {
  Accept();
  ASSERT_EQ(Next(), Step::kConnect);
  ErrorFacts facts;
  facts.kind = ErrorKind::kConnection;
  facts.service_code = 6006;
  core_->OnEnded({Reaction::kRetry, MakeFailure(facts, "Error Code: 6006")}, now_, &out_);
  EXPECT_EQ(Wait(), seconds(75));
}

// Trap 9: rows behind the last acked one.
TEST_F(StreamCoreTest, RowAcksMayEndInsideARequest) {
  Make(AckUnit::kRows);
  Accept(10);
  Accept(10);
  Connect();
  Send();
  EXPECT_TRUE(Ack(4).ok());
  EXPECT_TRUE(Ack(13).ok());
  EXPECT_EQ(core_->inflight_requests(), 1);
  Break();
  Connect();
  ASSERT_EQ(Next(), Step::kSend);
  const auto sending = core_->NextToSend();
  EXPECT_EQ(sending.skip_rows, 3);
  EXPECT_EQ(sending.index, 0);
  EXPECT_TRUE(sending.replay);
  core_->MarkSent(now_);
  EXPECT_EQ(KindOf(Ack(8)), ErrorKind::kProtocol);  // seven rows were sent
  EXPECT_TRUE(Ack(7).ok());
  EXPECT_EQ(core_->inflight_requests(), 0);
  int64_t settled = 0;
  for (const auto& settlement : out_.settlements) settled += settlement.event.rows;
  EXPECT_EQ(settled, 20);
}

TEST_F(StreamCoreTest, TransportThatIsFullIsNotAsked) {
  Accept();
  Accept();
  Connect();
  ASSERT_EQ(Next(), Step::kSend);
  core_->MarkSent(now_);
  core_->SetTransportFull(true);
  EXPECT_EQ(Next(), Step::kNothing);
  core_->SetTransportFull(false);
  EXPECT_EQ(Next(), Step::kSend);
}

// The seam for streams whose service remembers: an open reply may settle requests.
TEST_F(StreamCoreTest, OpenReplyMaySettleRequests) {
  for (int i = 0; i < 3; ++i) Accept();
  ASSERT_EQ(Next(), Step::kConnect);
  core_->OnOpened({"id", 2}, now_, &out_);
  EXPECT_EQ(core_->settled_offset(), 2);
  EXPECT_EQ(Send(), 1);
}

TEST_F(StreamCoreTest, CloseInEveryPhaseEnds) {
  for (int phase = 0; phase < 5; ++phase) {
    SCOPED_TRACE(phase);
    Make();
    if (phase > 0) {
      Accept();
      ASSERT_EQ(Next(), Step::kConnect);
    }
    if (phase == 2) Break();  // waiting
    if (phase >= 3) core_->OnOpened({}, now_, &out_);
    if (phase >= 3) Send();
    if (phase == 4) core_->OnCloseSignal({seconds(60)}, now_);
    core_->Close(now_, &out_);
    if (phase >= 3) {
      EXPECT_EQ(Next(), Step::kHalfClose);
      Pass(milliseconds(500));
      EXPECT_EQ(Next(), Step::kDrop);
    }
    ASSERT_EQ(core_->phase(), Phase::kEnded);
    EXPECT_EQ(core_->end_status().ok(), phase == 0);
    core_->Close(now_, &out_);
  }
}

}  // namespace
}  // namespace arrowport::zerobus
