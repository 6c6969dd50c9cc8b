// The script as it runs: which connection meets which fault, and how often yet.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "emulator/script.h"

namespace arrowport::emulator {

/// A script and how often each of its faults may still strike. Thread-safe.
struct ScriptState {
  explicit ScriptState(Script given);

  const Script script;
  std::deque<std::atomic<int64_t>> fault_strikes_left;
};

/// What one call will meet. Belongs to its call.
class ConnectionPlan {
 public:
  ConnectionPlan(std::shared_ptr<ScriptState> state, uint64_t seed,
                 const std::string& table, Mode mode, int64_t number);

  /// The n-th call of its table, from 1.
  int64_t number() const { return number_; }
  const AckPolicy& acks() const { return acks_; }
  /// Null: this connection is not rotated.
  const Rotation* rotation() const { return rotation_ ? &*rotation_ : nullptr; }
  const Statuses& statuses() const { return state_->script.statuses; }
  const FlightRules& flight() const { return state_->script.flight; }

  /// What happens at this point, or null; counts as carried out.
  const Action* Strike(Point point, int64_t at = 0) {
    return may_strike_[static_cast<size_t>(point)] ? Find(point, at) : nullptr;
  }
  /// Uniform in [0, most].
  int64_t Random(int64_t most);

 private:
  const Action* Find(Point point, int64_t at);

  const std::shared_ptr<ScriptState> state_;
  const int64_t number_;
  AckPolicy acks_;
  std::optional<Rotation> rotation_;
  std::vector<size_t> faults_;  ///< indices into the script
  bool may_strike_[8] = {};
  std::mt19937_64 random_;
};

/// Thread-safe.
class Scenario {
 public:
  explicit Scenario(uint64_t seed) : seed_(seed), state_(MakeState({})) {}

  /// Calls that are open keep the script they began with; connections and token requests
  /// are counted from 1 again.
  void SetScript(Script script);
  ConnectionPlan OnConnection(const std::string& table, Mode mode);

  struct TokenPlan {
    OauthRules rules;
    std::optional<OauthFault> fault;
  };
  TokenPlan OnTokenRequest();

 private:
  static std::shared_ptr<ScriptState> MakeState(Script script) {
    return std::make_shared<ScriptState>(std::move(script));
  }

  const uint64_t seed_;
  Mutex mutex_;
  std::shared_ptr<ScriptState> state_ GUARDED_BY(mutex_);
  std::map<std::string, int64_t> connections_ GUARDED_BY(mutex_);
  int64_t token_requests_ GUARDED_BY(mutex_) = 0;
};

}  // namespace arrowport::emulator
