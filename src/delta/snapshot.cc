#include "delta/snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"
#include "delta/checkpoint_read.h"
#include "delta/log_listing.h"
#include "delta/log_replay.h"

namespace arrowport::delta {
namespace {

constexpr int64_t kCommitBytesMax = 1LL << 30;
/// A reader further behind than this looks for a checkpoint instead of reading commits.
constexpr int64_t kRefreshCommitsMax = 50;
/// Another process may clean the log up between our listing and our reading.
constexpr int kLoadAttempts = 3;
/// The name of a line's action is among so many first characters, however it is spaced.
constexpr size_t kActionNameWithin = 32;

arrow::Result<std::vector<Action>> ReadActions(const store::Store& store, int64_t version) {
  const std::string path = CommitPath(version);
  ARROW_ASSIGN_OR_RAISE(const auto content, store.Read(path, kCommitBytesMax));
  return ParseCommit(std::string_view(*content), path);
}

/// The commitInfo of a commit without parsing the rest of it.
arrow::Result<CommitInfo> ReadInfo(const store::Store& store, int64_t version) {
  ARROW_ASSIGN_OR_RAISE(const auto content, store.Read(CommitPath(version), kCommitBytesMax));
  std::string_view text(*content);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.substr(0, kActionNameWithin).find("\"commitInfo\"") == std::string_view::npos) {
      continue;
    }
    ARROW_ASSIGN_OR_RAISE(auto action, ParseAction(line));
    if (action && std::holds_alternative<CommitInfo>(*action)) {
      return std::get<CommitInfo>(std::move(*action));
    }
  }
  return CommitInfo{};
}

arrow::Result<std::shared_ptr<const Snapshot>> Replay(const store::Store& store,
                                                      const Clock& clock,
                                                      const LogListing& listing,
                                                      int64_t version) {
  ARROW_ASSIGN_OR_RAISE(LogSegment segment, SegmentFor(listing, version));
  MakeTimesMonotone(&segment.commits);
  SnapshotChange change(clock);
  int64_t modified_ms = 0;
  if (segment.checkpoint != nullptr) {
    ARROW_ASSIGN_OR_RAISE(auto content, ReadCheckpoint(store, *segment.checkpoint));
    const bool in_commit_timestamps =
        content.metadata &&
        TableProperties::From(content.metadata->configuration).in_commit_timestamps;
    ARROW_RETURN_NOT_OK(change.AddCheckpoint(std::move(content)));
    const LogEntry* commit = listing.FindCommit(segment.checkpoint->version);
    modified_ms = commit != nullptr ? commit->modified_ms : segment.checkpoint->modified_ms;
    if (segment.commits.empty() && commit != nullptr && in_commit_timestamps) {
      // Only the commit knows its in-commit timestamp.
      ARROW_ASSIGN_OR_RAISE(auto info, ReadInfo(store, commit->version));
      ARROW_RETURN_NOT_OK(change.AddCommit({std::move(info)}));
    }
  }
  for (const LogEntry& commit : segment.commits) {
    ARROW_ASSIGN_OR_RAISE(auto actions, ReadActions(store, commit.version));
    ARROW_RETURN_NOT_OK(change.AddCommit(std::move(actions)));
    modified_ms = commit.modified_ms;
  }
  return change.Finish(version, modified_ms);
}

/// The oldest version that can still be put together.
arrow::Result<int64_t> OldestVersion(const LogListing& listing) {
  if (!listing.commits.empty() && listing.commits.front().version == 0) return 0;
  if (!listing.checkpoints.empty()) return listing.checkpoints.front().version;
  return Error(ErrorCode::kStorageCorrupt, "log incomplete: it begins with version ",
               listing.commits.front().version, " and has no complete checkpoint");
}

arrow::Status NotATable(const store::Store& store) {
  return Error(ErrorCode::kTableNotFound, "not a table: no commit and no checkpoint below ",
               store.root(), "/", kLogFolder);
}

/// The newest of `commits`, which ascend in time, made at or before `timestamp_ms`.
const LogEntry* NewestBefore(const std::vector<LogEntry>& commits, int64_t timestamp_ms) {
  const LogEntry* newest = nullptr;
  for (const LogEntry& commit : commits) {
    if (commit.modified_ms <= timestamp_ms) newest = &commit;
  }
  return newest;
}

