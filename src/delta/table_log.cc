#include "delta/table_log.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"
#include "base/ids.h"
#include "base/log.h"
#include "delta/log_listing.h"

namespace arrowport::delta {
namespace {

constexpr int kBackOffShiftMax = 7;
constexpr size_t kKeysBetweenSummaries = 64;

const CommitInfo* InfoOfCommit(const std::vector<Action>& actions) {
  for (const Action& action : actions) {
    if (const auto* info = std::get_if<CommitInfo>(&action)) return info;
  }
  return nullptr;
}

int64_t TimeOf(const CommitInfo& info) {
  return info.in_commit_timestamp_ms.value_or(info.timestamp_ms.value_or(0));
}

bool WritesInCommitTimestamps(const Snapshot* base, const std::vector<Action>& actions) {
  for (const Action& action : actions) {
    if (const auto* metadata = std::get_if<Metadata>(&action)) {
      return TableProperties::From(metadata->configuration).in_commit_timestamps;
    }
  }
  return base != nullptr && base->state().properties.in_commit_timestamps;
}

}  // namespace

TableLog::TableLog(std::shared_ptr<store::Store> store, const Clock& clock,
                   const TableOptions& options)
    : store_(std::move(store)),
      clock_(clock),
      options_(options),
      reader_(store_, clock),
      keys_(options.log.key_window_ms) {}

arrow::Result<std::unique_ptr<TableLog>> TableLog::Open(
    std::shared_ptr<store::Store> store, const Clock& clock, const TableOptions& options) {
  std::unique_ptr<TableLog> log(new TableLog(std::move(store), clock, options));
  MutexLock lock(log->commit_mutex_);
  ARROW_RETURN_NOT_OK(log->Load());
  return log;
}

Moment TableLog::Now() const {
  const auto milliseconds = [](auto time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch())
        .count();
  };
  return {milliseconds(clock_.WallNow()), milliseconds(clock_.SteadyNow())};
}

arrow::Status TableLog::Load() {
  auto loaded = reader_.Load();
  if (!loaded.ok()) {
    if (CodeOf(loaded.status()) != ErrorCode::kTableNotFound) return loaded.status();
    if (const auto hint = LastCheckpointHint(*store_)) {
      return Error(ErrorCode::kStorageCorrupt,
                   "log incomplete: _last_checkpoint names version ", *hint,
                   " but no version is there; restore the log, or remove ", kLogFolder,
                   " to begin a table: ", store_->root());
    }
    tail_.reset();
    tail_stamp_ms_ = 0;
    MutexLock lock(mutex_);
    keys_ = KeyIndex(options_.log.key_window_ms);
    snapshot_ = nullptr;
    return {};
  }
  // A writer may have died between naming its commit and syncing the name; what is answered
  // from the log must not be lost after all.
  ARROW_RETURN_NOT_OK(store_->SyncFolder(kLogFolder));
  ARROW_RETURN_NOT_OK(NoteTail((*loaded)->version()));
  KeyIndex keys(options_.log.key_window_ms);
  ARROW_RETURN_NOT_OK(LoadKeys(**loaded, &keys));
  MutexLock lock(mutex_);
  keys_ = std::move(keys);
  snapshot_ = std::move(*loaded);
  return {};
}

arrow::Status TableLog::LoadKeys(const Snapshot& snapshot, KeyIndex* keys) const {
  const Moment now = Now();
  ARROW_RETURN_NOT_OK(keys->LoadSummary(*store_, snapshot.version(), now));
  const int64_t oldest_ms = now.wall_ms - options_.log.key_window_ms;
  std::vector<std::pair<KeyIndex::Commit, CommitInfo>> tail;
  for (int64_t version = snapshot.version(); version > keys->version(); --version) {
    auto actions = reader_.ReadCommit(version);
    if (!actions.ok()) {
      if (CodeOf(actions.status()) == ErrorCode::kNotFound) break;  // cleaned up
      return actions.status();
    }
    const CommitInfo* info = InfoOfCommit(*actions);
    if (info == nullptr) continue;
    int64_t time_ms = TimeOf(*info);
    if (time_ms > 0 && time_ms < oldest_ms) {
      // The clock of a foreign writer may be wrong; the storage's decides.
      const auto facts = store_->Stat(CommitPath(version));
      if (facts.ok() && facts->modified_ms < oldest_ms) break;
      if (facts.ok()) time_ms = facts->modified_ms;
    }
    tail.push_back({{version, TimeOf(*info), now.wall_ms - time_ms}, *info});
  }
  for (auto at = tail.rbegin(); at != tail.rend(); ++at) {
    keys->Learn(at->first, KeysOf(at->second), now);
  }
  keys->SkipTo(snapshot.version());
  keys->Prune(now);
  return {};
}

