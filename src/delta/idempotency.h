// The idempotency keys of a table: written into the commitInfo of the commit whose rows
// they stand for, remembered here for a window, summarised in a side file so that a start
// reads only the commits behind it. Format: docs/formats/delta-keys.md.
#pragma once

#include <arrow/result.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "delta/actions.h"
#include "delta/table.h"
#include "store/store.h"

namespace arrowport::delta {

/// The value of commitInfo's member `arrowport` for these keys: {"keys":[...]}.
std::string KeysToJson(std::span<const KeyEntry> keys);

/// The keys in a commitInfo (whole object as JSON text); none when it has none, or when
/// they are malformed: a foreign writer's member of the same name is no reason to fail.
std::vector<KeyEntry> KeysOf(const CommitInfo& info);

/// One moment on both clocks.
struct Moment {
  int64_t wall_ms = 0;
  int64_t steady_ms = 0;
};

/// Keys of commits up to version(), as far as they lie in the window. A key's age is taken
/// from the wall clock once, when it is learnt; from then on it ages by the steady clock, so
/// that a jump of the wall clock makes nobody's retry a new request. Caller-locked.
class KeyIndex {
 public:
  explicit KeyIndex(int64_t window_ms) : window_ms_(window_ms) {}

  /// Takes in the newest summary not above `version` and sets version() to its version, or
  /// to -1 when there is none that can be read. Errors: the store's.
  arrow::Status LoadSummary(const store::Store& store, int64_t version, Moment now);

  struct Commit {
    int64_t version = 0;
    int64_t committed_ms = 0;  ///< as its log entry says
    int64_t age_ms = 0;        ///< at the moment it is learnt
  };
  /// Takes in commits of rising versions.
  void Learn(const Commit& commit, std::span<const KeyEntry> keys, Moment now);
  /// Everything up to `version` is known without reading it: its keys are out of the
  /// window or were never kept.
  void SkipTo(int64_t version) { version_ = std::max(version_, version); }

  std::optional<CommittedKey> Find(std::string_view key, Moment now) const;
  void Prune(Moment now);

  int64_t version() const { return version_; }
  int64_t window_ms() const { return window_ms_; }
  size_t size() const { return keys_.size(); }
  /// Keys learnt since the newest summary.
  size_t unsummarised() const { return unsummarised_; }
  /// The newest version whose keys nobody needs its commit for: they are in a summary, or
  /// out of the window.
  int64_t SafeUpTo() const;

  /// The content of a summary of what is known now.
  std::string SummaryText() const;
  void MarkSummarised(int64_t version, size_t keys) {
    summary_version_ = version;
    unsummarised_ -= std::min(unsummarised_, keys);
  }

 private:
  struct Known {
    CommittedKey committed;
    int64_t expires_ms = 0;  ///< on the steady clock
  };
  arrow::Status ParseSummary(std::string_view text, Moment now);
  void Put(std::string key, CommittedKey committed, int64_t age_ms, Moment now);

  int64_t window_ms_;
  int64_t version_ = -1;
  int64_t summary_version_ = -1;
  size_t unsummarised_ = 0;
  std::map<std::string, Known, std::less<>> keys_;
  std::multimap<int64_t, std::string> by_expiry_;
};

/// "_delta_log/_arrowport"
inline constexpr std::string_view kKeyFolder = "_delta_log/_arrowport";
/// "_delta_log/_arrowport/keys-00000000000000000012.jsonl"
std::string KeySummaryPath(int64_t version);

/// Removes all summaries but the two newest; returns how many went.
arrow::Result<int64_t> RemoveOldSummaries(store::Store* store);

}  // namespace arrowport::delta
