// The fault scenarios, end to end: a writer, real sockets, a service that misbehaves.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "zerobus/failure.h"
#include "zerobus/testing_service.h"

namespace arrowport::zerobus {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FakeService;
using testing::Ids;
using testing::MakeWriter;
using testing::OptionsFor;
using testing::Received;
using testing::Sequence;
using testing::ServerCall;
using Action = FakeService::Action;
using Connection = FakeService::Connection;

class Recovery : public ::testing::TestWithParam<Mode> {
 protected:
  Options Make() { return OptionsFor(service_, GetParam()); }
  // `count` batches of `rows` rows each, without waiting for acks.
  std::vector<PendingSend> SendAll(ZerobusWriter* writer, int64_t count, int64_t rows) {
    std::vector<PendingSend> sends;
    for (int64_t i = 0; i < count; ++i) {
      auto sent = writer->SendAsync(Ids(i * rows, rows));
      EXPECT_TRUE(sent.ok()) << sent.status();
      if (sent.ok()) sends.push_back(*std::move(sent));
    }
    return sends;
  }
  void ExpectAllDurable(const std::vector<PendingSend>& sends) {
    for (const PendingSend& send : sends) {
      EXPECT_TRUE(send.result.Wait(20));
      auto result = send.result.result();
      ASSERT_TRUE(result.ok());
      EXPECT_TRUE(result->success()) << result->error();
    }
  }
  std::map<int64_t, int> Counts() {
    std::map<int64_t, int> counts;
    for (int64_t id : service_.logged_ids()) ++counts[id];
    return counts;
  }