std::shared_ptr<const Snapshot> TableLog::snapshot() const {
  MutexLock lock(mutex_);
  return snapshot_;
}

std::optional<CommittedKey> TableLog::FindKey(std::string_view key) const {
  const Moment now = Now();
  MutexLock lock(mutex_);
  return keys_.Find(key, now);
}

std::optional<int64_t> TableLog::LastSequence(std::string_view app_id) const {
  const auto current = snapshot();
  if (current == nullptr) return std::nullopt;
  return current->TransactionVersion(app_id);
}

arrow::Status TableLog::Advance(const std::shared_ptr<const Snapshot>& base,
                                const std::vector<Action>& actions) {
  const int64_t version = base == nullptr ? 0 : base->version() + 1;
  auto facts = store_->Stat(CommitPath(version));
  const int64_t modified_ms = facts.ok() ? facts->modified_ms : NowMs();
  tail_ = facts.ok() ? std::optional(*facts) : std::nullopt;
  ARROW_ASSIGN_OR_RAISE(auto next, base == nullptr
                                       ? LogReader::First(actions, modified_ms)
                                       : LogReader::Apply(base, actions, modified_ms));
  const CommitInfo* info = InfoOfCommit(actions);
  if (info != nullptr) tail_stamp_ms_ = TimeOf(*info);
  const Moment now = Now();
  MutexLock lock(mutex_);
  // Whatever time another writer's clock gave it: it is new to us.
  if (info != nullptr) {
    keys_.Learn({version, TimeOf(*info)}, KeysOf(*info), now);
  } else {
    keys_.Learn({version, now.wall_ms}, {}, now);
  }
  keys_.Prune(now);
  snapshot_ = std::move(next);
  return {};
}

arrow::Status TableLog::NoteTail(int64_t version) {
  tail_.reset();
  tail_stamp_ms_ = 0;
  auto facts = store_->Stat(CommitPath(version));
  if (!facts.ok()) return {};  // cleaned up
  auto actions = reader_.ReadCommit(version);
  if (!actions.ok()) {
    return CodeOf(actions.status()) == ErrorCode::kNotFound ? arrow::Status::OK()
                                                            : actions.status();
  }
  tail_ = *std::move(facts);
  const CommitInfo* info = InfoOfCommit(*actions);
  if (info != nullptr) tail_stamp_ms_ = TimeOf(*info);
  return {};
}

// Somebody may have emptied the log, or put another table or a backup in its place: a commit
// on top of what was there would be acknowledged into a log with a hole.
bool TableLog::BaseStands(const Snapshot& base) const {
  if (!tail_) return true;
  const auto now = store_->Stat(CommitPath(base.version()));
  return now.ok() && now->size == tail_->size && now->modified_ms == tail_->modified_ms;
}

arrow::Status TableLog::CatchUp() {
  auto base = snapshot();
  if (base == nullptr || !BaseStands(*base)) return Load();
  const int64_t before = base->version();
  while (true) {
    auto actions = reader_.ReadCommit(base->version() + 1);
    if (!actions.ok()) {
      if (CodeOf(actions.status()) != ErrorCode::kNotFound) return actions.status();
      break;
    }
    ARROW_RETURN_NOT_OK(Advance(base, *actions));
    base = snapshot();
  }
  if (base->version() > before) return store_->SyncFolder(kLogFolder);
  // Nothing follows, unless so much was cleaned up that what follows is gone as well.
  if (store_->Stat(CommitPath(before)).ok()) return {};
  return Load();
}

arrow::Result<std::shared_ptr<const Snapshot>> TableLog::Refresh() {
  MutexLock lock(commit_mutex_);
  ARROW_RETURN_NOT_OK(CatchUp());
  return snapshot();
}

