// Bounds as texts; that they hold for what readers find is judged in tests/compat.
#include "delta/statistics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "delta/code_point.h"
#include "delta/partition_split.h"
#include "delta/table_fixture.h"

namespace arrowport::delta {
namespace {

std::string Repeated(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

constexpr std::string_view kHighest = "\xF4\x8F\xBF\xBF";  // U+10FFFF
constexpr std::string_view kTwoBytes = "\xC3\xA9";         // U+00E9

TEST(TruncationTest, AMinimumIsThirtyTwoCodePoints) {
  EXPECT_EQ(TruncateMinimum("short"), "short");
  EXPECT_EQ(TruncateMinimum(Repeated("a", 40)), Repeated("a", 32));
  EXPECT_EQ(TruncateMinimum(Repeated(kTwoBytes, 33)), Repeated(kTwoBytes, 32));
  EXPECT_EQ(TruncateMinimum("\xFF"), std::nullopt);
  EXPECT_EQ(TruncateMinimum("\xC3"), std::nullopt);
}

TEST(TruncationTest, AMaximumLiesAboveWhatIsCutOff) {
  EXPECT_EQ(TruncateMaximum(Repeated("a", 32)), Repeated("a", 32));
  EXPECT_EQ(TruncateMaximum(Repeated("a", 33)), Repeated("a", 32) + "\x7F");
  EXPECT_EQ(TruncateMaximum(Repeated(kTwoBytes, 33)),
            Repeated(kTwoBytes, 32) + std::string(kHighest));
  // The tie-breaker must be above the next character: one more is kept where it is not.
  EXPECT_EQ(TruncateMaximum(Repeated("a", 32) + "\x7F" + "bb"),
            Repeated("a", 32) + "\x7F\x7F");
  EXPECT_EQ(TruncateMaximum(Repeated(kHighest, 40) + "ab"),
            Repeated(kHighest, 40) + "\x7F");
  EXPECT_EQ(TruncateMaximum(Repeated(kHighest, 64)), Repeated(kHighest, 64));
  EXPECT_EQ(TruncateMaximum(Repeated(kHighest, 65)), std::nullopt);
}

TEST(TruncationTest, RandomTextsLieBetweenTheirBounds) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::string_view alphabet[] = {"a", "\x7F", "z", kTwoBytes, "\xE2\x82\xAC",
                                       kHighest};
  for (int round = 0; round < 2000; ++round) {
    std::string value;
    const int length = static_cast<int>(random() % 80);
    for (int i = 0; i < length; ++i) value += alphabet[random() % std::size(alphabet)];
    const auto low = TruncateMinimum(value), high = TruncateMaximum(value);
    ASSERT_TRUE(low);
    EXPECT_LE(*low, value);
    EXPECT_TRUE(IsUtf8(*low));
    if (!high) continue;
    EXPECT_GE(*high, value);
    EXPECT_TRUE(IsUtf8(*high));
  }
}

TEST(TimestampBoundTest, RoundsOutwardsAlsoBefore1970) {
  EXPECT_EQ(TimestampBoundText(1, Rounding::kDown), "1970-01-01T00:00:00.000");
  EXPECT_EQ(TimestampBoundText(1, Rounding::kUp), "1970-01-01T00:00:00.001");
  EXPECT_EQ(TimestampBoundText(-1, Rounding::kDown), "1969-12-31T23:59:59.999");
  EXPECT_EQ(TimestampBoundText(-1, Rounding::kUp), "1970-01-01T00:00:00.000");
  EXPECT_EQ(TimestampBoundText(INT64_MIN, Rounding::kDown), std::nullopt);
  EXPECT_EQ(TimestampBoundText(INT64_MAX, Rounding::kUp), std::nullopt);
  EXPECT_EQ(DateText(-719162), "0001-01-01");
  EXPECT_EQ(DateText(-719163), std::nullopt);
  EXPECT_EQ(DateText(2932896), "9999-12-31");
  EXPECT_EQ(DateText(2932897), std::nullopt);
}

TEST(PartitionTextTest, FloatsAreSpelledAsJavaSpellsThem) {
  arrow::DoubleBuilder builder;
  const std::pair<double, std::string> cases[] = {
      {0.0, "0.0"},          {-0.0, "-0.0"},      {1.0, "1.0"},
      {100.0, "100.0"},      {1234567.0, "1234567.0"}, {1e7, "1.0E7"},
      {0.001, "0.001"},      {0.00012, "1.2E-4"}, {-1.5e-7, "-1.5E-7"},
      {1e22, "1.0E22"},      {0.1, "0.1"},        {123456.789, "123456.789"},
      {INFINITY, "Infinity"}, {-INFINITY, "-Infinity"}, {NAN, "NaN"}};
  for (const auto& [value, text] : cases) ASSERT_TRUE(builder.Append(value).ok());
  auto array = builder.Finish().ValueOrDie();
  for (int64_t i = 0; i < array->length(); ++i) {
    EXPECT_EQ(PartitionText(*array, i).ValueOrDie(), cases[i].second);
  }
}

TableSchema SchemaOf(const std::string& name, const std::string& type) {
  return *ParseSchema(R"({"type":"struct","fields":[{"name":")" + name + R"(","type":")" + type +
                      R"(","nullable":true,"metadata":{}}]})")
              .ValueOrDie();
}

