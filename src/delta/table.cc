#include "delta/table.h"

#include <atomic>
#include <utility>

#include "base/error.h"
#include "base/fault_point.h"
#include "delta/checkpoint_write.h"
#include "delta/conflict.h"
#include "delta/evolve_protocol.h"
#include "delta/log_cleanup.h"
#include "delta/table_append.h"
#include "delta/table_log.h"
#include "delta/table_write.h"

namespace arrowport::delta {
namespace {

/// An append or overwrite whose rows come piece by piece.
class StreamedWrite : public TableWrite {
 public:
  StreamedWrite(TableLog* log, std::shared_ptr<const void> keeper, WritePlan plan,
                std::unique_ptr<DataFileSet> files, StagedCommit::Spec spec)
      : log_(log),
        keeper_(std::move(keeper)),
        plan_(std::move(plan)),
        files_(std::move(files)),
        spec_(std::move(spec)) {}

  arrow::Status Append(const std::shared_ptr<arrow::RecordBatch>& batch) override {
    if (!files_) return Error(ErrorCode::kInternal, "the write has ended");
    arrow::Status status = files_->Append(batch);
    if (!status.ok()) files_.reset();
    return status;
  }

  WriteOutcome Commit(std::optional<ProducerSequence> producer,
                      std::optional<KeyEntry> key) override {
    WriteOutcome outcome;
    AppendMember bookkeeping{{}, nullptr, std::move(producer), std::move(key)};
    outcome.status = CheckBookkeeping(bookkeeping);
    if (!outcome.status.ok()) return outcome;
    if (FindReplay(*log_, bookkeeping, &outcome)) return outcome;
    outcome.status = CommitFiles(bookkeeping, &outcome);
    return outcome;
  }

 private:
  arrow::Status CheckPartitions(const StagedFiles& staged) const {
    for (const AddFile& add : staged.adds()) {
      if (!Matches(spec_.replace_where, add.partition_values)) {
        return Error(ErrorCode::kSchemaMismatch,
                     "a row is not in the partitions that are replaced: ", add.path);
      }
    }
    return {};
  }

  arrow::Status CommitFiles(const AppendMember& bookkeeping, WriteOutcome* outcome) {
    if (!files_) return Error(ErrorCode::kInternal, "the write has failed or ended");
    ARROW_ASSIGN_OR_RAISE(StagedFiles staged, files_->Finish());
    files_.reset();
    ARROW_RETURN_NOT_OK(CheckPartitions(staged));
    ARROW_RETURN_NOT_OK(FaultPoint("delta.commit.after_files"));
    if (bookkeeping.producer) spec_.producers = {*bookkeeping.producer};
    if (bookkeeping.key) spec_.keys = {*bookkeeping.key};
    StagedCommit commit(std::move(plan_), std::move(staged), std::move(spec_));
    const CommitResult result = log_->Commit(&commit);
    switch (result.kind) {
      case CommitResult::Kind::kCommitted:
        commit.files().Keep();
        outcome->version = result.version;
        return {};
      case CommitResult::Kind::kUnknown:
        commit.files().Keep();
        return result.status;
      case CommitResult::Kind::kFailed:
        return result.status;
      case CommitResult::Kind::kReplan:
        break;
    }
    if (FindReplay(*log_, bookkeeping, outcome)) return outcome->status;
    return Error(ErrorCode::kCommitConflict, "another writer changed the table");
  }

  TableLog* const log_;
  const std::shared_ptr<const void> keeper_;  ///< keeps the table, and so the log, alive
  WritePlan plan_;
  std::unique_ptr<DataFileSet> files_;
  StagedCommit::Spec spec_;
};

/// A change of files that was planned on an older version.
class ChangeCommit : public CommitIntent {
 public:
  explicit ChangeCommit(const FileChange& change)
      : change_(change), checked_version_(change.planned_on->version()) {}

