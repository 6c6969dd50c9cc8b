#include "base/clock.h"

namespace arrowport {
namespace {

class MachineClock : public Clock {
 public:
  Steady SteadyNow() const override { return std::chrono::steady_clock::now(); }
  Wall WallNow() const override { return std::chrono::system_clock::now(); }
};

}  // namespace

const Clock& SystemClock() {
  static const MachineClock clock;
  return clock;
}

}  // namespace arrowport
