#include "ingest/window_clock.h"

namespace arrowport::ingest {
namespace {

/// What a clock that is being adjusted gains between two looks.
constexpr std::chrono::minutes kSlack{1};

}  // namespace

WindowClock::WindowClock(const Clock& clock, std::chrono::microseconds window)
    : clock_(clock),
      window_(window),
      wall_(clock.WallNow()),
      steady_(clock.SteadyNow()) {}

Clock::Wall WindowClock::Now() {
  const Clock::Wall wall = clock_.WallNow();
  const Clock::Steady steady = clock_.SteadyNow();
  MutexLock lock(mutex_);
  const auto passed = steady - steady_;
  const Clock::Wall expected =
      wall_ + std::chrono::duration_cast<Clock::Wall::duration>(passed);
  if (wall > expected + kSlack && passed <= window_) return expected;
  wall_ = wall;
  steady_ = steady;
  return wall;
}

}  // namespace arrowport::ingest
