// What both kinds of session have in common. Internal to ingest.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "ingest/delivery.h"
#include "ingest/service_state.h"
#include "ingest/table_target.h"

namespace arrowport::ingest {

/// How an upload was opened; immutable.
struct UploadContext {
  std::shared_ptr<ServiceState> service;
  Backend* backend = nullptr;  ///< lives as long as the service
  Request request;
  StreamSettings settings;
  Limits limits;
  schema::TableName table;
  std::shared_ptr<const sink::WriteOptions> write_options;
  WriteMode mode = WriteMode::kAppend;
  Clock::Steady opened_at;
};

/// The session proper. Shared with the tasks it has under way, so it may outlive the
/// handle the caller holds.
class Upload : public Session, public std::enable_shared_from_this<Upload> {
 public:
  Upload(UploadContext context, std::shared_ptr<SessionObserver> observer);

  std::optional<int64_t> producer_last_sequence() const override;

 protected:
  /// Checks the schema and keeps it. Errors: of CheckIncomingSchema.
  arrow::Status TakeSchema(const std::shared_ptr<arrow::Schema>& schema);
  /// Lets the index know of the key or producer what only the sink remembers.
  arrow::Status Recall();
  /// A job for the committer, without its rows.
  CommitJob NewJob() const;
  /// Everything a batch must pass before its values are used. Errors: kBadData.
  arrow::Status CheckBatch(const arrow::RecordBatch& batch) const;

  bool has_key() const { return !context_.request.idempotency_key.empty(); }
  bool has_producer() const { return !context_.request.producer.empty(); }
  bool skips() const { return context_.settings.on_mismatch == OnMismatch::kSkip; }
  sink::LedgerEntry NewLedgerEntry() const;
  Receipt NewReceipt() const;
  void ReportLanded(const Receipt& receipt);
  IdempotencyIndex& index() { return *context_.backend->index; }
  const IdempotencyIndex& index() const { return *context_.backend->index; }
  ServiceState& service() { return *context_.service; }

  const UploadContext context_;
  const std::string table_name_;
  const TableTarget target_;
  Delivery delivery_;
  std::shared_ptr<arrow::Schema> incoming_;
};

/// Bytes of the buffers that `batch` refers to.
int64_t BytesOf(const arrow::RecordBatch& batch);

/// How often a request is planned again because its table changed meanwhile: others may be
/// adding columns at the same time, each of them a change.
inline constexpr int kConflictRetriesMax = 8;

/// The write met another table than it was planned for, or none: worth planning again.
bool TableHasChanged(const arrow::Status& status);

std::shared_ptr<Upload> NewStreamUpload(UploadContext context,
                                        std::shared_ptr<SessionObserver> observer);
std::shared_ptr<Upload> NewBatchUpload(UploadContext context,
                                       std::shared_ptr<SessionObserver> observer);

}  // namespace arrowport::ingest
