#include "emulator/counters.h"

#include <chrono>
#include <nlohmann/json.hpp>

namespace arrowport::emulator {
namespace {

constexpr size_t kTablesMax = 1000;
constexpr std::string_view kOtherTables = "(other)";
// A change may slip in between a waiter's look and its wait; it then looks again soon.
constexpr std::chrono::milliseconds kLookAgain{10};

constexpr std::array<std::string_view, kCounters> kNames = {
    "connections",       "opened",
    "open_now",          "refused_opens",
    "token_requests",    "mints",
    "table_reads",       "requests",
    "rows",              "request_bytes",
    "logged_requests",   "refused_requests",
    "acks",              "close_signals",
    "requests_after_close_signal", "in_flight_max",
    "faults",            "half_closes",
    "cancels",           "resets",
    "server_ends"};

nlohmann::ordered_json ToObject(const CounterValues& values) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (size_t i = 0; i < kCounters; ++i) object[std::string(kNames[i])] = values[i];
  return object;
}

}  // namespace

std::string_view NameOf(Counter counter) { return kNames[static_cast<size_t>(counter)]; }

void TableCounters::RaiseTo(std::atomic<int64_t>* value, int64_t at_least) {
  int64_t now = value->load(std::memory_order_relaxed);
  while (now < at_least && !value->compare_exchange_weak(now, at_least)) {
  }
}

void TableCounters::Add(Counter counter, int64_t change) {
  const auto index = static_cast<size_t>(counter);
  values_[index].fetch_add(change);
  if (!all_) return;
  all_->all_.values_[index].fetch_add(change);
  all_->Changed();
}

void TableCounters::Raise(Counter counter, int64_t at_least) {
  const auto index = static_cast<size_t>(counter);
  RaiseTo(&values_[index], at_least);
  if (all_) RaiseTo(&all_->all_.values_[index], at_least);
}

CounterValues TableCounters::Read() const {
  CounterValues read;
  for (size_t i = 0; i < kCounters; ++i) read[i] = values_[i].load();
  return read;
}

void TableCounters::Clear() {
  for (size_t i = 0; i < kCounters; ++i) {
    if (i != static_cast<size_t>(Counter::kOpenNow)) values_[i].store(0);
  }
}

TableCounters& Counters::Of(const std::string& table) {
  MutexLock lock(mutex_);
  const bool room = tables_.size() < kTablesMax || tables_.contains(table);
  auto& counters = tables_[room ? table : std::string(kOtherTables)];
  if (!counters) counters = std::make_unique<TableCounters>(this);
  return *counters;
}

CounterValues Counters::Read(const std::string& table) const {
  if (table.empty()) return all_.Read();
  MutexLock lock(mutex_);
  const auto it = tables_.find(table);
  return it == tables_.end() ? CounterValues{} : it->second->Read();
}

std::string Counters::ToJson() const {
  nlohmann::ordered_json object;
  object["all"] = ToObject(all_.Read());
  object["tables"] = nlohmann::ordered_json::object();
  MutexLock lock(mutex_);
  for (const auto& [name, counters] : tables_) {
    object["tables"][name] = ToObject(counters->Read());
  }
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void Counters::Clear() {
  MutexLock lock(mutex_);
  all_.Clear();
  for (auto& [name, counters] : tables_) counters->Clear();
}

void Counters::Changed() {
  if (waiters_.load() > 0) changed_.notify_all();
}

bool Counters::WaitUntil(const std::string& table,
                         const std::function<bool(const CounterValues&)>& holds,
                         std::chrono::steady_clock::time_point deadline) {
  waiters_.fetch_add(1);
  Mutex never_contended;
  bool held = false;
  while (!(held = holds(Read(table))) && std::chrono::steady_clock::now() < deadline) {
    MutexLock lock(never_contended);
    lock.WaitUntil(changed_, std::chrono::steady_clock::now() + kLookAgain);
  }
  waiters_.fetch_sub(1);
  return held;
}

}  // namespace arrowport::emulator
