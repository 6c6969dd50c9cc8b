// An upload that is one transaction. Internal to ingest.
//
// Small ones are kept until Finish and go through the committer, where they share a
// transaction with others. Large ones get a transaction of their own: pieces of whole row
// groups are appended on the worker pool while more arrives.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ingest/content_hash.h"
#include "ingest/upload.h"
#include "ingest/upload_pieces.h"

namespace arrowport::ingest {

/// Calls of the session come from one thread at a time; everything else that enters (the
/// worker pool, the committer, claims) does so through Advance, which one thread runs at
/// a time (running_).
///
/// Sources: stream_upload.cc (what the caller gives), stream_upload_run.cc (what is done
/// with it), stream_upload_answer.cc (what is answered).
class StreamUpload : public Upload, public Spillable {
 public:
  StreamUpload(UploadContext context, std::shared_ptr<SessionObserver> observer);
  ~StreamUpload() override;

  arrow::Status Start(const std::shared_ptr<arrow::Schema>& schema) override;
  arrow::Result<Flow> Push(std::shared_ptr<arrow::RecordBatch> batch) override;
  void Finish() override;
  void Abort() override;

  int64_t spillable_bytes() const override;
  void Spill() override;

 private:
  using Piece = UploadPieces::Piece;
  enum class Fate {
    kLand,     ///< the rows are wanted
    kDiscard,  ///< applied before: only the content is compared
    kSkip,     ///< they do not fit, and the stream says to skip
    kOver,     ///< failed, answered or aborted
  };
  enum class Hold { kNone, kAsking, kOwned, kGone };
  enum class Step {
    kStop,
    kCleanUp,
    kDropBulk,
    kClaim,
    kAnswerReplay,
    kAnswerSkip,
    kPrepare,
    kSubmit,
    kBegin,
    kAppend,
    kCommit
  };

  bool overwrites() const { return context_.mode == WriteMode::kOverwrite; }
  bool needs_claim() const { return has_key() || has_producer(); }
  ClaimRequest NewClaimRequest() const;

  // Of the caller's thread.
  arrow::Status Refuse(arrow::Status status);
  arrow::Status HandleMismatch(const arrow::Status& status);
  Flow Take(std::shared_ptr<arrow::RecordBatch> batch, int64_t bytes);

  // Under the lock.
  bool Relieve() REQUIRES(mutex_);
  Step NextStep() REQUIRES(mutex_);
  bool BlocksNext() const REQUIRES(mutex_);
  bool bulk_path() const REQUIRES(mutex_) { return large_ || overwrites(); }

  // Of whoever runs.
  void Schedule();
  void Advance();
  /// False: somebody else goes on later.
  bool Run(Step step);
  bool AskClaim();
  void OnClaim(arrow::Result<Claim> claim);
  void TakeClaim(arrow::Result<Claim> claim);
  void AnswerReplay();
  bool AnswerSkip();
  void Prepare();
  bool Submit(Batches batches, int64_t rows, int64_t bytes);
  void OnCommitted(const sink::WriteUnit& unit, sink::WriteOutcome outcome);
  void Begin();
  void Append();
  void AppendFailed(const arrow::Status& status, Piece piece);
  /// As Run.
  bool Commit();
  void EndBulk(sink::WriteOutcome outcome);
  bool Enqueue(CommitJob job);
  arrow::Result<std::optional<sink::LedgerEntry>> LedgerFor(int64_t rows);
  void Complete(const sink::WriteOutcome& outcome, int64_t rows);
  void Misfit(const arrow::Status& status);
  void StartSkipping(const arrow::Status& status);
  void Fail(arrow::Status status);
  void ReleaseClaim(std::optional<sink::LedgerEntry> applied);
  void EndTicket() REQUIRES(mutex_);
  void Unlist();

  // Of the caller's thread until Finish, then of whoever runs.
  std::unique_ptr<ContentHash> hash_;
  std::string sha256_;
  int64_t rows_ = 0;
  int64_t bytes_ = 0;
  int64_t batches_ = 0;
  std::optional<schema::CastPlan> cast_;

  // Of whoever runs.
  std::shared_ptr<const sink::Table> table_;
  std::unique_ptr<sink::BulkWrite> bulk_;
  std::optional<sink::LedgerEntry> known_;  ///< the first answer, when this is a repeat
  int64_t appended_rows_ = 0;
  bool refit_ = false;  ///< the table may differ from what the rows were cast for

  mutable Mutex mutex_;
  Fate fate_ GUARDED_BY(mutex_) = Fate::kLand;
  Hold hold_ GUARDED_BY(mutex_) = Hold::kNone;
  UploadPieces pieces_ GUARDED_BY(mutex_);
  bool large_ GUARDED_BY(mutex_) = false;
  bool paused_ GUARDED_BY(mutex_) = false;
  bool finished_ GUARDED_BY(mutex_) = false;
  bool running_ GUARDED_BY(mutex_) = false;
  bool has_bulk_ GUARDED_BY(mutex_) = false;
  bool change_ GUARDED_BY(mutex_) = false;  ///< the table must be made, evolved, reopened
  int retries_ GUARDED_BY(mutex_) = 0;
  bool listed_ GUARDED_BY(mutex_) = false;
  std::string warning_ GUARDED_BY(mutex_);
  arrow::Status failure_ GUARDED_BY(mutex_);
  uint64_t ticket_ GUARDED_BY(mutex_) = 0;
};

}  // namespace arrowport::ingest
