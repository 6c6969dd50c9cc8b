// Who may apply what once: an in-memory mirror of the sink's ledger, plus what is being
// applied right now.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "sink/table_sink.h"

namespace arrowport::ingest {

/// What a caller got for its key or sequence.
struct Claim {
  enum class Kind {
    kOwned,   ///< apply it, then call Resolve exactly once
    kReplay,  ///< applied before; nothing to resolve
  };
  Kind kind = Kind::kOwned;
  /// kReplay: the entry as far as it is remembered (keys: always; sequences: the recent
  /// ones of a producer).
  std::optional<sink::LedgerEntry> known;
  /// kReplay of a sequence: the producer's last applied one.
  int64_t last_sequence = -1;
};

/// The thing claimed: an idempotency key of a table, or sequences first..last of a
/// producer into a table.
struct ClaimRequest {
  std::string table;  ///< TableName::ToString()
  std::string key;
  std::string producer;
  int64_t first_sequence = 0;
  int64_t last_sequence = 0;
};

/// Thread-safe. Callbacks run on the thread of the Resolve that decided them, outside the
/// lock.
class IdempotencyIndex {
 public:
  struct Options {
    int64_t window_us = int64_t{24} * 3600 * 1000 * 1000;
    size_t waiters_max = 1024;  ///< per key or producer; more are refused, kOverloaded
    sink::NameCase name_case = sink::NameCase::kIgnored;  ///< of table names
  };
  using OnClaim = std::function<void(arrow::Result<Claim>)>;

  explicit IdempotencyIndex(Options options) : options_(options) {}

  /// Entries of the sink, oldest first. Before the first claim.
  void Load(std::vector<sink::LedgerEntry> entries);

  /// An entry of the sink that was not among the loaded ones.
  void Learn(const sink::LedgerEntry& entry);

  /// An answer at once, or nothing: the same key (or an earlier or the same sequence of
  /// the producer) is being applied, and `on_claim` follows when that is decided, once,
  /// in order of sequence.
  /// Errors: kSequenceGap, kOverloaded.
  std::optional<arrow::Result<Claim>> Ask(const ClaimRequest& request, OnClaim on_claim);

  /// Ends an owned claim: with the committed entry, or with nothing when it was refused
  /// or failed (the next in line is then tried).
  void Resolve(const ClaimRequest& request, std::optional<sink::LedgerEntry> applied);

  /// The entry of a key applied within the window.
  std::optional<sink::LedgerEntry> FindKey(std::string_view table,
                                           std::string_view key) const;
  std::optional<int64_t> LastSequence(std::string_view table,
                                      std::string_view producer) const;

  /// Forgets keys applied before `now_us` - window.
  void Prune(int64_t now_us);
  int64_t window_us() const { return options_.window_us; }
  size_t key_count() const;

 private:
  struct Waiter {
    ClaimRequest request;
    OnClaim on_claim;
  };
  struct Key {
    std::optional<sink::LedgerEntry> applied;
    bool held = false;
    std::deque<Waiter> waiters;
  };
  struct Producer {
    std::optional<int64_t> last;
    std::optional<int64_t> began;  ///< first sequence ever applied, when known
    std::optional<int64_t> held_last;
    std::multimap<int64_t, Waiter> waiters;  ///< by first sequence
    std::deque<sink::LedgerEntry> recent;
  };
  using Decision = std::pair<OnClaim, arrow::Result<Claim>>;

  std::string Id(std::string_view table, std::string_view name) const;
  void Remember(const sink::LedgerEntry& entry) REQUIRES(mutex_);
  std::optional<arrow::Result<Claim>> DecideKey(Key& key) REQUIRES(mutex_);
  std::optional<arrow::Result<Claim>> DecideSequence(Producer& producer,
                                                     const ClaimRequest& request)
      REQUIRES(mutex_);
  void ResolveKey(const ClaimRequest& request, std::vector<Decision>* decisions)
      REQUIRES(mutex_);
  void ResolveSequence(const ClaimRequest& request, std::vector<Decision>* decisions)
      REQUIRES(mutex_);

  const Options options_;
  mutable Mutex mutex_;
  std::unordered_map<std::string, Key> keys_ GUARDED_BY(mutex_);
  std::unordered_map<std::string, Producer> producers_ GUARDED_BY(mutex_);
  /// (committed_at_us, id) of applied keys, oldest first.
  std::deque<std::pair<int64_t, std::string>> by_age_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::ingest
