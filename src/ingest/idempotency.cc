#include "ingest/idempotency.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "schema/column_match.h"

namespace arrowport::ingest {
namespace {

/// Full answers kept per producer; older repeats are recognised by `last` alone.
constexpr size_t kRecentPerProducer = 64;

}  // namespace

std::string IdempotencyIndex::Id(std::string_view table, std::string_view name) const {
  std::string id = options_.name_case == sink::NameCase::kIgnored
                       ? schema::FoldCase(table)
                       : std::string(table);
  id += '\0';  // names hold no NUL
  id += name;
  return id;
}

void IdempotencyIndex::Load(std::vector<sink::LedgerEntry> entries) {
  MutexLock lock(mutex_);
  for (const auto& entry : entries) Remember(entry);
}

void IdempotencyIndex::Learn(const sink::LedgerEntry& entry) {
  MutexLock lock(mutex_);
  if (!entry.key.empty() && keys_[Id(entry.table, entry.key)].applied) return;
  Remember(entry);
}

void IdempotencyIndex::Remember(const sink::LedgerEntry& entry) {
  if (!entry.key.empty()) {
    std::string id = Id(entry.table, entry.key);
    keys_[id].applied = entry;
    by_age_.emplace_back(entry.committed_at_us, std::move(id));
  }
  if (entry.producer.empty()) return;
  Producer& producer = producers_[Id(entry.table, entry.producer)];
  if (producer.last && *producer.last >= entry.sequence) return;
  producer.last = entry.sequence;
  producer.recent.push_back(entry);
  if (producer.recent.size() > kRecentPerProducer) producer.recent.pop_front();
}

std::optional<arrow::Result<Claim>> IdempotencyIndex::DecideKey(Key& key) {
  if (key.applied) return Claim{Claim::Kind::kReplay, key.applied, -1};
  if (key.held) return std::nullopt;
  key.held = true;
  return Claim{};
}

std::optional<arrow::Result<Claim>> IdempotencyIndex::DecideSequence(
    Producer& producer, const ClaimRequest& request) {
  const int64_t first = request.first_sequence;
  if (producer.began && first < *producer.began) {
    return Error(ErrorCode::kSequenceGap,
                 "sequence is before the producer's first one: ", first, ", it began at ",
                 *producer.began);
  }
  if (producer.last && first <= *producer.last) {
    Claim claim{Claim::Kind::kReplay, std::nullopt, *producer.last};
    auto covering =
        std::ranges::find(producer.recent, first, &sink::LedgerEntry::sequence);
    if (covering != producer.recent.end()) claim.known = *covering;
    return claim;
  }
  if (producer.held_last) {
    // Those waiting may be the ones between.
    const auto ahead = static_cast<int64_t>(producer.waiters.size());
    if (first <= *producer.held_last + 1 + ahead) return std::nullopt;
    return Error(ErrorCode::kSequenceGap, "sequence is beyond the next one: ", first,
                 ", being applied: ", *producer.held_last);
  }
  // A new producer counts from 0 or from 1.
  const bool next =
      producer.last ? first == *producer.last + 1 : first == 0 || first == 1;
  if (!next) {
    return Error(
        ErrorCode::kSequenceGap, "sequence is beyond the next one: ", first,
        ", last applied: ", producer.last ? std::to_string(*producer.last) : "none");
  }
  producer.held_last = request.last_sequence;
  return Claim{};
}

std::optional<arrow::Result<Claim>> IdempotencyIndex::Ask(const ClaimRequest& request,
                                                          OnClaim on_claim) {
  const auto full = [&](size_t waiting) {
    return Error(ErrorCode::kOverloaded, "too many requests wait for the same ",
                 request.key.empty() ? "producer: " : "idempotency key: ", waiting);
  };
  MutexLock lock(mutex_);
  if (!request.key.empty()) {
    Key& key = keys_[Id(request.table, request.key)];
    if (auto decided = DecideKey(key)) return decided;
    if (key.waiters.size() >= options_.waiters_max) return full(key.waiters.size());
    key.waiters.push_back({request, std::move(on_claim)});
    return std::nullopt;
  }
  const std::string id = Id(request.table, request.producer);
  Producer& producer = producers_[id];
  if (auto decided = DecideSequence(producer, request)) {
    if (!producer.last && !producer.held_last) producers_.erase(id);
    return decided;
  }
  if (producer.waiters.size() >= options_.waiters_max) {
    return full(producer.waiters.size());
  }
  producer.waiters.emplace(request.first_sequence, Waiter{request, std::move(on_claim)});
  return std::nullopt;
}

void IdempotencyIndex::ResolveKey(const ClaimRequest& request,
                                  std::vector<Decision>* decisions) {
  const std::string id = Id(request.table, request.key);
  Key& key = keys_[id];
  key.held = false;
  while (!key.waiters.empty()) {
    auto decided = DecideKey(key);
    if (!decided) break;
    decisions->emplace_back(std::move(key.waiters.front().on_claim), *std::move(decided));
    key.waiters.pop_front();
  }
  if (!key.applied && !key.held && key.waiters.empty()) keys_.erase(id);
}

void IdempotencyIndex::ResolveSequence(const ClaimRequest& request,
                                       std::vector<Decision>* decisions) {
  const std::string id = Id(request.table, request.producer);
  Producer& producer = producers_[id];
  if (!producer.began && producer.last && producer.recent.size() == 1 &&
      *producer.last == request.last_sequence) {
    producer.began = request.first_sequence;
  }
  producer.held_last.reset();
  while (!producer.waiters.empty()) {
    auto first = producer.waiters.begin();
    // Taken out before it is judged, or it would count as one of those ahead of itself.
    Waiter waiter = std::move(first->second);
    producer.waiters.erase(first);
    auto decided = DecideSequence(producer, waiter.request);
    if (!decided) {
      const int64_t sequence = waiter.request.first_sequence;
      producer.waiters.emplace_hint(producer.waiters.begin(), sequence,
                                    std::move(waiter));
      break;
    }
    decisions->emplace_back(std::move(waiter.on_claim), *std::move(decided));
  }
  if (!producer.last && !producer.held_last && producer.waiters.empty()) {
    producers_.erase(id);
  }
}

void IdempotencyIndex::Resolve(const ClaimRequest& request,
                               std::optional<sink::LedgerEntry> applied) {
  std::vector<Decision> decisions;
  {
    MutexLock lock(mutex_);
    if (applied) Remember(*applied);
    if (!request.key.empty()) {
      ResolveKey(request, &decisions);
    } else {
      ResolveSequence(request, &decisions);
    }
  }
  for (auto& [on_claim, decided] : decisions) on_claim(std::move(decided));
}

std::optional<sink::LedgerEntry> IdempotencyIndex::FindKey(std::string_view table,
                                                           std::string_view key) const {
  MutexLock lock(mutex_);
  auto found = keys_.find(Id(table, key));
  return found == keys_.end() ? std::nullopt : found->second.applied;
}

std::optional<int64_t> IdempotencyIndex::LastSequence(std::string_view table,
                                                      std::string_view producer) const {
  MutexLock lock(mutex_);
  auto found = producers_.find(Id(table, producer));
  return found == producers_.end() ? std::nullopt : found->second.last;
}

void IdempotencyIndex::Prune(int64_t now_us) {
  MutexLock lock(mutex_);
  while (!by_age_.empty() && by_age_.front().first < now_us - options_.window_us) {
    auto found = keys_.find(by_age_.front().second);
    if (found != keys_.end() && found->second.applied &&
        found->second.applied->committed_at_us <= by_age_.front().first) {
      keys_.erase(found);
    }
    by_age_.pop_front();
  }
}

size_t IdempotencyIndex::key_count() const {
  MutexLock lock(mutex_);
  return keys_.size();
}

}  // namespace arrowport::ingest
