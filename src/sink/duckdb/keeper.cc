// The sink's background work: checkpoints, and reopening the storage after it failed.
#include <duckdb.hpp>

#include "base/error.h"
#include "base/fault_point.h"
#include "base/log.h"
#include "engine/error.h"
#include "sink/duckdb/bulk_write.h"
#include "sink/duckdb/ledger.h"
#include "sink/duckdb/sink_state.h"

namespace arrowport::sink {
namespace {

using std::chrono::milliseconds;

constexpr auto kRetryMin = milliseconds(50);
constexpr auto kRetryMax = milliseconds(5000);

}  // namespace

arrow::Status SinkState::Healthy() {
  MutexLock lock(keeper_mutex);
  return failure;
}

arrow::Status SinkState::NoteFailure(const arrow::Status& status) {
  if (status.ok()) return status;
  if (!database->invalidated()) {
    if (CodeOf(status) == ErrorCode::kNoSpace) WantCheckpoint();
    return status;
  }
  const bool no_space = CodeOf(status) == ErrorCode::kNoSpace;
  arrow::Status told = MakeError(
      no_space ? ErrorCode::kNoSpace : ErrorCode::kStorageUnavailable,
      "the storage failed and is being reopened, try again: " + status.message(), 1);
  {
    MutexLock lock(keeper_mutex);
    if (failure.ok()) {
      LogError("the storage failed and will be reopened", {{"error", status.message()}});
      failure = told;
    }
  }
  keeper_wake.notify_all();
  return told;
}

// What was rolled back for want of space stays in the file until a checkpoint cuts it off.
void SinkState::WantCheckpoint() {
  {
    MutexLock lock(keeper_mutex);
    checkpoint_wanted = true;
  }
  keeper_wake.notify_all();
}

void SinkState::NoteCommit(bool bulk) {
  const bool log_is_long = database->wal_bytes() > options.checkpoint_wal_bytes;
  bool wake = false;
  {
    MutexLock lock(keeper_mutex);
    last_commit = options.clock->SteadyNow();
    wake = (log_is_long && !checkpoint_wanted) || (bulk && !bulk_since_checkpoint);
    checkpoint_wanted = checkpoint_wanted || log_is_long;
    bulk_since_checkpoint = bulk_since_checkpoint || bulk;
  }
  if (wake) keeper_wake.notify_all();
}

arrow::Status SinkState::AwaitLogRoom() {
  if (database->wal_bytes() <= options.wal_bytes_max) return {};
  const auto deadline =
      std::chrono::steady_clock::now() + milliseconds(options.wal_wait_ms);
  MutexLock lock(keeper_mutex);
  while (database->wal_bytes() > options.wal_bytes_max) {
    if (stop || !failure.ok()) return failure;
    checkpoint_wanted = true;
    keeper_wake.notify_all();
    if (lock.WaitUntil(keeper_done, deadline) == std::cv_status::timeout) {
      return MakeError(ErrorCode::kOverloaded,
                       "the write-ahead log is at its limit and a checkpoint cannot run "
                       "yet: try again later",
                       5);
    }
  }
  return {};
}

arrow::Status SinkState::RunCheckpoint() {
  ARROW_RETURN_NOT_OK(FaultPoint("sink.checkpoint.before"));
  ARROW_ASSIGN_OR_RAISE(auto connection, database->Connect());
  const auto began = std::chrono::steady_clock::now();
  arrow::Status status =
      connection->Run("CHECKPOINT " + schema::QuoteIdentifier(database->catalog()));
  connection.reset();
  if (!status.ok()) {
    ++checkpoint_failures;
    return NoteFailure(status);
  }
  ++checkpoints;
  if (options.on_checkpoint) {
    options.on_checkpoint(std::chrono::steady_clock::now() - began);
  }
  return FaultPoint("sink.checkpoint.after");
}

// Nobody may hold on to the failed storage, or its file stays open.
arrow::Status SinkState::ReopenStorage() {
  {
    MutexLock lock(latch_mutex);
    for (DuckDbBulkWrite* bulk : bulk_writes) bulk->Abandon();
  }
  MutexLock commit_lock(commit_mutex);
  writer.reset();
  ARROW_RETURN_NOT_OK(database->Reattach());
  ARROW_ASSIGN_OR_RAISE(auto fresh, Writer::Make(*database));
  ARROW_ASSIGN_OR_RAISE(const int64_t durable, ReadLedgerVersion(fresh->connection()));
  for (UncertainCommit& commit : uncertain) {
    if (commit.version > durable) continue;
    LogWarn("a commit with unknown outcome turned out durable",
            {{"version", VersionToken(commit.version)}});
    for (LedgerEntry& entry : commit.entries) {
      entry.version = VersionToken(commit.version);
      settled.push_back(std::move(entry));
    }
  }
  uncertain.clear();
  version = durable;
  tables.ForgetVersions();
  writer = std::move(fresh);
  ++reopenings;
  return {};
}

void SinkState::KeeperLoop() {
  auto retry = kRetryMin;
  // A checkpoint that has failed the storage, for want of space say, fails it again: reads
  // and refusals in good order come first.
  auto checkpoint_retry = kRetryMin;
  std::chrono::steady_clock::time_point checkpoint_from;
  const auto wait = [&](MutexLock& lock) {
    lock.WaitUntil(keeper_wake, std::chrono::steady_clock::now() + retry);
    retry = std::min<milliseconds>(retry * 2, kRetryMax);
  };
  MutexLock lock(keeper_mutex);
  while (!stop) {
    if (!failure.ok()) {
      lock.Unlock();
      arrow::Status reopened = ReopenStorage();
      lock.Lock();
      if (reopened.ok()) {
        failure = {};
        checkpoint_wanted = true;
        retry = kRetryMin;
      } else if (!stop) {
        wait(lock);
      }
      keeper_done.notify_all();
      continue;
    }
    const bool idle_due =
        bulk_since_checkpoint && options.clock->SteadyNow() - last_commit >=
                                     milliseconds(options.idle_checkpoint_ms);
    const bool checkpoint_due = checkpoint_wanted || idle_due;
    if (checkpoint_due && std::chrono::steady_clock::now() >= checkpoint_from) {
      lock.Unlock();
      arrow::Status done = RunCheckpoint();
      const bool still_long = database->wal_bytes() > options.checkpoint_wal_bytes;
      lock.Lock();
      if (done.ok()) {
        bulk_since_checkpoint = false;
        checkpoint_wanted = checkpoint_wanted && still_long;
        retry = checkpoint_retry = kRetryMin;
      } else {
        LogDebug("a background checkpoint has to wait", {{"why", done.message()}});
        if (!failure.ok()) {
          checkpoint_from = std::chrono::steady_clock::now() + checkpoint_retry;
          checkpoint_retry = std::min<milliseconds>(checkpoint_retry * 2, kRetryMax);
        }
      }
      keeper_done.notify_all();
      // Another writer is in the way, or commits filled the log meanwhile.
      if (!stop && failure.ok() && (!done.ok() || checkpoint_wanted)) wait(lock);
      continue;
    }
    if (checkpoint_due) {
      lock.WaitUntil(keeper_wake, checkpoint_from);
    } else if (bulk_since_checkpoint) {
      lock.WaitUntil(keeper_wake, std::chrono::steady_clock::now() +
                                      milliseconds(options.idle_checkpoint_ms / 4 + 1));
    } else {
      lock.Wait(keeper_wake);
    }
  }
}

void SinkState::StopKeeper() {
  {
    MutexLock lock(keeper_mutex);
    stop = true;
  }
  keeper_wake.notify_all();
  keeper_done.notify_all();
  if (keeper.joinable()) keeper.join();
}

}  // namespace arrowport::sink
