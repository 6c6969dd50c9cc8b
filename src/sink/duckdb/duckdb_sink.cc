#include "sink/duckdb/duckdb_sink.h"

#include <duckdb.hpp>
#include <set>

#include "base/error.h"
#include "schema/duckdb_types.h"
#include "sink/duckdb/bulk_write.h"
#include "sink/duckdb/ledger.h"
#include "sink/duckdb/sink_state.h"
#include "sink/free_space.h"

namespace arrowport::sink {
namespace {

using std::chrono::milliseconds;

constexpr int kChangeAttempts = 3;

std::string LowerAscii(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  }
  return text;
}

arrow::Result<std::string> ColumnDefinition(const arrow::Field& field) {
  arrow::Status name = schema::CheckColumnName(field.name());
  if (!name.ok()) return WithContext("column " + field.name(), name);
  ARROW_ASSIGN_OR_RAISE(schema::DuckDbType type, schema::DuckDbTypeOf(field));
  return schema::QuoteIdentifier(field.name()) + " " + type.sql;
}

arrow::Result<std::string> CreateStatement(const schema::TableName& name,
                                           const arrow::Schema& fields) {
  if (fields.num_fields() == 0) {
    return Error(ErrorCode::kUnsupportedType,
                 "a table needs at least one column: ", name.ToString());
  }
  std::string sql;
  if (name.schema != "main") {
    sql = "CREATE SCHEMA IF NOT EXISTS " + schema::QuoteIdentifier(name.schema) + ";";
  }
  sql += "CREATE TABLE IF NOT EXISTS " + name.Quoted() + " (";
  std::set<std::string> seen;
  for (int i = 0; i < fields.num_fields(); ++i) {
    const arrow::Field& field = *fields.field(i);
    ARROW_ASSIGN_OR_RAISE(std::string definition, ColumnDefinition(field));
    if (!seen.insert(LowerAscii(field.name())).second) {
      return Error(
          ErrorCode::kInvalidName,
          "two columns have one name (letter case does not count): ", field.name());
    }
    if (i > 0) sql += ", ";
    sql += definition;
  }
  return sql + ")";
}

/// Keeps bulk loads out of a table while it changes.
class ChangeGuard {
 public:
  static arrow::Result<std::unique_ptr<ChangeGuard>> Enter(SinkState& state,
                                                           const schema::TableName& name);
  ~ChangeGuard() { state_.LeaveChange(key_); }

 private:
  ChangeGuard(SinkState& state, std::string key) : state_(state), key_(std::move(key)) {}
  SinkState& state_;
  const std::string key_;
};

arrow::Result<std::unique_ptr<ChangeGuard>> ChangeGuard::Enter(
    SinkState& state, const schema::TableName& name) {
  const std::string key = LatchKey(name);
  ARROW_RETURN_NOT_OK(state.EnterChange(key));
  return std::unique_ptr<ChangeGuard>(new ChangeGuard(state, key));
}

/// Runs a change in a transaction of its own, again when another writer won a race.
arrow::Status RunChange(SinkState& state, const std::string& sql) {
  arrow::Status status;
  for (int attempt = 0; attempt < kChangeAttempts; ++attempt) {
    MutexLock lock(state.commit_mutex);
    ARROW_ASSIGN_OR_RAISE(Writer * writer, state.GetWriter());
    status = writer->Begin();
    if (status.ok()) status = writer->connection().Run(sql);
    if (!status.ok()) {
      writer->Rollback();
      if (CodeOf(status) == ErrorCode::kCommitConflict) continue;
      return state.NoteFailure(status);
    }
    switch (writer->Commit(&status)) {
      case CommitResult::kCommitted:
        return {};
      case CommitResult::kCommittedCheckpointFailed:
        ++state.commits_with_failed_checkpoint;
        (void)state.NoteFailure(status);
        return {};
      case CommitResult::kUnknown:
        return state.NoteFailure(status);
      case CommitResult::kRolledBack:
        break;
    }
    if (CodeOf(status) != ErrorCode::kCommitConflict) break;
  }
  return state.NoteFailure(status);
}

}  // namespace

std::string LatchKey(const schema::TableName& name) {
  return LowerAscii(name.schema) + "." + LowerAscii(name.table);
}

