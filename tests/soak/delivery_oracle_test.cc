#include "delivery_oracle.h"

#include <gtest/gtest.h>

#include <fstream>

namespace arrowport::zerobus {
namespace {

using Told = Outcomes::Told;

class DeliveryOracleTest : public ::testing::Test {
 protected:
  /// Two producers of two batches of two rows: ids 0..3 and 4..7.
  const IdPlan plan_{.producers = 2, .batches_max = 2, .rows = 2};
  Outcomes outcomes_{plan_.total()};

  LogVerdict Judge(const std::string& log) {
    const std::string path = ::testing::TempDir() + "/delivery_oracle.log";
    std::ofstream(path) << log;
    LogVerdict verdict;
    EXPECT_TRUE(JudgeLog(path, plan_, outcomes_, &verdict).ok());
    return verdict;
  }
  static std::string Line(const std::string& stream, int offset, const std::string& ids) {
    return "{\"stream\":\"" + stream + "\",\"offset\":" + std::to_string(offset) +
           ",\"ids\":[" + ids + "]}\n";
  }
};

TEST_F(DeliveryOracleTest, ACleanRun) {
  for (int64_t id = 0; id < 4; ++id) EXPECT_TRUE(outcomes_.Tell(id, Told::kDurable));
  EXPECT_FALSE(outcomes_.Tell(3, Told::kFailed));
  const auto verdict = Judge(Line("a", 0, "0,1") + Line("b", 0, "2,3"));
  EXPECT_EQ(verdict.rows, 4);
  EXPECT_EQ(verdict.streams, 2);
  EXPECT_EQ(verdict.lost + verdict.duplicates + verdict.untold + verdict.gaps +
                verdict.overtaken,
            0);
}

TEST_F(DeliveryOracleTest, EveryWayToBeWrongIsCounted) {
  for (int64_t id = 0; id < 6; ++id) outcomes_.Tell(id, Told::kDurable);
  const auto verdict = Judge(Line("a", 0, "0,1") + Line("a", 2, "4") +  // 1 is left out
                             Line("b", 0, "0,1") +                     // come again
                             Line("b", 1, "3") + Line("b", 2, "2") +   // out of order
                             Line("b", 3, "7"));                       // nobody was told
  EXPECT_EQ(verdict.lost, 1);  // 5
  EXPECT_EQ(verdict.duplicates, 2);
  EXPECT_EQ(verdict.gaps, 1);
  EXPECT_EQ(verdict.overtaken, 1);
  EXPECT_EQ(verdict.untold, 1);
}

TEST_F(DeliveryOracleTest, WhatNobodySentIsAnError) {
  const std::string path = ::testing::TempDir() + "/delivery_oracle_foreign.log";
  std::ofstream(path) << Line("a", 0, "99");
  LogVerdict verdict;
  EXPECT_FALSE(JudgeLog(path, plan_, outcomes_, &verdict).ok());
  EXPECT_FALSE(JudgeLog(path + ".absent", plan_, outcomes_, &verdict).ok());
}

TEST(ReplayWatchTest, SeesDurableRequestsThatAreSentAgain) {
  ReplayWatch watch;
  watch.OnDurable(0, 3);
  watch.OnRequestSent({.offset = 4, .rows = 2}, true);
  EXPECT_EQ(watch.durable_replayed(), 0);
  watch.OnRequestSent({.offset = 3, .rows = 2}, true);
  EXPECT_EQ(watch.durable_replayed(), 1);
  EXPECT_EQ(watch.replayed_rows(), 4);
  watch.OnDurable(3, 4);
  EXPECT_EQ(watch.out_of_order(), 1);
}

}  // namespace
}  // namespace arrowport::zerobus
