// Many units in one transaction; when one breaks it, the others again without it.
#include "base/error.h"
#include "base/fault_point.h"
#include "base/log.h"
#include "sink/duckdb/ledger.h"
#include "sink/duckdb/sink_state.h"

namespace arrowport::sink {
namespace {

using Indexes = std::vector<size_t>;

/// Units of one table and one schema: one INSERT.
struct Run {
  const Table* table = nullptr;
  std::shared_ptr<arrow::Schema> schema;
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
  Indexes units;
};

/// Why a transaction did not happen, and whose fault it may be.
struct Failure {
  arrow::Status status;
  Indexes suspects;
};

bool SameFields(const arrow::Schema& a, const arrow::Schema& b) {
  return &a == &b || a.Equals(b, /*check_metadata=*/false);
}

void AddToRuns(const WriteUnit& unit, size_t index, std::vector<Run>* runs) {
  for (const auto& batch : unit.batches) {
    Run* home = nullptr;
    for (Run& run : *runs) {
      if (run.table->name == unit.table->name &&
          SameFields(*run.schema, *batch->schema())) {
        home = &run;
        break;
      }
    }
    if (home == nullptr) {
      home = &runs->emplace_back();
      home->table = unit.table.get();
      home->schema = batch->schema();
    }
    home->batches.push_back(batch);
    if (home->units.empty() || home->units.back() != index) home->units.push_back(index);
  }
}

/// A failure that splitting the group cannot pin on one unit.
bool IsStorageFailure(const arrow::Status& status) {
  switch (CodeOf(status)) {
    case ErrorCode::kNoSpace:
    case ErrorCode::kStorageUnavailable:
    case ErrorCode::kStorageCorrupt:
    case ErrorCode::kCancelled:
      return true;
    default:
      return false;
  }
}

bool SameRequest(const LedgerEntry& a, const LedgerEntry& b) {
  if (a.table != b.table) return false;
  if (!a.key.empty()) return a.key == b.key && a.sha256 == b.sha256;
  return !a.producer.empty() && a.producer == b.producer && a.sequence == b.sequence;
}

/// Lives while its maker holds state.commit_mutex. That is checked where it is made; the
/// analysis cannot tell that state_ is the same state, so the rest is exempt.
class GroupCommit {
 public:
  GroupCommit(SinkState& state, Writer& writer, std::span<const WriteUnit> units,
              std::vector<WriteOutcome>* outcomes) REQUIRES(state.commit_mutex)
      : state_(state), writer_(writer), units_(units), outcomes_(*outcomes) {}

  void Apply(const Indexes& members);

 private:
  arrow::Status CheckTables(Indexes* members);
  Failure InsertAll(const Indexes& members);
  Failure Attempt(Indexes* members) NO_THREAD_SAFETY_ANALYSIS;
  void Refuse(const Indexes& members, const arrow::Status& status);

