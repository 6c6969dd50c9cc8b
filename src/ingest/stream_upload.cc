#include "ingest/stream_upload.h"

#include <utility>

#include "base/error.h"
#include "base/fault_point.h"

namespace arrowport::ingest {
namespace {

// The first piece makes or changes the table, and that stays if the rest is refused: the
// more has arrived well, the less likely.
constexpr int64_t kRowsBeforeChange = 2 * kRowGroupRows;

}  // namespace

StreamUpload::StreamUpload(UploadContext context,
                           std::shared_ptr<SessionObserver> observer)
    : Upload(std::move(context), std::move(observer)),
      pieces_(context_.backend->sink->bulk_shape().piece_rows,
              context_.limits.request_memory_max) {}

StreamUpload::~StreamUpload() = default;

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
    pieces_.Add(std::move(batch), bytes);
    large_ |= pieces_.is_large();
    if (large_) pieces_.CutFull(change_ ? kRowsBeforeChange : 0);
    start = pieces_.has_pieces() && !running_;
    if (start) running_ = true;
    if (pieces_.full()) {
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

/// Whether the caller must be told to go on.
bool StreamUpload::Relieve() {
  if (!paused_) return false;
  if (fate_ == Fate::kLand && !pieces_.has_room()) return false;
  paused_ = false;
  return true;
}

int64_t StreamUpload::spillable_bytes() const {
  MutexLock lock(mutex_);
  return fate_ == Fate::kLand && !finished_ ? pieces_.pending_bytes() : 0;
}

void StreamUpload::Spill() {
  {
    MutexLock lock(mutex_);
    if (fate_ != Fate::kLand || finished_ || pieces_.pending().empty()) return;
    large_ = true;
    pieces_.CutRest();
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
      if (bulk_path()) pieces_.CutRest();
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
    pieces_.Drop();
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

std::shared_ptr<Upload> NewStreamUpload(UploadContext context,
                                        std::shared_ptr<SessionObserver> observer) {
  return std::make_shared<StreamUpload>(std::move(context), std::move(observer));
}

}  // namespace arrowport::ingest
