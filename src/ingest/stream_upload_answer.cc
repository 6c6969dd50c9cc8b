#include <utility>

#include "base/error.h"
#include "base/fault_point.h"
#include "ingest/stream_upload.h"

namespace arrowport::ingest {

ClaimRequest StreamUpload::NewClaimRequest() const {
  ClaimRequest claim;
  claim.table = table_name_;
  claim.key = context_.request.idempotency_key;
  claim.producer = context_.request.producer;
  claim.first_sequence = claim.last_sequence = context_.request.sequence.value_or(0);
  return claim;
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
    pieces_.Drop();
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
    pieces_.Drop();
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
    pieces_.Drop();
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

}  // namespace arrowport::ingest
