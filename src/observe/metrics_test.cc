#include "observe/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace arrowport::observe {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Metrics, TableIsInDeclarationOrderWithDistinctNames) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < AllMetrics().size(); ++i) {
    const MetricInfo& info = AllMetrics()[i];
    EXPECT_EQ(static_cast<size_t>(info.metric), i) << info.name;
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(info.kind == MetricKind::kHistogram, !info.buckets.empty()) << info.name;
    EXPECT_EQ(info.kind == MetricKind::kCounter, info.name.ends_with("_total"))
        << info.name;
  }
  EXPECT_EQ(AllMetrics().size(), static_cast<size_t>(Metric::kProcessOpenFiles) + 1);
}

TEST(Metrics, ExposesEachKind) {
  Registry registry;
  registry.GetCounter(Metric::kRequests, {"/query", "200"}).Add(3);
  registry.GetGauge(Metric::kWalBytes).Set(12.5);
  Histogram& commit = registry.GetHistogram(Metric::kCommitSeconds);
  commit.Observe(0.002);
  commit.Observe(1000);
  std::string text = registry.Expose();
  EXPECT_THAT(text,
              HasSubstr("# TYPE arrowport_requests_total counter\n"
                        "arrowport_requests_total{route=\"/query\",code=\"200\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("\narrowport_wal_bytes 12.5\n"));
  EXPECT_THAT(text, HasSubstr("arrowport_commit_seconds_bucket{le=\"0.001\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("arrowport_commit_seconds_bucket{le=\"0.0025\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("arrowport_commit_seconds_bucket{le=\"+Inf\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("arrowport_commit_seconds_sum 1000.002\n"));
  EXPECT_THAT(text, HasSubstr("arrowport_commit_seconds_count 2\n"));
  EXPECT_THAT(text, Not(HasSubstr("arrowport_freshness_seconds")));
}

TEST(Metrics, EscapesLabelValues) {
  Registry registry;
  registry.GetCounter(Metric::kSchemaMismatches, {"a\"b\\c\nd"}).Add();
  EXPECT_THAT(registry.Expose(), HasSubstr("{stream=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

TEST(Metrics, StreamsBeyondTheCapAreCountedTogether) {
  Registry registry(2);
  for (int i = 0; i < 100; ++i) {
    registry.GetCounter(Metric::kSchemaMismatches, {"s" + std::to_string(i)}).Add();
  }
  registry.GetCounter(Metric::kSchemaMismatches, {"s0"}).Add();
  std::string text = registry.Expose();
  EXPECT_THAT(text, HasSubstr("{stream=\"s0\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("{stream=\"s1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("{stream=\"other\"} 98\n"));
  EXPECT_THAT(text, Not(HasSubstr("s2")));
}

TEST(Metrics, CallbackReportsUntilItsHandleGoes) {
  Registry registry;
  auto handle = registry.AddCallback(Metric::kMemoryBytes,
                                     [] { return std::vector<Sample>{{{"pool"}, 7}}; });
  EXPECT_THAT(registry.Expose(), HasSubstr("arrowport_memory_bytes{area=\"pool\"} 7\n"));
  handle.reset();
  EXPECT_THAT(registry.Expose(), Not(HasSubstr("arrowport_memory_bytes{")));
}

TEST(Metrics, ProcessIsReported) {
  Registry registry;
  auto handles = AddProcessMetrics(&registry, "1.2.3");
  std::string text = registry.Expose();
  EXPECT_THAT(text, HasSubstr("arrowport_build_info{version=\"1.2.3\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nprocess_cpu_seconds_total "));
  EXPECT_THAT(text, Not(HasSubstr("process_resident_memory_bytes 0\n")));
}

TEST(Metrics, CountsFromManyThreads) {
  Registry registry;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 10000; ++n) {
        registry.GetCounter(Metric::kSchemaMismatches, {"s"}).Add();
        registry.GetHistogram(Metric::kQuerySeconds).Observe(1);
        if (n % 1000 == 0) registry.Expose();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(registry.GetCounter(Metric::kSchemaMismatches, {"s"}).value(), 40000);
  EXPECT_EQ(registry.GetHistogram(Metric::kQuerySeconds).count(), 40000u);
  EXPECT_EQ(registry.GetHistogram(Metric::kQuerySeconds).sum(), 40000);
}

}  // namespace
}  // namespace arrowport::observe