  FakeService service_;
};

// Scenario 1: reset after the log, before the ack.
TEST_P(Recovery, ResetBeforeTheAckRepeatsOnlyWhatWasInFlight) {
  service_.set_on_request([](ServerCall& call, Connection& connection, const Received&) {
    if (connection.number == 0 && connection.requests >= 4) {
      if (connection.requests == 8) call.ResetTcp();
      return Action::kLog;
    }
    return Action::kLogAndAck;
  });
  auto writer = MakeWriter(Make());
  auto sends = SendAll(writer.get(), 20, 10);
  ASSERT_TRUE(writer->Flush().ok());
  ExpectAllDurable(sends);
  for (size_t i = 0; i < sends.size(); ++i) {
    EXPECT_EQ(sends[i].first_offset, static_cast<int64_t>(i));  // logical offsets run on
  }
  auto counts = Counts();
  EXPECT_EQ(counts.size(), 200U);
  int64_t repeated = 0;
  for (auto [id, count] : counts) repeated += count - 1;
  EXPECT_LE(repeated, 80);
  EXPECT_GE(repeated, 40);  // four requests were logged and unacked for certain
  EXPECT_EQ(service_.connections(), 2);
  EXPECT_TRUE(service_.violations().empty()) << service_.violations().front();
  EXPECT_TRUE(writer->Shutdown().ok());
}

// Scenario 2: reset before anything was logged.
TEST_P(Recovery, ResetBeforeTheLogMakesNoDuplicates) {
  service_.set_on_request([](ServerCall& call, Connection& connection, const Received&) {
    if (connection.number == 0) {
      call.Reset(NGHTTP2_INTERNAL_ERROR);
      return Action::kDrop;
    }
    return Action::kLogAndAck;
  });
  auto writer = MakeWriter(Make());
  auto sends = SendAll(writer.get(), 10, 10);
  EXPECT_TRUE(writer->Shutdown().ok());
  ExpectAllDurable(sends);
  EXPECT_EQ(service_.logged_ids(), Sequence(0, 100));
}

// Scenario 6: close signal with producers at work.
TEST_P(Recovery, CloseSignalPausesThenRotatesWithoutLossOrBudget) {
  std::atomic<int> signals{0};
  service_.set_on_request([&](ServerCall& call, Connection& connection, const Received&) {
    if (connection.number < 3 && connection.requests == 10) {
      ++signals;
      FakeService::SendSignal(call, connection, milliseconds(2000));
    }
    return Action::kLogAndAck;
  });
  Options options = Make();
  options.stream.recovery_retries = 0;  // any failure would be terminal
  auto writer = MakeWriter(options);
  std::vector<std::thread> producers;
  for (int64_t producer = 0; producer < 8; ++producer) {
    producers.emplace_back([&, producer] {
      for (int64_t i = 0; i < 10; ++i) {
        auto result = writer->SendBatch(Ids((producer * 10 + i) * 10, 10));
        EXPECT_TRUE(result.success()) << result.error();
      }
    });
  }
  for (auto& producer : producers) producer.join();
  EXPECT_TRUE(writer->Shutdown().ok());
  auto ids = service_.logged_ids();
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(ids, Sequence(0, 800));  // nothing twice
  EXPECT_EQ(signals, 3);
  EXPECT_EQ(service_.connections(), 4);
  EXPECT_EQ(writer->statistics().rotations, 3);
  EXPECT_EQ(writer->statistics().reconnects_after_failure, 0);
  EXPECT_TRUE(service_.violations().empty());
}

// Scenario 7: forced ends without a signal.
TEST_P(Recovery, HundredForcedEndsLoseNothing) {
  service_.set_on_request([](ServerCall& call, Connection& connection, const Received&) {
    if (connection.requests == 3 && connection.number < 100) {
      call.Finish(14, "Error Code: 6002 the stream timed out");
      return Action::kDrop;
    }
    return Action::kLogAndAck;
  });
  auto writer = MakeWriter(Make());
  auto sends = SendAll(writer.get(), 300, 2);
  EXPECT_TRUE(writer->Flush().ok());
  ExpectAllDurable(sends);
  EXPECT_EQ(service_.logged_ids(), Sequence(0, 600));
  EXPECT_EQ(service_.connections(), 101);
  EXPECT_TRUE(
      service_.WaitFor([&] { return service_.server().open_connections() == 1; }));
  EXPECT_TRUE(writer->Shutdown().ok());
}

// Scenario 8: the first ingest always fails.
TEST_P(Recovery, OpensThatLeadNowhereEndInRetryExhausted) {
  service_.set_on_request([](ServerCall& call, Connection&, const Received&) {
    call.Finish(14, "no pipeline");
    return Action::kDrop;
  });
  auto writer = MakeWriter(Make());
  auto sends = SendAll(writer.get(), 5, 10);
  EXPECT_FALSE(writer->Flush().ok());
  EXPECT_EQ(service_.connections(), 5);  // one and four retries
  for (auto& send : sends) {
    ASSERT_TRUE(send.result.Wait(20));
    auto result = *send.result.result();
    EXPECT_FALSE(result.success());
    EXPECT_EQ(KindOf(result.error()), ErrorKind::kRetryExhausted);
    EXPECT_EQ(result.failed_count(), 10);
    EXPECT_EQ(result.total_rows(), result.successful_count() + result.failed_count());
  }
  auto left = writer->TakeUnacknowledged().ValueOrDie();
  ASSERT_EQ(left.size(), 5U);  // in order, with their grouping
  for (int64_t i = 0; i < 5; ++i) {
    EXPECT_EQ(left[static_cast<size_t>(i)].offset, i);
    EXPECT_TRUE(left[static_cast<size_t>(i)].batch->Equals(*Ids(i * 10, 10)));
  }
  EXPECT_TRUE(writer->TakeUnacknowledged().ValueOrDie().empty());
  EXPECT_FALSE(writer->Shutdown().ok());
}

// Scenario 9: opens that fail.
TEST_P(Recovery, OpenThatFailsThriceThenWorks) {
  service_.set_on_open([](ServerCall& call, Connection& connection) {
    if (connection.number >= 3) return false;
    call.Finish(14, "not yet");
    return true;
  });
  auto writer = MakeWriter(Make());
  auto result = writer->SendBatch(Ids(0, 10));
  EXPECT_TRUE(result.success()) << result.error();
  EXPECT_EQ(service_.connections(), 4);
}

TEST_P(Recovery, OpenRefusedForGoodIsNotRepeated) {
  for (int code : {3, 5, 12}) {
    FakeService service;
    service.set_on_open([code](ServerCall& call, Connection&) {
      call.Finish(code, "Error Code: 4033 not self-contained");
      return true;
    });
    auto writer = MakeWriter(OptionsFor(service, GetParam()));
    auto result = writer->SendBatch(Ids(0, 10));
    EXPECT_FALSE(result.success());
    EXPECT_EQ(result.attempts(), 1);
    EXPECT_EQ(FactsOf(result.error()).service_code, 4033);
    EXPECT_EQ(FactsOf(result.error()).grpc_status, code);
    EXPECT_EQ(service.connections(), 1);
    EXPECT_EQ(service.received(), 0);
  }
}

TEST_P(Recovery, OpenThatHangsTimesOut) {
  service_.set_on_open([](ServerCall&, Connection& connection) {
    return connection.number == 0;  // the first is never answered
  });
  Options options = Make();
  options.stream.recovery_timeout = milliseconds(100);
  options.stream.connection_timeout = milliseconds(100);
  auto writer = MakeWriter(options);
  auto result = writer->SendBatch(Ids(0, 10));
  EXPECT_TRUE(result.success()) << result.error();
  EXPECT_EQ(service_.connections(), 2);
}

// Scenario 10: authentication refused in mid-stream.
TEST_P(Recovery, SecondAuthenticationRefusalIsFinal) {
  service_.set_on_request([](ServerCall& call, Connection&, const Received&) {
    call.Finish(16, "token expired");
    return Action::kDrop;
  });
  auto writer = MakeWriter(Make());
  auto result = writer->SendBatch(Ids(0, 10));
  EXPECT_FALSE(result.success());
  EXPECT_EQ(KindOf(result.error()), ErrorKind::kAuthentication);
  EXPECT_EQ(service_.connections(), 2);
  EXPECT_EQ(result.failed_count(), 10);
}

// Scenario 5: silence with data in flight (stream_core_test: idleness is no silence).
TEST_P(Recovery, SilenceEndsTheConnection) {
  service_.set_on_request([](ServerCall&, Connection& connection, const Received&) {
    return connection.number == 0 ? Action::kDrop : Action::kLogAndAck;
  });
  Options options = Make();
  options.stream.server_lack_of_ack_timeout = milliseconds(100);
  auto writer = MakeWriter(options);
  auto result = writer->SendBatch(Ids(0, 10));
  EXPECT_TRUE(result.success()) << result.error();
  EXPECT_EQ(service_.connections(), 2);
}

// Scenario 11: a service that stops reading.
TEST_P(Recovery, FrozenServiceBlocksOrFailsByPolicy) {
  service_.set_on_open([](ServerCall& call, Connection& connection) {
    FakeService::SendOpened(call, connection);
    call.SetReading(false);
    return true;
  });
  Options options = Make();
  options.stream.max_inflight_bytes = 200'000;
  options.stream.ipc_compression = IpcCompression::kNone;
  options.stream.back_pressure = BackPressure::kFail;
  auto writer = MakeWriter(options);
  int accepted = 0;
  arrow::Status status;
  while (accepted < 1000) {
    auto sent = writer->SendAsync(Ids(accepted * 1000, 1000));
    if (!sent.ok()) {
      status = sent.status();
      break;
    }
    ++accepted;
  }
  EXPECT_EQ(KindOf(status), ErrorKind::kTransmission);
  EXPECT_LT(accepted, 110);
  EXPECT_GT(accepted, 5);
  EXPECT_LE(writer->statistics().in_flight_bytes, 200'000);
  EXPECT_EQ(writer->statistics().in_flight_requests, accepted);
}

// Scenario 14: the ends are bounded in every phase, and nothing is lost.
TEST_P(Recovery, ShutdownIsBoundedAndKeepsWhatIsNotDurable) {
  service_.set_on_request(
      [](ServerCall&, Connection&, const Received&) { return Action::kDrop; });
  service_.set_on_half_close([](ServerCall&) {});  // never answers
  Options options = Make();
  options.stream.flush_timeout = milliseconds(100);
  auto writer = MakeWriter(options);
  auto sends = SendAll(writer.get(), 3, 10);
  const auto began = std::chrono::steady_clock::now();
  auto first = writer->Shutdown();
  auto second = writer->Shutdown();
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(5));
  EXPECT_EQ(KindOf(first), ErrorKind::kClosed);
  EXPECT_EQ(first.message(), second.message());
  for (auto& send : sends) {
    ASSERT_TRUE(send.result.Wait(20));
    EXPECT_EQ(send.result.result()->failed_count(), 10);
  }
  EXPECT_EQ(writer->TakeUnacknowledged().ValueOrDie().size(), 3U);
  EXPECT_EQ(KindOf(writer->SendAsync(Ids(0, 1)).status()), ErrorKind::kClosed);
}

TEST_P(Recovery, DestructorEndsEveryPhase) {
  for (int phase = 0; phase < 5; ++phase) {
    SCOPED_TRACE(phase);
    FakeService service;
    std::atomic<bool> reached{false};
    service.set_on_open([&](ServerCall& call, Connection& connection) {
      if (phase == 0) {
        reached = true;
        return true;  // connecting
      }
      if (phase == 4) {
        reached = true;
        call.Finish(14, "again");  // waiting for the next attempt
        return true;
      }
      FakeService::SendOpened(call, connection);
      return true;
    });
    service.set_on_request(
        [&](ServerCall& call, Connection& connection, const Received&) {
          if (phase == 2)
            FakeService::SendSignal(call, connection, seconds(60));  // paused
          if (phase == 3) call.SetReading(false);                    // frozen
          reached = true;
          return Action::kDrop;
        });
    Options options = OptionsFor(service, GetParam());
    options.stream.recovery_backoff_base = seconds(60);
    options.stream.recovery_backoff_max = seconds(60);
    auto writer = MakeWriter(options);
    auto sent = writer->SendAsync(Ids(0, 10));
    ASSERT_TRUE(sent.ok());
    ASSERT_TRUE(service.WaitFor([&] { return reached.load(); }));
    const auto began = std::chrono::steady_clock::now();
    writer.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(2));
    ASSERT_TRUE(sent->result.Wait(5));
    EXPECT_EQ(sent->result.result()->failed_count(), 10);
  }
}