TEST(PartitionFolderTest, ValuesAreEscapedAsHiveDoes) {
  const auto folder = [](std::optional<std::string> value, const std::string& name = "p",
                         const std::string& type = "string") {
    return PartitionFolder(SchemaOf(name, type), {name}, {{name, std::move(value)}});
  };
  EXPECT_EQ(folder("2024-01-31"), "p=2024-01-31/");
  EXPECT_EQ(folder(std::nullopt), "p=__HIVE_DEFAULT_PARTITION__/");
  EXPECT_EQ(folder("a/b c"), "p=a%2Fb%20c/");
  EXPECT_EQ(folder("50%"), "p=50%25/");
  EXPECT_EQ(folder("\xC3\xBC"), "p=%C3%BC/");
  EXPECT_EQ(folder(".."), "p=../");
  EXPECT_EQ(folder("x", "a:\xC3\xBC"), "a%3A\xC3\xBC=x/");
  EXPECT_EQ(folder("x", "_p"), "_p=x/");
  const std::string time = "2024-01-31T12:00:00.500000Z";
  EXPECT_EQ(folder(time, "p", "timestamp"), "p=2024-01-31%2012%3A00%3A00.5/");
  EXPECT_EQ(folder("2024-01-31T12:00:00.000000Z", "p", "timestamp"),
            "p=2024-01-31%2012%3A00%3A00/");
  EXPECT_EQ(folder(time), "p=2024-01-31T12%3A00%3A00.500000Z/");
  EXPECT_EQ(PartitionFolder(SchemaOf("p", "string"), {}, {}), "");
}

TEST(PartitionFolderTest, WhatIsTooLongGoesToANeutralFolder) {
  const auto folder = [](const std::string& name, const std::string& value) {
    return PartitionFolder(SchemaOf(name, "string"), {name}, {{name, value}});
  };
  EXPECT_THAT(folder("p", std::string(300, 'x')), testing::StartsWith("partition-"));
  EXPECT_THAT(folder("p", std::string(100, ' ')), testing::StartsWith("partition-"));
  EXPECT_NE(folder("p", std::string(300, 'x')), folder("p", std::string(300, 'y')));
}

TEST(EncoderPoolTest, RunsAllTasksAndReturnsTheFirstFailureInOrder) {
  EncoderPool pool(2);
  std::atomic<int> ran{0};
  std::vector<EncoderPool::Task> tasks;
  for (int i = 0; i < 20; ++i) {
    tasks.push_back([&ran, i]() -> arrow::Status {
      ++ran;
      if (i % 7 == 5) return Error(ErrorCode::kInternal, "task ", i);
      return {};
    });
  }
  const arrow::Status status = pool.Run(std::move(tasks));
  EXPECT_EQ(ran, 20);
  EXPECT_EQ(status.message(), "task 5");
  EXPECT_TRUE(pool.HasIdle());
}

TEST(EncoderPoolTest, NeverRunsMoreTasksThanEncoders) {
  EncoderPool pool(2);
  std::atomic<int> running{0}, most{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        std::vector<EncoderPool::Task> tasks(3, [&]() -> arrow::Status {
          const int now = ++running;
          int seen = most;
          while (seen < now && !most.compare_exchange_weak(seen, now)) {
          }
          std::this_thread::yield();
          --running;
          return {};
        });
        EXPECT_TRUE(pool.Run(std::move(tasks)).ok());
      }
    });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_LE(most, 2);
}

}  // namespace
}  // namespace arrowport::delta
