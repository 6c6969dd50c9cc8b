#include "emulator/scenario.h"

#include <functional>
#include <utility>

namespace arrowport::emulator {
namespace {

constexpr size_t kTablesCountedMax = 10000;

// FNV-1a: the same on every machine, unlike std::hash.
uint64_t HashOf(std::string_view text) {
  uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  return hash;
}

bool Concerns(const FaultRule& fault, const std::string& table, Mode mode, int64_t number) {
  return (fault.table.empty() || fault.table == table) &&
         (!fault.mode || *fault.mode == mode) && fault.connections.Holds(number);
}

}  // namespace

ScriptState::ScriptState(Script given) : script(std::move(given)) {
  for (const FaultRule& fault : script.faults) {
    fault_strikes_left.emplace_back(fault.times_max);
  }
}

ConnectionPlan::ConnectionPlan(std::shared_ptr<ScriptState> state, uint64_t seed,
                               const std::string& table, Mode mode, int64_t number)
    : state_(std::move(state)),
      number_(number),
      random_(seed ^ HashOf(table) ^ (static_cast<uint64_t>(number) * 0x9E3779B97F4A7C15U)) {
  const Script& script = state_->script;
  const auto own = script.tables.find(table);
  const TableRules* rules = own == script.tables.end() ? &script.all : &own->second;
  if (rules->acks) {
    acks_ = *rules->acks;
  } else if (script.all.acks) {
    acks_ = *script.all.acks;
  }
  rotation_ = rules->rotation ? rules->rotation : script.all.rotation;
  if (rotation_ && !rotation_->connections.Holds(number)) rotation_.reset();
  std::uniform_real_distribution<double> share(0, 1);
  for (size_t i = 0; i < script.faults.size(); ++i) {
    const FaultRule& fault = script.faults[i];
    if (!Concerns(fault, table, mode, number)) continue;
    if (fault.probability < 1 && share(random_) >= fault.probability) continue;
    faults_.push_back(i);
    may_strike_[static_cast<size_t>(fault.point)] = true;
  }
}

const Action* ConnectionPlan::Find(Point point, int64_t at) {
  for (const size_t index : faults_) {
    const FaultRule& fault = state_->script.faults[index];
    if (fault.point != point || !fault.at.Holds(at)) continue;
    auto& left = state_->fault_strikes_left[index];
    if (fault.times_max == kNoEnd || left.fetch_sub(1) > 0) return &fault.action;
  }
  return nullptr;
}

int64_t ConnectionPlan::Random(int64_t most) {
  return std::uniform_int_distribution<int64_t>(0, most)(random_);
}

void Scenario::SetScript(Script script) {
  MutexLock lock(mutex_);
  state_ = MakeState(std::move(script));
  connections_.clear();
  token_requests_ = 0;
}

ConnectionPlan Scenario::OnConnection(const std::string& table, Mode mode) {
  MutexLock lock(mutex_);
  // Names come from the peer: past a bound those never seen share one count.
  const bool room = connections_.size() < kTablesCountedMax || connections_.contains(table);
  const int64_t number = ++connections_[room ? table : std::string()];
  return ConnectionPlan(state_, state_->script.seed.value_or(seed_), table, mode, number);
}

Scenario::TokenPlan Scenario::OnTokenRequest() {
  MutexLock lock(mutex_);
  TokenPlan plan;
  plan.rules = state_->script.oauth;
  const int64_t number = ++token_requests_;
  for (const OauthFault& fault : plan.rules.faults) {
    if (!fault.requests.Holds(number)) continue;
    plan.fault = fault;
    break;
  }
  return plan;
}

}  // namespace arrowport::emulator