// Trap 10: closing while the service rotates, everything durable.
TEST_P(Recovery, ShutdownSucceedsThroughARotation) {
  service_.set_on_request([](ServerCall& call, Connection& connection, const Received&) {
    FakeService::SendSignal(call, connection, seconds(60));
    return Action::kLogAndAck;
  });
  service_.set_on_half_close([](ServerCall& call) { call.Finish(14, "6002"); });
  auto writer = MakeWriter(Make());
  EXPECT_TRUE(writer->SendBatch(Ids(0, 10)).success());
  EXPECT_TRUE(writer->Shutdown().ok());
}

// The rows of a batch end as exactly one of durable and failed, callbacks agree.
TEST_P(Recovery, CallbacksTellEachOffsetOnceInOrder) {
  service_.set_on_request(
      [](ServerCall& call, Connection& connection, const Received& r) {
        if (r.ids.front() == 200) {
          call.Finish(3, "bad row");
          return Action::kDrop;
        }
        return Action::kLogAndAck;
      });
  std::mutex mutex;
  std::vector<std::pair<int64_t, bool>> told;
  Options options = Make();
  options.on_durable = [&](const DurableRange& range) {
    std::lock_guard<std::mutex> lock(mutex);
    for (int64_t o = range.first_offset; o <= range.last_offset; ++o) {
      told.emplace_back(o, true);
    }
  };
  options.on_failed = [&](const FailedRange& range) {
    std::lock_guard<std::mutex> lock(mutex);
    for (int64_t o = range.first_offset; o <= range.last_offset; ++o) {
      told.emplace_back(o, false);
    }
  };
  auto writer = MakeWriter(options);
  std::vector<PendingSend> sends;
  for (int64_t i = 0; i < 20; ++i) {
    sends.push_back(writer->SendAsync(Ids(i * 10, 10)).ValueOrDie());
  }
  EXPECT_TRUE(writer->Flush().ok());
  auto bad = writer->SendAsync(Ids(200, 10)).ValueOrDie();
  EXPECT_FALSE(writer->Flush().ok());
  EXPECT_FALSE(writer->WaitForOffset(bad.first_offset).ok());
  EXPECT_TRUE(writer->WaitForOffset(0).ok());
  EXPECT_FALSE(writer->Shutdown().ok());
  ASSERT_EQ(told.size(), 21U);
  for (size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(told[i].first, static_cast<int64_t>(i));
    EXPECT_EQ(told[i].second, i < 20);
  }
}