arrow::Status SinkState::EnterChange(const std::string& table) {
  const auto deadline =
      std::chrono::steady_clock::now() + milliseconds(options.ddl_wait_ms);
  MutexLock lock(latch_mutex);
  for (;;) {
    Latch& latch = latches[table];
    if (!latch.changing && latch.bulk_writes == 0) {
      latch.changing = true;
      return {};
    }
    if (lock.WaitUntil(latch_changed, deadline) == std::cv_status::timeout) {
      return MakeError(ErrorCode::kCommitConflict,
                       "a bulk load into the table is running, the table cannot be "
                       "changed before it ends: " +
                           table,
                       5);
    }
  }
}

void SinkState::LeaveChange(const std::string& table) {
  {
    MutexLock lock(latch_mutex);
    latches.erase(table);
  }
  latch_changed.notify_all();
}

arrow::Status SinkState::EnterBulk(const std::string& table, DuckDbBulkWrite* bulk) {
  MutexLock lock(latch_mutex);
  while (latches[table].changing) lock.Wait(latch_changed);
  ++latches[table].bulk_writes;
  bulk_writes.push_back(bulk);
  return {};
}

void SinkState::LeaveBulk(const std::string& table, DuckDbBulkWrite* bulk) {
  {
    MutexLock lock(latch_mutex);
    std::erase(bulk_writes, bulk);
    auto latch = latches.find(table);
    if (--latch->second.bulk_writes == 0) latches.erase(latch);
  }
  latch_changed.notify_all();
}

arrow::Result<std::shared_ptr<const Table>> SinkState::Lookup(
    const schema::TableName& name) {
  MutexLock lock(lookup_mutex);
  const uint64_t epoch = database->epoch();
  if (!lookup || lookup_epoch != epoch) {
    lookup.reset();
    ARROW_ASSIGN_OR_RAISE(lookup, database->Connect());
    lookup_epoch = epoch;
  }
  auto table = tables.Current(*lookup, name);
  if (!table.ok() && CodeOf(table.status()) != ErrorCode::kTableNotFound) lookup.reset();
  return table;
}

arrow::Result<Writer*> SinkState::GetWriter() {
  ARROW_RETURN_NOT_OK(Healthy());
  if (!writer) {
    ARROW_ASSIGN_OR_RAISE(writer, Writer::Make(*database));
  }
  return writer.get();
}

DuckDbSink::DuckDbSink(std::shared_ptr<SinkState> state) : state_(std::move(state)) {}

DuckDbSink::~DuckDbSink() {
  state_->StopKeeper();
  MutexLock lock(state_->commit_mutex);
  state_->writer.reset();
}

arrow::Result<std::unique_ptr<DuckDbSink>> DuckDbSink::Make(
    std::shared_ptr<engine::Database> database, DuckDbSinkOptions options) {
  auto state = std::make_shared<SinkState>(std::move(database), options);
  ARROW_ASSIGN_OR_RAISE(auto writer, Writer::Make(*state->database));
  ARROW_RETURN_NOT_OK(EnsureLedger(writer->connection()));
  ARROW_ASSIGN_OR_RAISE(const int64_t version, ReadLedgerVersion(writer->connection()));
  state->version = version;
  {
    MutexLock lock(state->commit_mutex);
    state->writer = std::move(writer);
  }
  state->keeper = std::thread([raw = state.get()] { raw->KeeperLoop(); });
  return std::unique_ptr<DuckDbSink>(new DuckDbSink(std::move(state)));
}

std::string_view DuckDbSink::backend() const { return "duckdb"; }

std::string_view DuckDbSink::durability() const {
  return state_->database->in_memory() ? "memory" : "file";
}

arrow::Status DuckDbSink::CheckRoom() const {
  if (state_->database->in_memory()) return {};
  return CheckFreeSpace(state_->database->path(), state_->options.free_space_min);
}

int64_t DuckDbSink::version() const { return state_->version.load(); }

DuckDbSinkCounters DuckDbSink::counters() const {
  DuckDbSinkCounters counters;
  counters.checkpoints = state_->checkpoints;
  counters.checkpoint_failures = state_->checkpoint_failures;
  counters.commits_with_failed_checkpoint = state_->commits_with_failed_checkpoint;
  counters.group_splits = state_->group_splits;
  counters.reopenings = state_->reopenings;
  return counters;
}

