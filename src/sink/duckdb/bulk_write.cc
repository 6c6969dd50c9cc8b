#include "sink/duckdb/bulk_write.h"

#include "base/error.h"
#include "base/fault_point.h"
#include "sink/duckdb/ledger.h"

namespace arrowport::sink {

DuckDbBulkWrite::DuckDbBulkWrite(std::shared_ptr<SinkState> state,
                                 std::shared_ptr<const Table> table)
    : state_(std::move(state)),
      table_(std::move(table)),
      latch_key_(LatchKey(table_->name)) {}

DuckDbBulkWrite::~DuckDbBulkWrite() {
  Abandon();
  if (latched_) state_->LeaveBulk(latch_key_, this);
}

void DuckDbBulkWrite::Abandon() {
  MutexLock lock(mutex_);
  writer_.reset();
}

arrow::Result<std::unique_ptr<BulkWrite>> DuckDbBulkWrite::Begin(
    std::shared_ptr<SinkState> state, std::shared_ptr<const Table> table,
    TableChange change) {
  ARROW_RETURN_NOT_OK(state->Healthy());
  std::unique_ptr<DuckDbBulkWrite> bulk(
      new DuckDbBulkWrite(std::move(state), std::move(table)));
  ARROW_RETURN_NOT_OK(bulk->Start(change));
  return std::unique_ptr<BulkWrite>(std::move(bulk));
}

arrow::Status DuckDbBulkWrite::Start(TableChange change) {
  ARROW_RETURN_NOT_OK(state_->EnterBulk(latch_key_, this));
  latched_ = true;
  MutexLock lock(mutex_);
  ARROW_ASSIGN_OR_RAISE(writer_, Writer::Make(*state_->database));
  arrow::Status begun = writer_->Begin();
  if (!begun.ok()) return Fail(begun);
  auto current = state_->tables.Current(writer_->connection(), table_->name);
  if (!current.ok()) return Fail(current.status());
  if ((*current)->generation != table_->generation) {
    return Fail(Error(ErrorCode::kCommitConflict,
                      "the table has changed: ", table_->name.ToString()));
  }
  if (change == TableChange::kAppend) return {};
  arrow::Status deleted =
      writer_->connection().Run("DELETE FROM " + table_->name.Quoted());
  return deleted.ok() ? deleted : Fail(deleted);
}

arrow::Status DuckDbBulkWrite::Fail(const arrow::Status& status) {
  writer_.reset();
  return state_->NoteFailure(status);
}

arrow::Status DuckDbBulkWrite::Append(
    std::vector<std::shared_ptr<arrow::RecordBatch>> batches) {
  MutexLock lock(mutex_);
  if (!writer_) {
    return MakeError(ErrorCode::kStorageUnavailable,
                     "the bulk load was rolled back: send it again", 1);
  }
  arrow::Status status = FaultPoint("sink.insert.before");
  // Neighbours of one schema go in one INSERT.
  size_t start = 0;
  for (size_t i = 1; status.ok() && i <= batches.size(); ++i) {
    if (i < batches.size() && (batches[i]->schema() == batches[start]->schema() ||
                               batches[i]->schema()->Equals(*batches[start]->schema()))) {
      continue;
    }
    status = writer_->InsertPart(*table_,
                                 {batches.begin() + static_cast<std::ptrdiff_t>(start),
                                  batches.begin() + static_cast<std::ptrdiff_t>(i)});
    start = i;
  }
  if (status.ok()) status = FaultPoint("sink.insert.after");
  return status.ok() ? status : Fail(status);
}

// Before the commit lock, too: others commit while the last row groups are written.
arrow::Status DuckDbBulkWrite::Settle() {
  MutexLock lock(mutex_);
  if (!writer_) return {};
  arrow::Status settled = writer_->Settle();
  return settled.ok() ? settled : Fail(settled);
}

WriteOutcome DuckDbBulkWrite::Commit(std::optional<LedgerEntry> ledger) {
  arrow::Status settled = Settle();
  if (!settled.ok()) return {settled, {}};
  // Before the commit lock: waiting for room in the log must not hold up a checkpoint.
  arrow::Status room = state_->AwaitLogRoom();
  if (!room.ok()) {
    Abandon();
    return {room, {}};
  }
  MutexLock commit_lock(state_->commit_mutex);
  MutexLock lock(mutex_);
  if (!writer_) {
    return {MakeError(ErrorCode::kStorageUnavailable,
                      "the bulk load was rolled back: send it again", 1),
            {}};
  }
  if (auto settled = state_->SettledVersion(ledger)) {
    writer_.reset();
    return {arrow::Status(), *settled};
  }
  std::vector<const LedgerEntry*> entries;
  if (ledger) entries.push_back(&*ledger);
  auto version = state_->CommitVersion(*writer_, entries);
  writer_.reset();
  if (!version.ok()) return {state_->NoteFailure(version.status()), {}};
  state_->NoteCommit(/*bulk=*/true);
  return {arrow::Status(), VersionToken(*version)};
}

}  // namespace arrowport::sink
