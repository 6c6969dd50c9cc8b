#include "ingest/stream_upload.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/fault_point.h"

namespace arrowport::ingest {
namespace {

constexpr int64_t kPieceRows = 2 * kRowGroupRows;
constexpr size_t kPiecesAheadMax = 3;

}  // namespace

StreamUpload::~StreamUpload() = default;

ClaimRequest StreamUpload::NewClaimRequest() const {
  ClaimRequest claim;
  claim.table = table_name_;
  claim.key = context_.request.idempotency_key;
  claim.producer = context_.request.producer;
  claim.first_sequence = claim.last_sequence = context_.request.sequence.value_or(0);
  return claim;
}

// ---- The caller's side

arrow::Status StreamUpload::Start(const std::shared_ptr<arrow::Schema>& schema) {
  ARROW_RETURN_NOT_OK(TakeSchema(schema));
  if (arrow::Status recalled = Recall(); !recalled.ok()) return Refuse(recalled);
  const std::optional<int64_t> last = producer_last_sequence();
  bool repeat = last && *context_.request.sequence <= *last;
  if (has_key()) {
    hash_ = std::make_unique<ContentHash>(*schema);
    repeat = index().FindKey(table_name_, context_.request.idempotency_key).has_value();
  }
  if (repeat) {
    // Answered from the ledger, even if the table has become another since.
    MutexLock lock(mutex_);
    fate_ = Fate::kDiscard;
    return {};
  }
  auto look = target_.LookFor(schema);
  if (!look.ok()) return HandleMismatch(look.status());
  table_ = std::move(look->table);
  cast_ = std::move(look->cast);
  refit_ = table_->standing == sink::Standing::kToPrepare;
  MutexLock lock(mutex_);
  change_ = refit_;
  return {};
}

/// The upload ends here; the caller has the status and gets no callback.
arrow::Status StreamUpload::Refuse(arrow::Status status) {
  service().Refused(context_.request, status);
  delivery_.Close();
  Abort();
  return status;
}

arrow::Status StreamUpload::HandleMismatch(const arrow::Status& status) {
  if (CodeOf(status) != ErrorCode::kSchemaMismatch) return Refuse(status);
  service().Mismatched(context_.request, *incoming_, status);
  if (!skips()) return Refuse(status);
  StartSkipping(status);
  return {};
}

arrow::Result<Flow> StreamUpload::Push(std::shared_ptr<arrow::RecordBatch> batch) {
  bool wanted = false;
  {
    MutexLock lock(mutex_);
    if (fate_ == Fate::kOver) {
      return failure_.ok() ? Error(ErrorCode::kCancelled, "session is over") : failure_;
    }
    if (finished_) return Error(ErrorCode::kInvalidArgument, "batch came after the end");
    wanted = fate_ == Fate::kLand;
  }
  if (arrow::Status valid = CheckBatch(*batch); !valid.ok()) return Refuse(valid);
  if (hash_) {
    if (arrow::Status hashed = hash_->Update(*batch); !hashed.ok()) return Refuse(hashed);
  }
  const int64_t bytes = BytesOf(*batch);
  const int64_t first_row = rows_;
  rows_ += batch->num_rows();
  bytes_ += bytes;
  ++batches_;
  if (!wanted || batch->num_rows() == 0) return Flow::kContinue;
  auto cast = cast_->Apply(batch, first_row);
  if (!cast.ok()) {
    ARROW_RETURN_NOT_OK(HandleMismatch(cast.status()));
    return Flow::kContinue;
  }
  const Flow flow = Take(*std::move(cast), bytes);
  if (service().over_budget()) service().RelievePressure();
  return flow;
}

Flow StreamUpload::Take(std::shared_ptr<arrow::RecordBatch> batch, int64_t bytes) {
  bool start = false, list = false;
  Flow flow = Flow::kContinue;
  {
    MutexLock lock(mutex_);
    if (fate_ != Fate::kLand) return Flow::kContinue;
    pending_rows_ += batch->num_rows();
    pending_bytes_ += bytes;
    pending_.push_back(std::move(batch));
    const int64_t memory_max = context_.limits.request_memory_max;
    large_ |= pending_rows_ >= kRowGroupRows || pending_bytes_ >= memory_max / 2;
    if (large_) CutPieces();
    start = !pieces_.empty() && !running_;
    if (start) running_ = true;
    if (!pieces_.empty() && (pieces_.size() + appending_ >= kPiecesAheadMax ||
                             pending_bytes_ + piece_bytes_ > memory_max)) {
      paused_ = true;
      flow = Flow::kPause;
    }
    list = !listed_ && service().options().budget != nullptr;
    listed_ |= list;
  }
  if (list)
    service().Register(std::static_pointer_cast<StreamUpload>(shared_from_this()), this);
  if (start) Schedule();
  return flow;
}

void StreamUpload::CutPiece(int64_t rows) {
  Piece piece;
  const int64_t all = pending_rows_;
  piece.rows = std::min(rows, all);
  piece.batches = TakeRows(&pending_, piece.rows);
  piece.bytes = all == 0 ? 0
                         : static_cast<int64_t>(static_cast<double>(pending_bytes_) *
                                                static_cast<double>(piece.rows) /
                                                static_cast<double>(all));
  pending_rows_ -= piece.rows;
  pending_bytes_ -= piece.bytes;
  piece_bytes_ += piece.bytes;
  pieces_.push_back(std::move(piece));
}

void StreamUpload::CutPieces() {
  while (pending_rows_ >= kPieceRows) CutPiece(kPieceRows);
  if (pending_bytes_ >= context_.limits.request_memory_max / 2) CutPiece(pending_rows_);
}

void StreamUpload::DropRows() {
  pending_.clear();
  pieces_.clear();
  pending_rows_ = pending_bytes_ = piece_bytes_ = 0;
}

/// Whether the caller must be told to go on.
bool StreamUpload::Relieve() {
  if (!paused_) return false;
  const bool room =
      pieces_.size() + appending_ < kPiecesAheadMax - 1 &&
      pending_bytes_ + piece_bytes_ <= context_.limits.request_memory_max / 2;
  if (!room && fate_ == Fate::kLand && !pieces_.empty()) return false;
  paused_ = false;
  return true;
}

int64_t StreamUpload::spillable_bytes() const {
  MutexLock lock(mutex_);
  return fate_ == Fate::kLand && !finished_ ? pending_bytes_ : 0;
}

void StreamUpload::Spill() {
  {
    MutexLock lock(mutex_);
    if (fate_ != Fate::kLand || finished_ || pending_.empty()) return;
    large_ = true;
    CutPiece(pending_rows_);
    if (running_) return;
    running_ = true;
  }
  Schedule();
}

void StreamUpload::Finish() {
  const uint64_t ticket = service().outstanding().Begin();
  bool start = false;
  {
    MutexLock lock(mutex_);
    ticket_ = ticket;
    finished_ = true;
    if (fate_ != Fate::kOver) {
      if (bulk_path() && !pending_.empty()) CutPiece(pending_rows_);
      start = !running_;
      if (start) running_ = true;
    }
  }
  if (!incoming_) return Fail(Error(ErrorCode::kInvalidArgument, "upload has no schema"));
  if (start) return Schedule();
  MutexLock lock(mutex_);
  if (fate_ == Fate::kOver) EndTicket();
}

void StreamUpload::Abort() {
  delivery_.Close();
  bool clean_up = false;
  {
    MutexLock lock(mutex_);
    if (fate_ != Fate::kOver) fate_ = Fate::kOver;
    DropRows();
    clean_up = !running_ && (hold_ == Hold::kOwned || has_bulk_);
    if (clean_up) running_ = true;
    if (!running_) EndTicket();
  }
  Unlist();
  if (clean_up) Schedule();
}

void StreamUpload::Unlist() {
  {
    MutexLock lock(mutex_);
    if (!std::exchange(listed_, false)) return;
  }
  service().Unregister(this);
}

void StreamUpload::EndTicket() {
  if (ticket_ != 0) service().outstanding().End(std::exchange(ticket_, 0));
}

// ---- The running side

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
  const bool work = !pieces_.empty() || finished_;
  if (!work) return Step::kStop;
  if (needs_claim() && hold_ == Hold::kNone) return Step::kClaim;
  if (fate_ == Fate::kDiscard) return finished_ ? Step::kAnswerReplay : Step::kStop;
  if (fate_ == Fate::kSkip) return finished_ ? Step::kAnswerSkip : Step::kStop;
  if (change_) return Step::kPrepare;
  if (!bulk_path()) return Step::kSubmit;
  if (!has_bulk_) return Step::kBegin;
  return pieces_.empty() ? Step::kCommit : Step::kAppend;
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
        batches = std::exchange(pending_, {});
        bytes = std::exchange(pending_bytes_, 0);
        pending_rows_ = 0;
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

bool StreamUpload::AskClaim() {
  {
    MutexLock lock(mutex_);
    hold_ = Hold::kAsking;
  }
  auto self = std::static_pointer_cast<StreamUpload>(shared_from_this());
  auto decided = index().Ask(NewClaimRequest(), [self](arrow::Result<Claim> claim) {
    self->OnClaim(std::move(claim));
  });
  if (!decided) return false;  // running_ stays set: OnClaim goes on
  TakeClaim(*std::move(decided));
  return true;
}

void StreamUpload::OnClaim(arrow::Result<Claim> claim) {
  TakeClaim(std::move(claim));
  Schedule();
}

void StreamUpload::TakeClaim(arrow::Result<Claim> claim) {
  if (!claim.ok()) {
    {
      MutexLock lock(mutex_);
      hold_ = Hold::kGone;
    }
    return Fail(claim.status());
  }
  bool relieved = false;
  {
    MutexLock lock(mutex_);
    if (claim->kind == Claim::Kind::kOwned) {
      // Aborted meanwhile, or taken for a repeat that was forgotten since: NextStep or
      // AnswerReplay gives it back.
      hold_ = Hold::kOwned;
      return;
    }
    hold_ = Hold::kGone;
    if (fate_ == Fate::kLand || fate_ == Fate::kSkip) fate_ = Fate::kDiscard;
    DropRows();
    relieved = Relieve();
  }
  known_ = std::move(claim->known);
  if (relieved) delivery_.Ready();
}

void StreamUpload::AnswerReplay() {
  bool owned = false;
  {
    MutexLock lock(mutex_);
    owned = hold_ == Hold::kOwned;
  }
  if (owned) {
    // The window closed between Start and Finish, and the rows are gone.
    return Fail(MakeError(ErrorCode::kCommitConflict,
                          "the first answer was just forgotten; send it again", 1));
  }
  if (hash_) {
    auto sha256 = hash_->Finish();
    if (!sha256.ok()) return Fail(sha256.status());
    if (known_ && *sha256 != known_->sha256) {
      return Fail(Error(ErrorCode::kKeyReused,
                        "idempotency key was used with other content: ",
                        context_.request.idempotency_key));
    }
  }
  Receipt receipt = NewReceipt();
  receipt.idempotent_replay = true;
  // A ledger may keep less than all counts; the content of a repeat is the same.
  const bool counted = known_ && known_->batches > 0;
  receipt.rows = counted || (known_ && has_key()) ? known_->rows : rows_;
  receipt.bytes = counted ? known_->bytes : bytes_;
  receipt.batches = counted ? known_->batches : batches_;
  if (known_) receipt.version = known_->version;
  {
    MutexLock lock(mutex_);
    fate_ = Fate::kOver;
  }
  ReportLanded(receipt);
  delivery_.Done(std::move(receipt));
}

bool StreamUpload::AnswerSkip() {
  if (!needs_claim()) {
    Complete({}, 0);
    return true;
  }
  // A producer's sequence goes on, and a key is answered the same way again.
  if (!table_ || table_->standing != sink::Standing::kPresent) {
    auto opened = context_.backend->sink->Open(context_.table);
    if (!opened.ok()) {
      Fail(opened.status());
      return true;
    }
    table_ = *std::move(opened);
  }
  return Submit({}, 0, 0);
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
    batches = pending_;
    if (bulk_path()) return;  // pieces are fitted one by one
  }
  auto fitted = target_.Refit(*table_, std::move(batches), 0);
  if (!fitted.ok()) return Misfit(fitted.status());
  MutexLock lock(mutex_);
  // Whoever runs after Finish is alone with pending_, except for an abort.
  if (fate_ == Fate::kLand) pending_ = *std::move(fitted);
}

