#include "ingest/upload.h"

#include <arrow/util/byte_size.h>

#include <utility>

#include "base/error.h"
#include "base/fault_point.h"

namespace arrowport::ingest {

Upload::Upload(UploadContext context, std::shared_ptr<SessionObserver> observer)
    : context_(std::move(context)),
      table_name_(context_.table.ToString()),
      target_(context_.backend->sink, context_.table, context_.write_options),
      delivery_(std::move(observer)) {}

std::optional<int64_t> Upload::producer_last_sequence() const {
  if (!has_producer()) return std::nullopt;
  return index().LastSequence(table_name_, context_.request.producer);
}

arrow::Status Upload::Recall() {
  sink::TableSink& sink = *context_.backend->sink;
  const Request& request = context_.request;
  std::optional<sink::LedgerEntry> entry;
  if (has_key() && !index().FindKey(table_name_, request.idempotency_key)) {
    ARROW_ASSIGN_OR_RAISE(entry, sink.RecallKey(context_.table, request.idempotency_key));
  } else if (has_producer()) {
    const auto last = index().LastSequence(table_name_, request.producer);
    // Where other servers write too, what is remembered here may be behind.
    const bool alone = !context_.backend->commits_per_table();
    if (alone && last && *request.sequence <= *last + 1) return {};
    ARROW_ASSIGN_OR_RAISE(entry, sink.RecallProducer(context_.table, request.producer));
  }
  if (entry) index().Learn(*entry);
  return {};
}

CommitJob Upload::NewJob() const {
  CommitJob job;
  if (context_.backend->commits_per_table()) job.lane = table_name_;
  job.spacing = CommitSpacingOf(context_.settings);
  job.unit.options = context_.write_options;
  return job;
}

arrow::Status Upload::TakeSchema(const std::shared_ptr<arrow::Schema>& schema) {
  if (incoming_) return Error(ErrorCode::kInvalidArgument, "schema was already given");
  ARROW_RETURN_NOT_OK(schema::CheckIncomingSchema(*schema, context_.limits.schema));
  incoming_ = schema;
  return {};
}

arrow::Status Upload::CheckBatch(const arrow::RecordBatch& batch) const {
  ARROW_RETURN_NOT_OK(FaultPoint("ingest.decoded"));
  if (!incoming_) return Error(ErrorCode::kInvalidArgument, "batch came before a schema");
  if (batch.schema() != incoming_ &&
      !batch.schema()->Equals(*incoming_, /*check_metadata=*/false)) {
    return Error(ErrorCode::kBadData, "batch has another schema than its stream");
  }
  arrow::Status valid = batch.ValidateFull();
  if (valid.ok()) return valid;
  return Error(ErrorCode::kBadData, "batch is not valid Arrow data: ", valid.message());
}

sink::LedgerEntry Upload::NewLedgerEntry() const {
  sink::LedgerEntry entry;
  entry.table = table_name_;
  entry.key = context_.request.idempotency_key;
  entry.producer = context_.request.producer;
  entry.sequence = context_.request.sequence.value_or(0);
  entry.first_sequence = entry.sequence;
  return entry;
}

Receipt Upload::NewReceipt() const {
  Receipt receipt;
  receipt.stream = context_.request.stream;
  receipt.table = table_name_;
  receipt.backend = context_.backend->name;
  receipt.durability = std::string(context_.backend->sink->durability());
  return receipt;
}

void Upload::ReportLanded(const Receipt& receipt) {
  const std::chrono::duration<double> took =
      context_.service->options().clock->SteadyNow() - context_.opened_at;
  ServiceObserver::Landed landed;
  landed.stream = context_.request.stream;
  landed.backend = context_.backend->name;
  landed.protocol = context_.request.protocol;
  landed.rows = receipt.rows;
  landed.bytes = receipt.bytes;
  landed.batches = receipt.batches;
  landed.seconds = took.count();
  landed.replay = receipt.idempotent_replay;
  service().Landed(landed);
}

int64_t BytesOf(const arrow::RecordBatch& batch) {
  auto referenced = arrow::util::ReferencedBufferSize(batch);
  return referenced.ok() ? *referenced : arrow::util::TotalBufferSize(batch);
}

bool TableHasChanged(const arrow::Status& status) {
  if (status.ok()) return false;
  const ErrorCode code = CodeOf(status);
  return code == ErrorCode::kCommitConflict || code == ErrorCode::kTableNotFound;
}

}  // namespace arrowport::ingest