void TableLog::BackOff(int lost_races) {
  const int64_t longest_ms = int64_t{1} << std::min(lost_races, kBackOffShiftMax);
  std::uniform_int_distribution<int64_t> micros(0, longest_ms * 1000);
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::microseconds(micros(jitter_));
  Mutex nobody;
  MutexLock lock(nobody);
  while (lock.WaitUntil(never_, until) != std::cv_status::timeout) {
  }
}

/// What depends on the version the draft stands on.
void TableLog::Complete(const Snapshot* base, CommitDraft* draft) const {
  CommitHeader& header = draft->header;
  header.engine_info = options_.engine_info;
  header.txn_id = NewRandomId();
  header.in_commit_timestamp = WritesInCommitTimestamps(base, draft->actions);
  header.timestamp_ms = NowMs();
  if (base != nullptr) {
    header.read_version = base->version();
    const int64_t least = base->timestamp_ms() + (header.in_commit_timestamp ? 1 : 0);
    header.timestamp_ms = std::max({header.timestamp_ms, least, tail_stamp_ms_});
  }
  if (!draft->keys.empty()) header.arrowport_json = KeysToJson(draft->keys);
  draft->actions.insert(draft->actions.begin(), MakeCommitInfo(header));
}

CommitResult TableLog::Commit(CommitIntent* intent) {
  using Kind = CommitResult::Kind;
  const auto failed = [](arrow::Status status) {
    return CommitResult{Kind::kFailed, -1, std::move(status)};
  };
  MutexLock lock(commit_mutex_);
  for (int lost = 0; lost <= options_.commit_attempts_max; ++lost) {
    if (lost > 1) BackOff(lost);
    if (const auto known = snapshot(); known != nullptr && !BaseStands(*known)) {
      const arrow::Status loaded = Load();
      if (!loaded.ok()) return failed(loaded);
    }
    const auto base = snapshot();
    auto prepared = intent->Prepare(*this, base);
    if (!prepared.ok()) return failed(prepared.status());
    if (!*prepared) return {Kind::kReplan, -1, {}};
    CommitDraft& draft = **prepared;
    Complete(base.get(), &draft);
    const int64_t version = base == nullptr ? 0 : base->version() + 1;
    const PutOutcome put = PutCommit(store_.get(), version, CommitText(draft.actions),
                                     draft.header.txn_id);
    switch (put.result) {
      case PutResult::kWon: {
        const arrow::Status advanced = Advance(base, draft.actions);
        if (!advanced.ok()) {
          // The commit stands; the next one finds it in the log.
          LogWarn("a commit of ours could not be applied to the cached state",
                  {{"table", store_->root()}, {"error", advanced.message()}});
        }
        return {Kind::kCommitted, version, {}};
      }
      case PutResult::kFailed:
        return failed(put.status);
      case PutResult::kUnknown:
        return {Kind::kUnknown, -1, put.status};
      case PutResult::kLost:
        break;
    }
    const arrow::Status caught_up = CatchUp();
    if (!caught_up.ok()) return failed(caught_up);
  }
  return failed(Error(ErrorCode::kCommitConflict,
                      "other writers were faster every time; attempts: ",
                      options_.commit_attempts_max + 1));
}

arrow::Status TableLog::SummariseKeys() {
  std::string text;
  int64_t version = -1;
  size_t keys = 0;
  {
    MutexLock lock(mutex_);
    const size_t due = std::max(kKeysBetweenSummaries, keys_.size() / 8);
    if (keys_.unsummarised() < due) return {};
    keys_.Prune(Now());
    text = keys_.SummaryText();
    version = keys_.version();
    keys = keys_.unsummarised();
  }
  const arrow::Status put = store_->PutIfAbsent(KeySummaryPath(version), text);
  if (!put.ok() && CodeOf(put) != ErrorCode::kAlreadyExists) return put;
  MutexLock lock(mutex_);
  keys_.MarkSummarised(version, keys);
  return {};
}

int64_t TableLog::KeysSafeUpTo() const {
  MutexLock lock(mutex_);
  return keys_.SafeUpTo();
}

}  // namespace arrowport::delta