  arrow::Result<std::optional<CommitDraft>> Prepare(
      const TableLog& log, const std::shared_ptr<const Snapshot>& base) override {
    if (base == nullptr || base->version() < checked_version_) {
      return Error(ErrorCode::kCommitConflict, "the table was made anew since the plan");
    }
    ARROW_RETURN_NOT_OK(CheckWritable(base->state()));
    while (checked_version_ < base->version()) {
      ARROW_ASSIGN_OR_RAISE(auto winner, log.reader().ReadCommit(checked_version_ + 1));
      ARROW_RETURN_NOT_OK(CheckChange(change_, ++checked_version_, winner));
    }
    ARROW_RETURN_NOT_OK(CheckRemoves(*base));
    CommitDraft draft;
    draft.header.operation = change_.operation;
    draft.header.parameters = change_.parameters;
    draft.header.metrics = change_.metrics;
    const auto put = [&](const auto& list) {
      draft.actions.insert(draft.actions.end(), list.begin(), list.end());
    };
    if (change_.protocol) draft.actions.push_back(*change_.protocol);
    if (change_.metadata) draft.actions.push_back(*change_.metadata);
    put(change_.domains);
    put(change_.removes);
    put(change_.adds);
    put(change_.cdc_files);
    return draft;
  }

 private:
  arrow::Status CheckRemoves(const Snapshot& base) const {
    for (const RemoveFile& remove : change_.removes) {
      if (remove.data_change && base.state().properties.append_only) {
        return Error(ErrorCode::kConstraintViolation,
                     "the table is append-only (delta.appendOnly): no rows can be removed");
      }
      ARROW_ASSIGN_OR_RAISE(auto identity,
                            IdentityOf(remove.path, remove.deletion_vector));
      if (!base.Contains(identity.path, identity.dv_id)) {
        return Error(ErrorCode::kCommitConflict,
                     "a file to be removed is no longer in the table: ", remove.path);
      }
    }
    return {};
  }

  const FileChange& change_;
  int64_t checked_version_;
};

class LoggedTable : public DeltaTable, public std::enable_shared_from_this<LoggedTable> {
 public:
  LoggedTable(std::shared_ptr<store::Store> store, TableEnvironment environment,
              TableOptions options, std::unique_ptr<TableLog> log)
      : store_(std::move(store)),
        environment_(std::move(environment)),
        options_(std::move(options)),
        log_(std::move(log)) {}

  std::shared_ptr<const Snapshot> snapshot() const override { return log_->snapshot(); }
  arrow::Result<std::shared_ptr<const Snapshot>> Refresh() override {
    return log_->Refresh();
  }

  std::vector<WriteOutcome> Append(std::span<const AppendMember> members,
                                   const WriteOptions& options) override {
    GroupAppend group(log_.get(), store_, environment_.encoders, members, options);
    return group.Run(options_.commit_attempts_max);
  }

  arrow::Result<std::unique_ptr<TableWrite>> BeginAppend(
      std::shared_ptr<arrow::Schema> schema, const WriteOptions& options) override {
    if (options.schema_mode == SchemaMode::kOverwrite) {
      return Error(ErrorCode::kInvalidArgument,
                   "an append cannot replace the schema; use an overwrite");
    }
    StagedCommit::Spec spec;
    spec.kind = StagedCommit::Kind::kAppend;
    return Begin(std::move(schema), options, std::move(spec));
  }

  arrow::Result<std::unique_ptr<TableWrite>> BeginOverwrite(
      std::shared_ptr<arrow::Schema> schema, PartitionFilter replace_where,
      const WriteOptions& options) override {
    const auto base = snapshot();
    if (!replace_where.columns.empty()) {
      ARROW_RETURN_NOT_OK(CheckFilter(base.get(), replace_where, options));
    }
    if (base != nullptr && base->state().properties.append_only) {
      return Error(ErrorCode::kConstraintViolation,
                   "the table is append-only (delta.appendOnly): nothing can be replaced");
    }
    StagedCommit::Spec spec;
    spec.kind = StagedCommit::Kind::kOverwrite;
    spec.replace_where = std::move(replace_where);
    return Begin(std::move(schema), options, std::move(spec));
  }

  arrow::Result<int64_t> Commit(const FileChange& change) override {
    if (change.planned_on == nullptr) {
      return Error(ErrorCode::kInvalidArgument, "a change needs the state it is planned on");
    }
    ChangeCommit commit(change);
    CommitResult result = log_->Commit(&commit);
    if (result.kind != CommitResult::Kind::kCommitted) return result.status;
    return result.version;
  }

