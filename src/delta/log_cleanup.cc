#include "delta/log_cleanup.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "base/fault_point.h"
#include "delta/log_listing.h"

namespace arrowport::delta {
namespace {

constexpr int64_t kDayMs = 86'400'000;
constexpr size_t kVersionDigits = 20;

/// The version a file of the log begins its name with: commits, checkpoints of every form,
/// checksums, compacted commits (their first version).
std::optional<int64_t> VersionOf(std::string_view path) {
  const std::string_view name = path.substr(path.find_last_of('/') + 1);
  if (name.size() <= kVersionDigits || name[kVersionDigits] != '.') return std::nullopt;
  int64_t version = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + kVersionDigits, version);
  if (parsed.ec != std::errc() || parsed.ptr != name.data() + kVersionDigits) {
    return std::nullopt;
  }
  return version;
}

/// Nothing below this version is needed; nothing when no checkpoint is old enough.
std::optional<int64_t> FirstVersionKept(const LogListing& listing, int64_t cutoff_ms) {
  std::vector<LogEntry> commits = listing.commits;
  MakeTimesMonotone(&commits);
  const auto after = std::upper_bound(
      commits.begin(), commits.end(), cutoff_ms,
      [](int64_t time_ms, const LogEntry& entry) { return time_ms < entry.modified_ms; });
  if (after == commits.begin()) return std::nullopt;
  const CheckpointFiles* checkpoint = listing.NewestCheckpoint((after - 1)->version);
  if (checkpoint == nullptr) return std::nullopt;
  return checkpoint->version;
}

}  // namespace

arrow::Result<int64_t> CleanUpLogOf(store::Store* store, const Snapshot& snapshot,
                                    const LogCleanup& cleanup) {
  const TableProperties& properties = snapshot.state().properties;
  if (!properties.expired_log_cleanup) return 0;
  const int64_t cutoff_ms =
      (cleanup.now_ms - properties.log_retention_ms) / kDayMs * kDayMs;
  ARROW_ASSIGN_OR_RAISE(const LogListing listing, ListLog(*store, 0));
  const auto first_kept = FirstVersionKept(listing, cutoff_ms);
  if (!first_kept) return 0;
  const int64_t limit = std::min(*first_kept, cleanup.keep_after_version + 1);

  std::vector<std::string> expired;
  ARROW_RETURN_NOT_OK(
      store->List(kLogFolder, "", [&](const store::FileInfo& file) -> arrow::Status {
        const auto version = VersionOf(file.path);
        if (version && *version < limit) expired.push_back(file.path);
        return {};
      }));
  // Oldest first: whatever stops this leaves a log without holes.
  std::sort(expired.begin(), expired.end());
  for (const std::string& path : expired) {
    ARROW_RETURN_NOT_OK(FaultPoint("delta.cleanup.before_remove"));
    ARROW_RETURN_NOT_OK(store->Remove(path));
  }
  return static_cast<int64_t>(expired.size());
}

}  // namespace arrowport::delta
