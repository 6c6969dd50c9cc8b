#include "ingest/batch_upload.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/fault_point.h"

namespace arrowport::ingest {
namespace {

constexpr int64_t kUnitRowsMax = kRowGroupRows;
// Where versions are spaced, a unit holds what comes in that time.
constexpr int64_t kSpacedUnitRowsMax = 8 * kRowGroupRows;
constexpr size_t kQueueMessagesMax = 4096;

arrow::Status AtOffset(int64_t offset, const arrow::Status& status) {
  return WithContext("message at offset " + std::to_string(offset), status);
}

}  // namespace

// ---- The caller's side

arrow::Status BatchUpload::Start(const std::shared_ptr<arrow::Schema>& schema) {
  ARROW_RETURN_NOT_OK(TakeSchema(schema));
  total_ = NewReceipt();
  if (arrow::Status recalled = Recall(); !recalled.ok()) {
    service().Refused(context_.request, recalled);
    return recalled;
  }
  auto look = target_.LookFor(schema);
  if (!look.ok()) {
    if (CodeOf(look.status()) == ErrorCode::kSchemaMismatch) {
      service().Mismatched(context_.request, *schema, look.status());
      if (skips()) {
        MutexLock lock(mutex_);
        misfit_ = look.status().message();
        return {};
      }
    }
    service().Refused(context_.request, look.status());
    return look.status();
  }
  table_ = std::move(look->table);
  cast_ = std::move(look->cast);
  refit_ = table_->standing == sink::Standing::kToPrepare;
  MutexLock lock(mutex_);
  change_ = refit_;
  return {};
}

arrow::Result<Flow> BatchUpload::Push(std::shared_ptr<arrow::RecordBatch> batch) {
  {
    MutexLock lock(mutex_);
    if (refused_) return *refused_;
    if (over_) return Error(ErrorCode::kCancelled, "session is over");
    if (finished_) return Error(ErrorCode::kInvalidArgument, "batch came after the end");
  }
  Message message{.offset = next_offset_};
  if (arrow::Status valid = CheckBatch(*batch); !valid.ok()) {
    return RefuseRest(AtOffset(message.offset, valid));
  }
  message.rows = batch->num_rows();
  message.bytes = BytesOf(*batch);
  if (cast_) {
    auto cast = cast_->Apply(batch, received_rows_);
    if (cast.ok()) {
      message.batch = *std::move(cast);
    } else {
      service().Mismatched(context_.request, *incoming_, cast.status());
      if (!skips()) return RefuseRest(AtOffset(message.offset, cast.status()));
      MutexLock lock(mutex_);
      warning_ = "skipped: " + cast.status().message();
    }
  } else {
    MutexLock lock(mutex_);
    warning_ = "skipped: " + misfit_;
  }
  ++next_offset_;
  received_rows_ += message.rows;
  if (!message.batch) message.rows = 0;
  return Add(std::move(message));
}

arrow::Result<Flow> BatchUpload::Add(Message message) {
  message.ticket = service().outstanding().Begin();
  bool start = false;
  Flow flow = Flow::kContinue;
  {
    MutexLock lock(mutex_);
    if (over_) {
      service().outstanding().End(message.ticket);
      return refused_ ? *refused_ : Error(ErrorCode::kCancelled, "session is over");
    }
    queue_bytes_ += message.bytes;
    queue_.push_back(std::move(message));
    if (queue_bytes_ > context_.limits.request_memory_max ||
        queue_.size() >= kQueueMessagesMax) {
      paused_ = true;
      flow = Flow::kPause;
    }
    start = !running_;
    running_ = true;
  }
  if (start) Schedule();
  return flow;
}

arrow::Status BatchUpload::RefuseRest(arrow::Status status) {
  bool start = false;
  {
    MutexLock lock(mutex_);
    if (!refused_) refused_ = status;
    finished_ = true;
    start = !running_ && !over_;
    if (start) running_ = true;
  }
  if (start) Schedule();
  return status;
}

void BatchUpload::Finish() {
  {
    MutexLock lock(mutex_);
    if (over_ || finished_) return;
    finished_ = true;
    if (!incoming_) {
      refused_ = Error(ErrorCode::kInvalidArgument, "upload has no schema");
    }
    if (running_) return;
    running_ = true;
  }
  Schedule();
}

void BatchUpload::Abort() {
  delivery_.Close();
  MutexLock lock(mutex_);
  over_ = true;
  DropQueue();
}

void BatchUpload::DropQueue() {
  for (const Message& message : queue_) service().outstanding().End(message.ticket);
  queue_.clear();
  queue_bytes_ = 0;
}

bool BatchUpload::Relieve() {
  if (!paused_ || queue_bytes_ > context_.limits.request_memory_max / 2 ||
      queue_.size() > kQueueMessagesMax / 2) {
    return false;
  }
  paused_ = false;
  return true;
}

// ---- The running side

void BatchUpload::Schedule() {
  {
    MutexLock lock(mutex_);
    if (!change_) {
      lock.Unlock();
      Advance();
      lock.Lock();
      return;
    }
  }
  auto self = std::static_pointer_cast<BatchUpload>(shared_from_this());
  if (service().pool().Post([self] { self->Advance(); })) return;
  {
    MutexLock lock(mutex_);
    change_ = false;
  }
  Fail(Error(ErrorCode::kDraining, "server is shutting down"));
  Advance();
}

BatchUpload::Step BatchUpload::NextStep() {
  if (over_) return Step::kStop;
  if (change_ && (!queue_.empty() || (finished_ && !refused_))) return Step::kPrepare;
  if (!queue_.empty()) return Step::kWrite;
  return finished_ ? Step::kEnd : Step::kStop;
}

void BatchUpload::Advance() {
  for (;;) {
    Step step;
    bool relieved = false;
    {
      MutexLock lock(mutex_);
      step = NextStep();
      if (step == Step::kStop) {
        running_ = false;
        return;
      }
      if (step == Step::kWrite) {
        TakeUnit();
        relieved = Relieve();
      }
    }
    if (relieved) delivery_.Ready();
    switch (step) {
      case Step::kPrepare:
        Prepare();
        break;
      case Step::kWrite:
        if (!Write()) return;
        break;
      case Step::kEnd:
      case Step::kStop:
        End();
        break;
    }
  }
}

void BatchUpload::TakeUnit() {
  unit_ = {};
  const int64_t rows_max =
      context_.backend->commits_per_table() ? kSpacedUnitRowsMax : kUnitRowsMax;
  while (!queue_.empty() && unit_.messages.size() < unit_messages_max_) {
    Message& message = queue_.front();
    const bool fits =
        unit_.rows + message.rows <= rows_max &&
        unit_.bytes + message.bytes <= context_.limits.request_memory_max / 2;
    if (!unit_.messages.empty() && !fits) break;
    unit_.rows += message.rows;
    unit_.bytes += message.bytes;
    queue_bytes_ -= message.bytes;
    unit_.messages.push_back(std::move(message));
    queue_.pop_front();
  }
}

void BatchUpload::Prepare() {
  auto changed = target_.Prepare(incoming_);
  if (!changed.ok()) return Fail(AtOffset(acked_.offset + 1, changed.status()));
  table_ = *std::move(changed);
  refit_ = true;
  MutexLock lock(mutex_);
  change_ = false;
}

ClaimRequest BatchUpload::ClaimFor(const Unit& unit) const {
  ClaimRequest claim;
  claim.table = table_name_;
  claim.producer = context_.request.producer;
  claim.first_sequence = SequenceOf(unit.messages.front().offset);
  claim.last_sequence = SequenceOf(unit.messages.back().offset);
  return claim;
}

bool BatchUpload::Write() {
  if (!has_producer()) return Submit();
  auto self = std::static_pointer_cast<BatchUpload>(shared_from_this());
  auto decided = index().Ask(ClaimFor(unit_), [self](arrow::Result<Claim> claim) {
    if (self->TakeClaim(std::move(claim))) self->Schedule();
  });
  if (!decided) return false;  // running_ stays set
  return TakeClaim(*std::move(decided));
}

/// True when Advance shall go on, false when a commit is under way.
bool BatchUpload::TakeClaim(arrow::Result<Claim> claim) {
  if (!claim.ok()) {
    Fail(AtOffset(unit_.messages.front().offset, claim.status()));
    return true;
  }
  if (claim->kind == Claim::Kind::kOwned) {
    unit_.claimed = true;
    return Submit();
  }
  // The first ones were applied before; the others go back and are tried next.
  size_t repeated = 0;
  while (repeated < unit_.messages.size() &&
         SequenceOf(unit_.messages[repeated].offset) <= claim->last_sequence) {
    ++repeated;
  }
  PutBack(repeated);
  UnitDone(claim->known ? claim->known->version : "", /*replay=*/true);
  return true;
}

/// Keeps the first `kept` messages in the unit.
void BatchUpload::PutBack(size_t kept) {
  MutexLock lock(mutex_);
  while (unit_.messages.size() > kept) {
    Message& message = unit_.messages.back();
    unit_.rows -= message.rows;
    unit_.bytes -= message.bytes;
    if (over_) {
      service().outstanding().End(message.ticket);
    } else {
      queue_bytes_ += message.bytes;
      queue_.push_front(std::move(message));
    }
    unit_.messages.pop_back();
  }
}

bool BatchUpload::Submit() {
  CommitJob job = NewJob();
  job.rows = unit_.rows;
  job.bytes = unit_.bytes;
  for (const Message& message : unit_.messages) {
    if (message.batch && message.rows > 0) job.unit.batches.push_back(message.batch);
  }
  if (refit_) {
    auto fitted = target_.Refit(*table_, std::move(job.unit.batches), total_.rows);
    if (!fitted.ok()) {
      UnitFailed(fitted.status());
      return true;
    }
    job.unit.batches = *std::move(fitted);
  }
  if (!table_ && has_producer()) {
    auto opened = context_.backend->sink->Open(context_.table);
    if (!opened.ok()) {
      UnitFailed(opened.status());
      return true;
    }
    table_ = *std::move(opened);
  }
  const bool makes_table = table_ && table_->standing == sink::Standing::kInCommit;
  if (job.unit.batches.empty() && !has_producer() && !makes_table) {
    UnitDone("", /*replay=*/false);
    return true;
  }
  job.unit.table = table_;
  if (has_producer()) {
    sink::LedgerEntry entry = NewLedgerEntry();
    entry.first_sequence = SequenceOf(unit_.messages.front().offset);
    entry.sequence = SequenceOf(unit_.messages.back().offset);
    entry.rows = unit_.rows;
    entry.bytes = unit_.bytes;
    entry.batches = static_cast<int64_t>(unit_.messages.size());
    job.unit.ledger = std::move(entry);
  }
  auto self = std::static_pointer_cast<BatchUpload>(shared_from_this());
  job.done = [self](const sink::WriteUnit& written, sink::WriteOutcome outcome) {
    self->OnCommitted(written, std::move(outcome));
  };
  arrow::Status queued = FaultPoint("ingest.queued");
  if (queued.ok()) queued = context_.backend->committer->Submit(std::move(job));
  if (queued.ok()) return false;
  UnitFailed(queued);
  return true;
}

void BatchUpload::OnCommitted(const sink::WriteUnit& written,
                              sink::WriteOutcome outcome) {
  if (!outcome.status.ok()) {
    UnitFailed(outcome.status);
    return Schedule();
  }
  if (unit_.claimed) {
    sink::LedgerEntry entry = *written.ledger;
    entry.version = outcome.version;
    entry.committed_at_us = service().NowUs();
    index().Resolve(ClaimFor(unit_), std::move(entry));
  }
  UnitDone(outcome.version, outcome.replayed);
  Schedule();
}

/// Nothing of the unit was applied. Tries again what may yet succeed, else ends here.
void BatchUpload::UnitFailed(const arrow::Status& status) {
  if (std::exchange(unit_.claimed, false)) {
    index().Resolve(ClaimFor(unit_), std::nullopt);
  }
  const bool conflict = TableHasChanged(status);
  const bool several = unit_.messages.size() > 1;
  bool again = false;
  {
    MutexLock lock(mutex_);
    if (conflict) {
      again = conflict_retries_++ < kConflictRetriesMax;
      change_ |= again;
    } else if (several && !InfoOf(CodeOf(status)).retriable) {
      // One of them is at fault: the ones before it shall stay.
      again = true;
      unit_messages_max_ = 1;
    }
  }
  if (again) return PutBack(0);
  const int64_t offset = unit_.messages.front().offset;
  for (const Message& message : unit_.messages) {
    service().outstanding().End(message.ticket);
  }
  Fail(AtOffset(offset, status));
}

void BatchUpload::UnitDone(const std::string& version, bool replay) {
  Receipt landed = NewReceipt();
  landed.rows = unit_.rows;
  landed.bytes = unit_.bytes;
  landed.batches = static_cast<int64_t>(unit_.messages.size());
  landed.idempotent_replay = replay;
  acked_.offset = unit_.messages.back().offset;
  acked_.records += unit_.rows;
  if (!version.empty()) acked_.version = version;
  total_.rows += landed.rows;
  total_.bytes += landed.bytes;
  total_.batches += landed.batches;
  all_replayed_ &= replay;
  {
    MutexLock lock(mutex_);
    conflict_retries_ = 0;
  }
  ReportLanded(landed);
  if (FaultPoint("ingest.reply.before").ok()) delivery_.Acknowledge(acked_);
  for (const Message& message : unit_.messages) {
    service().outstanding().End(message.ticket);
  }
  unit_ = {};
}

void BatchUpload::Fail(const arrow::Status& status) {
  {
    MutexLock lock(mutex_);
    if (over_) return;
    over_ = true;
    refused_ = status;
    DropQueue();
  }
  service().Refused(context_.request, status);
  delivery_.Done(status);
}

void BatchUpload::End() {
  std::optional<arrow::Status> refused;
  {
    MutexLock lock(mutex_);
    over_ = true;
    refused = refused_;
    total_.warning = warning_;
  }
  if (refused) {
    service().Refused(context_.request, *refused);
    return delivery_.Done(*refused);
  }
  total_.version = acked_.version;
  total_.idempotent_replay = all_replayed_ && total_.batches > 0;
  delivery_.Done(total_);
}

std::shared_ptr<Upload> NewBatchUpload(UploadContext context,
                                       std::shared_ptr<SessionObserver> observer) {
  return std::make_shared<BatchUpload>(std::move(context), std::move(observer));
}

}  // namespace arrowport::ingest