// Scenario 12: bad rows found by halving; exactly these fail.
TEST_P(Recovery, BisectFindsTheRefusedRows) {
  const std::set<int64_t> bad = {3, 117, 118, 499};
  service_.set_on_request([&](ServerCall& call, Connection&, const Received& request) {
    for (int64_t id : request.ids) {
      if (bad.contains(id)) {
        call.Finish(3, "a row does not fit");
        return Action::kDrop;
      }
    }
    return Action::kLogAndAck;
  });
  Options options = Make();
  options.stream.rejected_requests = RejectedRequests::kBisect;
  auto writer = MakeWriter(options);
  auto sends = SendAll(writer.get(), 5, 100);
  for (int64_t i = 0; i < 5; ++i) {
    auto& send = sends[static_cast<size_t>(i)];
    ASSERT_TRUE(send.result.Wait(20));
    auto result = *send.result.result();
    std::vector<int64_t> expected;
    for (int64_t id : bad) {
      if (id / 100 == i) expected.push_back(id % 100);
    }
    EXPECT_EQ(result.GetFailedRowIndices(), expected);
    EXPECT_TRUE(result.error().ok());
    EXPECT_EQ(result.total_rows(), result.successful_count() + result.failed_count());
  }
  EXPECT_TRUE(writer->Shutdown().ok());
  auto ids = service_.logged_ids();
  std::set<int64_t> distinct(ids.begin(), ids.end());
  EXPECT_EQ(distinct.size(), 496U);
  EXPECT_EQ(ids.size(), 496U);
}

