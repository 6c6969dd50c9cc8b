// Random, seeded faults for a running emulator.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <random>
#include <string>
#include <thread>

#include "base/mutex.h"
#include "emulator/emulator.h"

namespace arrowport::zerobus {

enum class Weather {
  kTransient,  ///< a bad day: ends, resets, rotations, and each outage passes soon
  kStorm,      ///< also silence, frozen peers, wrong acknowledgements, tokens refused
};

/// Loads another script every few moments and rotates what is open, until it is destroyed.
class FaultWeather {
 public:
  /// `emulator` outlives this.
  FaultWeather(emulator::Emulator* emulator, Weather weather, std::string table,
               uint64_t seed);
  ~FaultWeather();

 private:
  void Run();
  bool WaitFor(std::chrono::milliseconds time);
  std::string RandomScript();
  enum class Opens { kMayFail, kWork };
  std::string RandomFault(Opens opens);
  int64_t Draw(int64_t below);

  emulator::Emulator* const emulator_;
  const Weather weather_;
  const std::string table_;
  std::mt19937_64 random_;  ///< the thread's own
  Mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace arrowport::zerobus
