#include "ingest/window_clock.h"

#include <gtest/gtest.h>

namespace arrowport::ingest {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

class TwoClocks final : public Clock {
 public:
  Steady SteadyNow() const override { return steady; }
  Wall WallNow() const override { return wall; }
  void Pass(std::chrono::seconds time) {
    steady += time;
    wall += time;
  }
  Steady steady{hours(5)};
  Wall wall{hours(500'000)};
};

TEST(WindowClockTest, FollowsAClockThatRunsAndIsAdjusted) {
  TwoClocks clocks;
  WindowClock window(clocks, hours(24));
  EXPECT_EQ(window.Now(), clocks.wall);
  clocks.Pass(hours(30));
  EXPECT_EQ(window.Now(), clocks.wall);
  clocks.wall += seconds(20);
  EXPECT_EQ(window.Now(), clocks.wall);
}

TEST(WindowClockTest, AJumpAheadCountsOnceItHasLastedAWindow) {
  TwoClocks clocks;
  WindowClock window(clocks, hours(24));
  const Clock::Wall before = clocks.wall;
  clocks.wall += hours(24 * 365);
  EXPECT_EQ(window.Now(), before);
  clocks.Pass(hours(23));
  EXPECT_EQ(window.Now(), before + hours(23));
  clocks.Pass(hours(2));
  EXPECT_EQ(window.Now(), clocks.wall);
}

TEST(WindowClockTest, AJumpBackCountsAtOnceAndItsReturnIsAJumpAhead) {
  TwoClocks clocks;
  WindowClock window(clocks, hours(24));
  clocks.wall -= hours(1000);
  const Clock::Wall back = clocks.wall;
  EXPECT_EQ(window.Now(), back);
  clocks.wall += hours(1000);
  clocks.Pass(minutes(5));
  EXPECT_EQ(window.Now(), back + minutes(5));
}

TEST(WindowClockTest, AJumpThatIsTakenBackLeavesNoTrace) {
  TwoClocks clocks;
  WindowClock window(clocks, hours(24));
  clocks.wall += hours(100);
  window.Now();
  clocks.Pass(hours(1));
  clocks.wall -= hours(100);
  EXPECT_EQ(window.Now(), clocks.wall);
}

}  // namespace
}  // namespace arrowport::ingest