/// Finds the version of a time of day. The times of commits are those of their files, or
/// from some version on those in the commits.
class TimeTravel {
 public:
  TimeTravel(const store::Store& store, const Snapshot& newest, std::vector<LogEntry> commits)
      : store_(store), newest_(newest), commits_(std::move(commits)) {}

  /// Nothing when `timestamp_ms` is before all of them.
  arrow::Result<std::optional<int64_t>> Find(int64_t timestamp_ms) const {
    const TableProperties& properties = newest_.state().properties;
    if (!properties.in_commit_timestamps) return VersionOf(commits_, timestamp_ms);
    const int64_t first = properties.in_commit_timestamps_from_version.value_or(0);
    if (timestamp_ms < properties.in_commit_timestamps_from_ms.value_or(INT64_MIN)) {
      std::vector<LogEntry> before = commits_;
      std::erase_if(before, [&](const LogEntry& entry) { return entry.version >= first; });
      return VersionOf(before, timestamp_ms);
    }
    return FindInCommits(first, timestamp_ms);
  }

 private:
  static std::optional<int64_t> VersionOf(const std::vector<LogEntry>& commits,
                                          int64_t timestamp_ms) {
    const LogEntry* entry = NewestBefore(commits, timestamp_ms);
    return entry == nullptr ? std::nullopt : std::optional(entry->version);
  }

  arrow::Result<std::optional<int64_t>> FindInCommits(int64_t first,
                                                      int64_t timestamp_ms) const {
    const auto begin = std::lower_bound(
        commits_.begin(), commits_.end(), first,
        [](const LogEntry& entry, int64_t version) { return entry.version < version; });
    auto low = begin, high = commits_.end();
    while (low < high) {
      const auto middle = low + (high - low) / 2;
      ARROW_ASSIGN_OR_RAISE(const CommitInfo info, ReadInfo(store_, middle->version));
      if (!info.in_commit_timestamp_ms) {
        return Error(ErrorCode::kStorageCorrupt, "malformed commit: version ",
                     middle->version, " has no in-commit timestamp");
      }
      if (*info.in_commit_timestamp_ms <= timestamp_ms) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low == begin ? std::nullopt : std::optional((low - 1)->version);
  }

  const store::Store& store_;
  const Snapshot& newest_;
  std::vector<LogEntry> commits_;
};

}  // namespace

std::string CommitPath(int64_t version) {
  return fmt::format("{}/{:020}.json", kLogFolder, version);
}

LogReader::LogReader(std::shared_ptr<const store::Store> store, const Clock& clock)
    : store_(std::move(store)), clock_(&clock) {}

arrow::Result<std::shared_ptr<const Snapshot>> LogReader::LoadOnce(
    std::optional<int64_t> version) const {
  const int64_t hint = LastCheckpointHint(*store_).value_or(-1);
  LogListing listing;
  if (hint > 0 && (!version || hint <= *version)) {
    ARROW_ASSIGN_OR_RAISE(listing, ListLog(*store_, hint));
  }
  if (listing.NewestCheckpoint(version.value_or(INT64_MAX)) == nullptr) {
    ARROW_ASSIGN_OR_RAISE(listing, ListLog(*store_, 0));
  }
  if (listing.empty()) return NotATable(*store_);
  const int64_t newest = listing.newest_version();
  if (version && (*version > newest || *version < 0)) {
    return Error(ErrorCode::kNotFound, "version ", *version,
                 " does not exist; the newest is ", newest);
  }
  return Replay(*store_, *clock_, listing, version.value_or(newest));
}

arrow::Result<std::shared_ptr<const Snapshot>> LogReader::Load() const {
  for (int attempt = 1;; ++attempt) {
    auto loaded = LoadOnce(std::nullopt);
    if (loaded.ok() || CodeOf(loaded.status()) != ErrorCode::kNotFound) return loaded;
    if (attempt == kLoadAttempts) {
      return Error(ErrorCode::kStorageCorrupt, "files of the log vanish while it is read: ",
                   loaded.status().message());
    }
  }
}

arrow::Result<std::shared_ptr<const Snapshot>> LogReader::Load(int64_t version) const {
  return LoadOnce(version);
}