TEST_P(Recovery, RefusedRequestFailsEveryRowUnderWayByDefault) {
  service_.set_on_request([](ServerCall& call, Connection& connection, const Received&) {
    if (connection.requests < 3) return Action::kLogAndAck;
    call.Finish(3, "a row does not fit");
    return Action::kDrop;
  });
  auto writer = MakeWriter(Make());
  auto sends = SendAll(writer.get(), 5, 10);
  EXPECT_FALSE(writer->Flush().ok());
  int64_t durable = 0;
  int64_t failed = 0;
  for (auto& send : sends) {
    ASSERT_TRUE(send.result.Wait(20));
    durable += send.result.result()->successful_count();
    failed += send.result.result()->failed_count();
  }
  EXPECT_EQ(durable, 20);
  EXPECT_EQ(failed, 30);
  EXPECT_EQ(writer->TakeUnacknowledged().ValueOrDie().size(), 3U);
  // The next send opens a new stream; offsets run on.
  service_.set_on_request(nullptr);
  auto next = writer->SendAsync(Ids(1000, 1)).ValueOrDie();
  EXPECT_EQ(next.first_offset, 5);
  EXPECT_TRUE(writer->Flush().ok());
}

// A whole send is tried again when the stream does not recover by itself; durable rows
// are not sent twice (trap 15).
TEST_P(Recovery, SendRetriesOnlyWhatIsNotDurable) {
  std::atomic<int> failures{0};
  service_.set_on_request([&](ServerCall& call, Connection&, const Received&) {
    if (failures < 2) {
      ++failures;
      call.Finish(14, "busy");
      return Action::kDrop;
    }
    return Action::kLogAndAck;
  });
  Options options = Make();
  options.stream.recovery = false;
  auto writer = MakeWriter(options);
  auto result = writer->SendBatch(Ids(0, 100));
  EXPECT_TRUE(result.success()) << result.error();
  EXPECT_EQ(result.attempts(), 3);
  EXPECT_EQ(service_.logged_ids(), Sequence(0, 100));
  EXPECT_TRUE(writer->Shutdown().ok());
}

