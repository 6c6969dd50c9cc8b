#include "arrowport/zerobus/writer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "zerobus/failure.h"
#include "zerobus/testing_service.h"

namespace arrowport::zerobus {
namespace {

using testing::FakeService;
using testing::Ids;
using testing::MakeWriter;
using testing::OptionsFor;
using testing::Received;
using testing::ServerCall;
using Action = FakeService::Action;

std::vector<int64_t> Sequence(int64_t first, int64_t count) {
  std::vector<int64_t> ids(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) ids[static_cast<size_t>(i)] = first + i;
  return ids;
}

class WriterModes : public ::testing::TestWithParam<Mode> {};

TEST_P(WriterModes, RowsArriveOnceAndInOrder) {
  FakeService service;
  auto writer = MakeWriter(OptionsFor(service, GetParam()));
  for (int64_t i = 0; i < 5; ++i) {
    auto result = writer->SendBatch(Ids(i * 1000, 1000));
    ASSERT_TRUE(result.success()) << result.error();
    EXPECT_EQ(result.total_rows(), 1000);
    EXPECT_EQ(result.successful_count(), 1000);
    EXPECT_EQ(result.attempts(), 1);
    EXPECT_EQ(result.batch_size_bytes(), 8000);
    EXPECT_GT(result.latency_ms(), 0);
  }
  auto single = writer->SendBatch(Ids(5000, 1));
  ASSERT_TRUE(single.success()) << single.error();
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(service.logged_ids(), Sequence(0, 5001));
  EXPECT_EQ(service.connections(), 1);
  EXPECT_EQ(service.half_closes(), 1);
  EXPECT_TRUE(service.violations().empty()) << service.violations().front();
  auto statistics = writer->statistics();
  EXPECT_EQ(statistics.rows_durable, 5001);
  EXPECT_EQ(statistics.batches_sent, 6);
  EXPECT_EQ(statistics.requests_sent, 6);
  EXPECT_EQ(statistics.in_flight_requests, 0);
}

TEST_P(WriterModes, EmptyBatchIsASuccessAndSendsNothing) {
  FakeService service;
  auto writer = MakeWriter(OptionsFor(service, GetParam()));
  auto result = writer->SendBatch(Ids(0, 0));
  EXPECT_TRUE(result.success());
  EXPECT_EQ(result.total_rows(), 0);
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(service.connections(), 0);
}

TEST_P(WriterModes, LargeBatchIsCutIntoRequestsUnderTheLimit) {
  FakeService service;
  Options options = OptionsFor(service, GetParam());
  options.stream.max_request_bytes = 100'000;
  options.stream.ipc_compression = IpcCompression::kNone;
  auto writer = MakeWriter(options);
  const int64_t rows = 1'000'000;
  auto result = writer->SendBatch(Ids(0, rows));
  ASSERT_TRUE(result.success()) << result.error();
  EXPECT_TRUE(writer->Shutdown().ok());
  EXPECT_EQ(service.logged_ids(), Sequence(0, rows));
  EXPECT_GE(service.log().size(), 4U);
  EXPECT_TRUE(service.violations().empty()) << service.violations().front();
}

TEST_P(WriterModes, ParallelSendersKeepEveryRow) {
  FakeService service;
  auto writer = MakeWriter(OptionsFor(service, GetParam()));
  std::vector<std::thread> senders;
  std::atomic<int> failures{0};
  for (int64_t sender = 0; sender < 8; ++sender) {
    senders.emplace_back([&, sender] {
      for (int64_t i = 0; i < 20; ++i) {
        if (!writer->SendBatch(Ids((sender * 20 + i) * 100, 100)).success()) ++failures;
      }
    });
  }
  for (auto& sender : senders) sender.join();
  EXPECT_EQ(failures, 0);
  EXPECT_TRUE(writer->Shutdown().ok());
  auto ids = service.logged_ids();
  EXPECT_EQ(ids.size(), 16'000U);
  EXPECT_EQ(std::set<int64_t>(ids.begin(), ids.end()).size(), 16'000U);
  EXPECT_TRUE(service.violations().empty());
}

INSTANTIATE_TEST_SUITE_P(All, WriterModes,
                         ::testing::Values(Mode::kProto, Mode::kJson, Mode::kFlight),
                         [](const auto& info) {
                           return info.param == Mode::kProto  ? "Proto"
                                  : info.param == Mode::kJson ? "Json"
                                                              : "Flight";
                         });

}  // namespace
}  // namespace arrowport::zerobus
