#include <utility>

#include "base/error.h"
#include "base/fault_point.h"
#include "ingest/stream_upload.h"

namespace arrowport::ingest {

bool StreamUpload::BlocksNext() const {
  if (fate_ == Fate::kOver || fate_ == Fate::kSkip) return has_bulk_;
  if (fate_ == Fate::kDiscard) return false;
  return change_ || bulk_path();
}

void StreamUpload::Schedule() {
  bool blocks = false;
  {
    MutexLock lock(mutex_);
    blocks = BlocksNext();
  }
  auto self = std::static_pointer_cast<StreamUpload>(shared_from_this());
  if (!blocks) return Advance();
  if (service().pool().Post([self] { self->Advance(); })) return;
  Fail(Error(ErrorCode::kDraining, "server is shutting down"));
  Advance();
}

StreamUpload::Step StreamUpload::NextStep() {
  if (fate_ == Fate::kOver) return Step::kCleanUp;
  if (fate_ != Fate::kLand && has_bulk_) return Step::kDropBulk;
  const bool work = pieces_.has_pieces() || finished_;
  if (!work) return Step::kStop;
  if (needs_claim() && hold_ == Hold::kNone) return Step::kClaim;
  if (fate_ == Fate::kDiscard) return finished_ ? Step::kAnswerReplay : Step::kStop;
  if (fate_ == Fate::kSkip) return finished_ ? Step::kAnswerSkip : Step::kStop;
  if (change_) return Step::kPrepare;
  if (!bulk_path()) return Step::kSubmit;
  if (!has_bulk_) return Step::kBegin;
  return pieces_.has_pieces() ? Step::kAppend : Step::kCommit;
}

void StreamUpload::Advance() {
  for (;;) {
    Step step;
    {
      MutexLock lock(mutex_);
      step = NextStep();
      if (step == Step::kStop) {
        running_ = false;
        return;
      }
    }
    if (!Run(step)) return;
    if (step == Step::kAppend || step == Step::kClaim) {
      // Other uploads get their turn; and what blocks moves to the pool.
      return Schedule();
    }
  }
}

bool StreamUpload::Run(Step step) {
  switch (step) {
    case Step::kStop:
      return false;
    case Step::kCleanUp: {
      bulk_.reset();
      ReleaseClaim(std::nullopt);
      MutexLock lock(mutex_);
      has_bulk_ = false;
      running_ = false;
      EndTicket();
      return false;
    }
    case Step::kDropBulk: {
      bulk_.reset();
      MutexLock lock(mutex_);
      has_bulk_ = false;
      return true;
    }
    case Step::kClaim:
      return AskClaim();
    case Step::kAnswerReplay:
      AnswerReplay();
      return true;
    case Step::kAnswerSkip:
      return AnswerSkip();
    case Step::kPrepare:
      Prepare();
      return true;
    case Step::kSubmit: {
      Batches batches;
      int64_t bytes = 0;
      {
        MutexLock lock(mutex_);
        batches = pieces_.TakePending(&bytes);
      }
      return Submit(std::move(batches), rows_, bytes);
    }
    case Step::kBegin:
      Begin();
      return true;
    case Step::kAppend:
      Append();
      return true;
    case Step::kCommit:
      return Commit();
  }
  return false;
}

void StreamUpload::Prepare() {
  auto changed = target_.Prepare(incoming_);
  if (!changed.ok()) return Misfit(changed.status());
  table_ = *std::move(changed);
  refit_ = true;
  Batches batches;
  {
    MutexLock lock(mutex_);
    change_ = false;
    batches = pieces_.pending();
    if (bulk_path()) return;  // pieces are fitted one by one
  }
  auto fitted = target_.Refit(*table_, std::move(batches), 0);
  if (!fitted.ok()) return Misfit(fitted.status());
  MutexLock lock(mutex_);
  // Whoever runs after Finish is alone with what is pending, except for an abort.
  if (fate_ == Fate::kLand) pieces_.SetPending(*std::move(fitted));
}

bool StreamUpload::Submit(Batches batches, int64_t rows, int64_t bytes) {
  auto ledger = LedgerFor(rows);
  if (!ledger.ok()) {
    Fail(ledger.status());
    return true;
  }
  if (batches.empty() && !*ledger && table_->standing == sink::Standing::kPresent) {
    Complete({}, rows);
    return true;
  }
  CommitJob job = NewJob();
  job.unit.table = table_;
  job.unit.batches = std::move(batches);
  job.unit.ledger = *std::move(ledger);
  job.rows = rows;
  job.bytes = bytes;
  auto self = std::static_pointer_cast<StreamUpload>(shared_from_this());
  job.done = [self](const sink::WriteUnit& unit, sink::WriteOutcome outcome) {
    self->OnCommitted(unit, std::move(outcome));
  };
  return Enqueue(std::move(job));
}

bool StreamUpload::Enqueue(CommitJob job) {
  arrow::Status queued = FaultPoint("ingest.queued");
  if (queued.ok()) queued = context_.backend->committer->Submit(std::move(job));
  if (queued.ok()) return false;  // running_ stays set: OnCommitted goes on
  Fail(queued);
  return true;
}

void StreamUpload::OnCommitted(const sink::WriteUnit& unit, sink::WriteOutcome outcome) {
  if (outcome.status.ok()) {
    Complete(outcome, RowCount(unit.batches));
  } else {
    bool again = false;
    if (TableHasChanged(outcome.status)) {
      MutexLock lock(mutex_);
      again = fate_ != Fate::kOver && retries_++ < kConflictRetriesMax;
      if (again) {
        change_ = true;
        pieces_.SetPending(unit.batches);
      }
    }
    if (!again) Fail(outcome.status);
  }
  Schedule();
}

void StreamUpload::Begin() {
  auto bulk = context_.backend->sink->BeginBulk(
      table_, overwrites() ? sink::TableChange::kOverwrite : sink::TableChange::kAppend,
      *context_.write_options);
  if (bulk.ok()) {
    bulk_ = *std::move(bulk);
    MutexLock lock(mutex_);
    has_bulk_ = true;
    return;
  }
  if (TableHasChanged(bulk.status())) {
    MutexLock lock(mutex_);
    if (retries_++ < kConflictRetriesMax) {
      change_ = true;
      return;
    }
  }
  Fail(bulk.status());
}

void StreamUpload::Append() {
  Piece piece;
  {
    MutexLock lock(mutex_);
    if (!pieces_.has_pieces()) return;
    piece = pieces_.Begin();
  }
  arrow::Result<Batches> fitted = piece.batches;
  if (refit_) fitted = target_.Refit(*table_, piece.batches, appended_rows_);
  if (!fitted.ok()) return Misfit(fitted.status());
  if (context_.backend->sink->bulk_shape().joined) {
    fitted = ToRowGroups(*std::move(fitted), kRowGroupRows);
  }
  arrow::Status status = bulk_->Append(*std::move(fitted));
  if (!status.ok()) return AppendFailed(status, std::move(piece));
  appended_rows_ += piece.rows;
  bool relieved = false;
  {
    MutexLock lock(mutex_);
    pieces_.End(piece);
    relieved = Relieve();
  }
  piece = {};
  if (relieved) delivery_.Ready();
}

/// The first piece meets the table as it is now; later ones cannot be taken back.
void StreamUpload::AppendFailed(const arrow::Status& status, Piece piece) {
  bool again = false;
  {
    MutexLock lock(mutex_);
    again = TableHasChanged(status) && appended_rows_ == 0 && fate_ == Fate::kLand &&
            retries_++ < kConflictRetriesMax;
    if (again) {
      change_ = true;
      has_bulk_ = false;
      pieces_.GiveBack(std::move(piece));
    } else {
      pieces_.End(piece);
    }
  }
  if (!again) return Fail(status);
  bulk_.reset();
}

bool StreamUpload::Commit() {
  auto ledger = LedgerFor(rows_);
  if (!ledger.ok()) {
    Fail(ledger.status());
    return true;
  }
  if (!context_.backend->commits_per_table()) {
    EndBulk(bulk_->Commit(*std::move(ledger)));
    return true;
  }
  // In the table's lane, so that it keeps the spacing of its versions too.
  CommitJob job = NewJob();
  auto self = std::static_pointer_cast<StreamUpload>(shared_from_this());
  job.commit_alone = [self, ledger = *std::move(ledger)] {
    return self->bulk_->Commit(ledger);
  };
  job.done = [self](const sink::WriteUnit&, sink::WriteOutcome outcome) {
    self->EndBulk(std::move(outcome));
    self->Schedule();
  };
  return Enqueue(std::move(job));
}

void StreamUpload::EndBulk(sink::WriteOutcome outcome) {
  bulk_.reset();
  {
    MutexLock lock(mutex_);
    has_bulk_ = false;
  }
  if (!outcome.status.ok()) return Fail(outcome.status);
  Complete(outcome, rows_);
}

}  // namespace arrowport::ingest