  std::optional<CommittedKey> FindKey(std::string_view key) const override {
    return log_->FindKey(key);
  }
  std::optional<int64_t> LastSequence(std::string_view app_id) const override {
    return log_->LastSequence(app_id);
  }

  bool CheckpointDue() const override {
    const auto current = snapshot();
    if (current == nullptr) return false;
    const int64_t interval =
        NumberProperty(current->state().metadata.configuration,
                       "delta.checkpointInterval", options_.log.checkpoint_interval);
    const int64_t now_ms = log_->NowMs();
    return current->version() / interval > checkpoint_version_.load() / interval &&
           now_ms >= checkpoint_time_ms_.load() + options_.log.checkpoint_spacing_ms;
  }

  arrow::Status WriteCheckpoint() override {
    MutexLock lock(upkeep_mutex_);
    const auto current = snapshot();
    if (current == nullptr) return {};
    ARROW_RETURN_NOT_OK(CheckWritable(current->state()));
    ARROW_RETURN_NOT_OK(WriteCheckpointOf(store_.get(), *current));
    checkpoint_version_ = current->version();
    checkpoint_time_ms_ = log_->NowMs();
    return log_->SummariseKeys();
  }

  arrow::Result<CleanUpReport> CleanUpLog() override {
    MutexLock lock(upkeep_mutex_);
    CleanUpReport report;
    const auto current = snapshot();
    if (current == nullptr) return report;
    ARROW_RETURN_NOT_OK(CheckWritable(current->state()));
    LogCleanup cleanup;
    cleanup.now_ms = log_->NowMs();
    cleanup.keep_after_version = log_->KeysSafeUpTo();
    ARROW_ASSIGN_OR_RAISE(report.log_files_removed,
                          CleanUpLogOf(store_.get(), *current, cleanup));
    ARROW_ASSIGN_OR_RAISE(report.key_files_removed, RemoveOldSummaries(store_.get()));
    return report;
  }

 private:
  arrow::Result<std::unique_ptr<TableWrite>> Begin(std::shared_ptr<arrow::Schema> schema,
                                                   const WriteOptions& options,
                                                   StagedCommit::Spec spec) {
    ARROW_ASSIGN_OR_RAISE(WritePlan plan, PlanWrite(snapshot(), *schema, options));
    ARROW_ASSIGN_OR_RAISE(
        auto files, MakeFileSet(plan, store_, environment_.encoders, options.files));
    spec.when_stale = StagedCommit::WhenStale::kAdapt;
    spec.options = options;
    spec.schema = std::move(schema);
    return std::make_unique<StreamedWrite>(log_.get(), shared_from_this(), std::move(plan),
                                           std::move(files), std::move(spec));
  }

  static arrow::Status CheckFilter(const Snapshot* base, const PartitionFilter& filter,
                                   const WriteOptions& options) {
    if (base == nullptr) {
      return Error(ErrorCode::kTableNotFound, "there is no table in this folder");
    }
    if (options.schema_mode == SchemaMode::kOverwrite) {
      return Error(ErrorCode::kInvalidArgument,
                   "the schema can only be replaced with the whole table");
    }
    for (const auto& [column, values] : filter.columns) {
      if (!base->state().IsPartitionColumn(column)) {
        return Error(ErrorCode::kInvalidArgument,
                     "not a partition column of the table: ", column);
      }
    }
    return {};
  }

  const std::shared_ptr<store::Store> store_;
  const TableEnvironment environment_;
  const TableOptions options_;
  const std::unique_ptr<TableLog> log_;

  Mutex upkeep_mutex_;  ///< one checkpoint or clean-up at a time
  std::atomic<int64_t> checkpoint_version_{0};
  std::atomic<int64_t> checkpoint_time_ms_{0};
};

}  // namespace

arrow::Result<std::shared_ptr<DeltaTable>> DeltaTable::Open(
    std::shared_ptr<store::Store> store, TableEnvironment environment,
    TableOptions options) {
  ARROW_ASSIGN_OR_RAISE(auto log, TableLog::Open(store, *environment.clock, options));
  return std::make_shared<LoggedTable>(std::move(store), std::move(environment),
                                       std::move(options), std::move(log));
}

}  // namespace arrowport::delta