TEST_P(Recovery, SendGivesUpAfterItsAttempts) {
  service_.set_on_open([](ServerCall& call, Connection&) {
    call.Finish(14, "down");
    return true;
  });
  Options options = Make();
  options.stream.recovery = false;
  options.retry.attempts_max = 3;
  auto writer = MakeWriter(options);
  auto result = writer->SendBatch(Ids(0, 100));
  EXPECT_EQ(result.attempts(), 3);
  EXPECT_EQ(KindOf(result.error()), ErrorKind::kConnection);
  EXPECT_EQ(result.failed_count(), 100);
  EXPECT_EQ(result.GroupErrorsByType().at(ErrorKind::kConnection).size(), 100U);
  EXPECT_EQ(service_.connections(), 3);
}

// Scenario 15, in short: random faults, several producers; the seed is printed.
TEST_P(Recovery, RandomFaultsLoseNothing) {
  const uint64_t seed = std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  auto chance = [&](int percent) { return static_cast<int>(random() % 100) < percent; };
  service_.set_on_open([&](ServerCall& call, Connection& connection) {
    if (chance(5)) {
      call.Finish(14, "open refused");
      return true;
    }
    FakeService::SendOpened(call, connection);
    return true;
  });
  service_.set_on_request([&](ServerCall& call, Connection& connection, const Received&) {
    if (chance(1)) call.ResetTcp();
    if (chance(1)) call.Finish(14, "6002");
    if (chance(1)) call.Finish(0);
    if (chance(1)) call.Reset(NGHTTP2_CANCEL);
    if (chance(1)) call.GoAway(NGHTTP2_NO_ERROR);
    if (chance(1) && !connection.closing) {
      FakeService::SendSignal(call, connection, milliseconds(random() % 30));
    }
    return chance(60) ? Action::kLogAndAck : Action::kLog;
  });
  Options options = Make();
  options.stream.recovery_retries = 100;
  options.stream.max_inflight_requests = 10;
  options.stream.max_inflight_batches = 10;
  options.stream.recovery_backoff_base = milliseconds(1);
  options.stream.recovery_backoff_max = milliseconds(5);
  options.stream.server_lack_of_ack_timeout = milliseconds(50);
  options.stream.stream_paused_max_wait = milliseconds(20);
  auto writer = MakeWriter(options);
  std::vector<std::thread> producers;
  std::vector<std::vector<PendingSend>> sends(8);
  for (int64_t producer = 0; producer < 8; ++producer) {
    producers.emplace_back([&, producer] {
      for (int64_t i = 0; i < 100; ++i) {
        auto sent = writer->SendAsync(Ids((producer * 100 + i) * 3, 3));
        ASSERT_TRUE(sent.ok()) << sent.status();
        sends[static_cast<size_t>(producer)].push_back(*std::move(sent));
      }
    });
  }
  for (auto& producer : producers) producer.join();
  EXPECT_TRUE(writer->Flush().ok());
  for (auto& one : sends) ExpectAllDurable(one);
  auto ids = service_.logged_ids();
  EXPECT_EQ(std::set<int64_t>(ids.begin(), ids.end()).size(), 2400U);
  EXPECT_TRUE(service_.violations().empty()) << service_.violations().front();
}

INSTANTIATE_TEST_SUITE_P(Modes, Recovery, ::testing::Values(Mode::kProto, Mode::kFlight),
                         [](const auto& info) {
                           return info.param == Mode::kProto ? "Proto" : "Flight";
                         });

}  // namespace
}  // namespace arrowport::zerobus