arrow::Result<std::shared_ptr<const Snapshot>> LogReader::LoadAsOf(
    int64_t timestamp_ms) const {
  ARROW_ASSIGN_OR_RAISE(LogListing listing, ListLog(*store_, 0));
  if (listing.empty()) return NotATable(*store_);
  ARROW_ASSIGN_OR_RAISE(const int64_t oldest, OldestVersion(listing));
  ARROW_ASSIGN_OR_RAISE(auto newest,
                        Replay(*store_, *clock_, listing, listing.newest_version()));
  std::vector<LogEntry> commits = listing.commits;
  MakeTimesMonotone(&commits);
  std::erase_if(commits, [&](const LogEntry& entry) { return entry.version < oldest; });
  const int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                             clock_->WallNow().time_since_epoch())
                             .count();
  if (timestamp_ms > std::max(now_ms, newest->timestamp_ms())) {
    return Error(ErrorCode::kNotFound, "the table has no version of the future; the newest, ",
                 newest->version(), ", is of ", newest->timestamp_ms(), " ms");
  }
  ARROW_ASSIGN_OR_RAISE(const auto version,
                        TimeTravel(*store_, *newest, commits).Find(timestamp_ms));
  if (!version) {
    return Error(ErrorCode::kNotFound, "the table has no version as old as ", timestamp_ms,
                 " ms; the oldest that is kept is ", oldest);
  }
  if (*version == newest->version()) return newest;
  return Replay(*store_, *clock_, listing, *version);
}

arrow::Result<std::shared_ptr<const Snapshot>> LogReader::Refresh(
    std::shared_ptr<const Snapshot> base) const {
  SnapshotChange change(*base);
  int64_t version = base->version(), modified_ms = 0;
  while (version - base->version() < kRefreshCommitsMax) {
    auto actions = ReadActions(*store_, version + 1);
    if (!actions.ok() && CodeOf(actions.status()) == ErrorCode::kNotFound) break;
    ARROW_RETURN_NOT_OK(actions);
    ARROW_RETURN_NOT_OK(change.AddCommit(std::move(*actions)));
    ARROW_ASSIGN_OR_RAISE(const auto info, store_->Stat(CommitPath(++version)));
    modified_ms = info.modified_ms;
  }
  if (version - base->version() >= kRefreshCommitsMax) return Load();
  if (version > base->version()) return change.Finish(version, modified_ms);
  // Nothing follows, or what followed is already cleaned up: then so is the base.
  if (store_->Stat(CommitPath(version)).ok()) return base;
  ARROW_ASSIGN_OR_RAISE(const LogListing listing, ListLog(*store_, 0));
  if (listing.newest_version() == version) return base;
  return Load();
}

arrow::Result<std::shared_ptr<const Snapshot>> LogReader::Apply(
    std::shared_ptr<const Snapshot> base, const std::vector<Action>& actions,
    int64_t modified_ms) {
  SnapshotChange change(*base);
  ARROW_RETURN_NOT_OK(change.AddCommit(actions));
  return change.Finish(base->version() + 1, modified_ms);
}

arrow::Result<std::shared_ptr<const Snapshot>> LogReader::First(
    const std::vector<Action>& actions, int64_t modified_ms) {
  SnapshotChange change(SystemClock());
  ARROW_RETURN_NOT_OK(change.AddCommit(actions));
  return change.Finish(0, modified_ms);
}

arrow::Result<std::vector<Action>> LogReader::ReadCommit(int64_t version) const {
  return ReadActions(*store_, version);
}

arrow::Result<std::vector<LogReader::HistoryEntry>> LogReader::History(
    int64_t limit) const {
  ARROW_ASSIGN_OR_RAISE(LogListing listing, ListLog(*store_, 0));
  if (listing.empty()) return NotATable(*store_);
  MakeTimesMonotone(&listing.commits);
  std::vector<HistoryEntry> history;
  for (auto commit = listing.commits.rbegin(); commit != listing.commits.rend(); ++commit) {
    if (static_cast<int64_t>(history.size()) >= limit) break;
    auto info = ReadInfo(*store_, commit->version);
    if (!info.ok() && CodeOf(info.status()) == ErrorCode::kNotFound) break;  // cleaned up
    ARROW_RETURN_NOT_OK(info);
    const int64_t timestamp_ms = info->in_commit_timestamp_ms.value_or(commit->modified_ms);
    history.push_back({commit->version, timestamp_ms, std::move(*info)});
  }
  return history;
}

}  // namespace arrowport::delta