  SinkState& state_;
  Writer& writer_;
  const std::span<const WriteUnit> units_;
  std::vector<WriteOutcome>& outcomes_;
};

void GroupCommit::Refuse(const Indexes& members, const arrow::Status& status) {
  const arrow::Status told = state_.NoteFailure(status);
  for (size_t index : members) outcomes_[index] = {told, {}};
}

// In the transaction's snapshot; takes units out whose table is not what they planned
// for.
arrow::Status GroupCommit::CheckTables(Indexes* members) {
  Indexes kept;
  for (size_t index : *members) {
    const Table& planned = *units_[index].table;
    auto current = state_.tables.Current(writer_.connection(), planned.name);
    if (!current.ok() && CodeOf(current.status()) != ErrorCode::kTableNotFound) {
      return current.status();
    }
    if (!current.ok()) {
      outcomes_[index] = {current.status(), {}};
    } else if ((*current)->generation != planned.generation) {
      outcomes_[index] = {Error(ErrorCode::kCommitConflict,
                                "the table has changed since the request was planned: ",
                                planned.name.ToString()),
                          {}};
    } else {
      kept.push_back(index);
    }
  }
  *members = std::move(kept);
  return {};
}

Failure GroupCommit::InsertAll(const Indexes& members) {
  std::vector<Run> runs;
  for (size_t index : members) AddToRuns(units_[index], index, &runs);
  for (const Run& run : runs) {
    arrow::Status status = writer_.Insert(*run.table, run.batches);
    if (!status.ok()) return {std::move(status), run.units};
  }
  return {};
}

// One transaction. Leaves in `members` those it was for.
Failure GroupCommit::Attempt(Indexes* members) {
  arrow::Status status = writer_.Begin();
  if (!status.ok()) return {status, *members};
  status = CheckTables(members);
  if (!status.ok() || members->empty()) {
    writer_.Rollback();
    return {status, *members};
  }
  status = FaultPoint("sink.insert.before");
  Failure failure{status, *members};
  if (status.ok()) failure = InsertAll(*members);
  if (failure.status.ok()) failure = {FaultPoint("sink.insert.after"), *members};
  if (!failure.status.ok()) {
    writer_.Rollback();
    return failure;
  }
  std::vector<const LedgerEntry*> entries;
  for (size_t index : *members) {
    if (units_[index].ledger) entries.push_back(&*units_[index].ledger);
  }
  auto version = state_.CommitVersion(writer_, entries);
  if (!version.ok()) return {version.status(), *members};
  const std::string token = VersionToken(*version);
  for (size_t index : *members) outcomes_[index] = {arrow::Status(), token};
  return {};
}

void GroupCommit::Apply(const Indexes& all) {
  Indexes members = all;
  Failure failure = Attempt(&members);
  if (failure.status.ok() || members.empty()) return;
  if (IsStorageFailure(failure.status) || state_.database->invalidated()) {
    Refuse(members, failure.status);
    return;
  }
  const Indexes& suspects = failure.suspects;
  if (members.size() == 1) {
    Refuse(members, failure.status);
    return;
  }
  ++state_.group_splits;
  Indexes innocent;
  std::set_difference(members.begin(), members.end(), suspects.begin(), suspects.end(),
                      std::back_inserter(innocent));
  if (!innocent.empty()) Apply(innocent);
  const auto middle =
      suspects.begin() + static_cast<std::ptrdiff_t>((suspects.size() + 1) / 2);
  Apply({suspects.begin(), middle});
  if (middle != suspects.end()) Apply({middle, suspects.end()});
}

}  // namespace

arrow::Result<int64_t> SinkState::CommitVersion(
    Writer& target, const std::vector<const LedgerEntry*>& entries) {
  const int64_t next = version + 1;
  const int64_t now_us = std::chrono::duration_cast<std::chrono::microseconds>(
                             options.clock->WallNow().time_since_epoch())
                             .count();
  arrow::Status status =
      AppendLedger(target.connection(), database->catalog(), next, now_us, entries);
  if (status.ok()) status = FaultPoint("sink.commit.before");
  if (!status.ok()) {
    target.Rollback();
    return status;
  }
  switch (target.Commit(&status)) {
    case CommitResult::kCommitted:
      break;
    case CommitResult::kCommittedCheckpointFailed:
      ++commits_with_failed_checkpoint;
      LogWarn("a commit is durable but the checkpoint behind it failed",
              {{"version", VersionToken(next)}, {"error", status.message()}});
      (void)NoteFailure(status);
      break;
    case CommitResult::kUnknown: {
      UncertainCommit& commit = uncertain.emplace_back();
      commit.version = next;
      for (const LedgerEntry* entry : entries) commit.entries.push_back(*entry);
      return status;
    }
    case CommitResult::kRolledBack:
      target.Rollback();
      return status;
  }
  version = next;
  // What fails here cannot undo the commit.
  status = FaultPoint("sink.commit.after");
  if (!status.ok()) LogWarn("after a commit", {{"error", status.message()}});
  return next;
}

std::optional<std::string> SinkState::SettledVersion(
    const std::optional<LedgerEntry>& entry) {
  if (!entry) return std::nullopt;
  for (const LedgerEntry& known : settled) {
    if (SameRequest(known, *entry)) return known.version;
  }
  return std::nullopt;
}

std::vector<WriteOutcome> DuckDbSink::CommitGroup(std::span<const WriteUnit> units) {
  std::vector<WriteOutcome> outcomes(units.size());
  if (units.empty()) return outcomes;
  const auto refuse_all = [&](const arrow::Status& status) {
    for (WriteOutcome& outcome : outcomes) outcome.status = status;
    return outcomes;
  };
  arrow::Status status = state_->Healthy();
  if (status.ok()) status = state_->AwaitLogRoom();
  if (!status.ok()) return refuse_all(status);
  {
    MutexLock lock(state_->commit_mutex);
    auto writer = state_->GetWriter();
    if (!writer.ok()) return refuse_all(writer.status());
    Indexes members;
    for (size_t i = 0; i < units.size(); ++i) {
      if (auto settled = state_->SettledVersion(units[i].ledger)) {
        outcomes[i].version = *settled;
      } else {
        members.push_back(i);
      }
    }
    if (!members.empty()) GroupCommit(*state_, **writer, units, &outcomes).Apply(members);
  }
  state_->NoteCommit(/*bulk=*/false);
  return outcomes;
}

}  // namespace arrowport::sink