arrow::Result<std::shared_ptr<const Table>> DuckDbSink::Open(
    const schema::TableName& name) {
  ARROW_RETURN_NOT_OK(state_->Healthy());
  auto table = state_->Lookup(name);
  if (!table.ok()) return state_->NoteFailure(table.status());
  return table;
}

arrow::Result<std::shared_ptr<arrow::DataType>> DuckDbSink::StoredType(
    const arrow::Field& field) const {
  ARROW_ASSIGN_OR_RAISE(schema::DuckDbType type, schema::DuckDbTypeOf(field));
  return std::move(type.stored);
}

arrow::Result<std::shared_ptr<const Table>> DuckDbSink::Create(
    const schema::TableName& name, const arrow::Schema& fields) {
  ARROW_ASSIGN_OR_RAISE(const std::string sql, CreateStatement(name, fields));
  ARROW_ASSIGN_OR_RAISE(auto guard, ChangeGuard::Enter(*state_, name));
  auto there = Open(name);
  if (there.ok() || CodeOf(there.status()) != ErrorCode::kTableNotFound) return there;
  ARROW_RETURN_NOT_OK(RunChange(*state_, sql));
  return Open(name);
}

arrow::Result<std::shared_ptr<const Table>> DuckDbSink::AddColumns(
    const schema::TableName& name, const arrow::FieldVector& fields) {
  std::string sql;
  for (const auto& field : fields) {
    ARROW_ASSIGN_OR_RAISE(std::string definition, ColumnDefinition(*field));
    sql +=
        "ALTER TABLE " + name.Quoted() + " ADD COLUMN IF NOT EXISTS " + definition + ";";
  }
  ARROW_ASSIGN_OR_RAISE(auto guard, ChangeGuard::Enter(*state_, name));
  ARROW_ASSIGN_OR_RAISE(auto table, Open(name));
  if (sql.empty()) return table;
  ARROW_RETURN_NOT_OK(RunChange(*state_, sql));
  return Open(name);
}

arrow::Result<std::unique_ptr<BulkWrite>> DuckDbSink::BeginBulk(
    std::shared_ptr<const Table> table, TableChange change, const WriteOptions&) {
  return DuckDbBulkWrite::Begin(state_, std::move(table), change);
}

arrow::Result<std::vector<LedgerEntry>> DuckDbSink::LoadLedger(int64_t since_us) {
  ARROW_RETURN_NOT_OK(state_->Healthy());
  ARROW_ASSIGN_OR_RAISE(auto connection, state_->database->Connect());
  return ReadLedger(*connection, since_us);
}

arrow::Status DuckDbSink::PruneLedger(int64_t before_us) {
  MutexLock lock(state_->commit_mutex);
  ARROW_ASSIGN_OR_RAISE(Writer * writer, state_->GetWriter());
  return state_->NoteFailure(PruneLedgerRows(writer->connection(), before_us));
}

// DuckDB refuses a checkpoint while another transaction has written: groups are held
// back, what else is under way (a large upload) is waited for.
arrow::Status DuckDbSink::Checkpoint() {
  SinkState& state = *state_;
  ARROW_RETURN_NOT_OK(state.Healthy());
  const auto start = std::chrono::steady_clock::now();
  const auto deadline =
      start + std::chrono::milliseconds(state.options.checkpoint_wait_ms);
  auto pause = std::chrono::milliseconds(5);
  for (;;) {
    arrow::Status status;
    {
      MutexLock commits(state.commit_mutex);
      status = state.RunCheckpoint();
    }
    if (status.ok() || CodeOf(status) != ErrorCode::kCommitConflict) return status;
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) {
      return MakeError(ErrorCode::kOverloaded,
                       "a checkpoint has to wait for a long write: " + status.message(),
                       5);
    }
    MutexLock lock(state.keeper_mutex);
    if (state.stop) return status;
    lock.WaitUntil(state.keeper_done, std::min(deadline, now + pause));
    pause = std::min(pause * 2, std::chrono::milliseconds(200));
  }
}

bool DuckDbSink::LockCommitsFor(std::chrono::milliseconds wait)
    NO_THREAD_SAFETY_ANALYSIS {
  return state_->commit_mutex.LockFor(wait);
}

void DuckDbSink::UnlockCommits() NO_THREAD_SAFETY_ANALYSIS {
  state_->commit_mutex.Unlock();
}

}  // namespace arrowport::sink