arrow::Result<std::optional<sink::LedgerEntry>> StreamUpload::LedgerFor(int64_t rows) {
  if (!needs_claim()) return std::nullopt;
  sink::LedgerEntry entry = NewLedgerEntry();
  if (hash_ && sha256_.empty()) {
    ARROW_ASSIGN_OR_RAISE(sha256_, hash_->Finish());
  }
  entry.sha256 = sha256_;
  entry.rows = rows;
  entry.bytes = bytes_;
  entry.batches = batches_;
  return entry;
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
        pending_ = unit.batches;
        pending_rows_ = RowCount(pending_);
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
    if (pieces_.empty()) return;
    piece = std::move(pieces_.front());
    pieces_.pop_front();
    appending_ = 1;
  }
  arrow::Result<Batches> fitted = piece.batches;
  if (refit_) fitted = target_.Refit(*table_, piece.batches, appended_rows_);
  if (!fitted.ok()) return Misfit(fitted.status());
  arrow::Status status = bulk_->Append(ToRowGroups(*std::move(fitted), kRowGroupRows));
  if (!status.ok()) return AppendFailed(status, std::move(piece));
  appended_rows_ += piece.rows;
  bool relieved = false;
  {
    MutexLock lock(mutex_);
    appending_ = 0;
    if (fate_ == Fate::kLand) piece_bytes_ -= piece.bytes;
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
    appending_ = 0;
    again = TableHasChanged(status) && appended_rows_ == 0 && fate_ == Fate::kLand &&
            retries_++ < kConflictRetriesMax;
    if (again) {
      change_ = true;
      has_bulk_ = false;
      pieces_.push_front(std::move(piece));
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

/// Everything is durable (or there was nothing to write).
void StreamUpload::Complete(const sink::WriteOutcome& outcome, int64_t rows) {
  Receipt receipt = NewReceipt();
  receipt.version = outcome.version;
  receipt.idempotent_replay = outcome.replayed;
  if (outcome.replayed && has_key()) rows = outcome.rows;
  receipt.rows = rows;
  receipt.bytes = bytes_;
  receipt.batches = batches_;
  if (needs_claim()) {
    auto entry = LedgerFor(rows);
    if (entry.ok() && *entry) {
      (*entry)->version = outcome.version;
      (*entry)->committed_at_us = service().NowUs();
      ReleaseClaim(*std::move(entry));
    }
  }
  {
    MutexLock lock(mutex_);
    fate_ = Fate::kOver;
    receipt.warning = warning_;
  }
  ReportLanded(receipt);
  Unlist();
  arrow::Status reply = FaultPoint("ingest.reply.before");
  if (!reply.ok()) return delivery_.Done(reply);
  delivery_.Done(std::move(receipt));
}

/// A mismatch that shows when the table is changed or seen again.
void StreamUpload::Misfit(const arrow::Status& status) {
  if (CodeOf(status) != ErrorCode::kSchemaMismatch || !skips()) return Fail(status);
  service().Mismatched(context_.request, *incoming_, status);
  StartSkipping(status);
}

void StreamUpload::StartSkipping(const arrow::Status& status) {
  bool relieved = false;
  {
    MutexLock lock(mutex_);
    if (fate_ != Fate::kLand) return;
    fate_ = Fate::kSkip;
    warning_ = "skipped: " + status.message();
    DropRows();
    relieved = Relieve();
  }
  if (relieved) delivery_.Ready();
}

void StreamUpload::Fail(arrow::Status status) {
  {
    MutexLock lock(mutex_);
    if (fate_ == Fate::kOver) return;
    fate_ = Fate::kOver;
    failure_ = status;
    DropRows();
  }
  Unlist();
  if (CodeOf(status) == ErrorCode::kSchemaMismatch) {
    service().Mismatched(context_.request, *incoming_, status);
  }
  service().Refused(context_.request, status);
  delivery_.Done(std::move(status));
}

void StreamUpload::ReleaseClaim(std::optional<sink::LedgerEntry> applied) {
  {
    MutexLock lock(mutex_);
    if (hold_ != Hold::kOwned) return;
    hold_ = Hold::kGone;
  }
  index().Resolve(NewClaimRequest(), std::move(applied));
}

std::shared_ptr<Upload> NewStreamUpload(UploadContext context,
                                        std::shared_ptr<SessionObserver> observer) {
  return std::make_shared<StreamUpload>(std::move(context), std::move(observer));
}

}  // namespace arrowport::ingest
