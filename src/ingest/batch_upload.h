// A long-lived upload whose batches are durable one by one. Internal to ingest.
//
// What waits while a commit runs becomes the next unit: one write, one ledger entry, one
// cumulative acknowledgement. At most one unit of an upload is under way, so nothing
// behind a batch that fails is ever applied.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ingest/row_groups.h"
#include "ingest/upload.h"

namespace arrowport::ingest {

/// As StreamUpload: beside the caller, one thread at a time runs Advance (running_).
class BatchUpload : public Upload {
 public:
  using Upload::Upload;

  arrow::Status Start(const std::shared_ptr<arrow::Schema>& schema) override;
  arrow::Result<Flow> Push(std::shared_ptr<arrow::RecordBatch> batch) override;
  void Finish() override;
  void Abort() override;

 private:
  struct Message {
    int64_t offset = 0;
    std::shared_ptr<arrow::RecordBatch> batch;  ///< null: skipped
    int64_t rows = 0;
    int64_t bytes = 0;
    uint64_t ticket = 0;
  };
  struct Unit {
    std::vector<Message> messages;
    int64_t rows = 0;
    int64_t bytes = 0;
    bool claimed = false;
  };
  enum class Step { kStop, kPrepare, kWrite, kEnd };

  arrow::Result<Flow> Add(Message message);
  /// Ends the upload behind what was taken; the caller has the status.
  arrow::Status RefuseRest(arrow::Status status);
  int64_t SequenceOf(int64_t offset) const { return *context_.request.sequence + offset; }
  ClaimRequest ClaimFor(const Unit& unit) const;

  void Schedule();
  void Advance();
  Step NextStep() REQUIRES(mutex_);
  void TakeUnit() REQUIRES(mutex_);
  void DropQueue() REQUIRES(mutex_);
  bool Relieve() REQUIRES(mutex_);
  void Prepare();
  /// False: somebody else goes on later.
  bool Write();
  bool TakeClaim(arrow::Result<Claim> claim);
  bool Submit();
  void OnCommitted(const sink::WriteUnit& written, sink::WriteOutcome outcome);
  void UnitFailed(const arrow::Status& status);
  void UnitDone(const std::string& version, bool replay);
  void PutBack(size_t units_of);
  void Fail(const arrow::Status& status);
  void End();

  // Of the caller's thread.
  std::optional<schema::CastPlan> cast_;
  int64_t next_offset_ = 0;
  int64_t received_rows_ = 0;

  // Of whoever runs.
  std::shared_ptr<const sink::Table> table_;
  bool refit_ = false;
  Unit unit_;
  Ack acked_;
  Receipt total_;
  bool all_replayed_ = true;

  Mutex mutex_;
  std::deque<Message> queue_ GUARDED_BY(mutex_);
  int64_t queue_bytes_ GUARDED_BY(mutex_) = 0;
  size_t unit_messages_max_ GUARDED_BY(mutex_) = SIZE_MAX;
  std::string misfit_ GUARDED_BY(mutex_);  ///< skip: why nothing of this shape fits
  std::string warning_ GUARDED_BY(mutex_);
  std::optional<arrow::Status> refused_ GUARDED_BY(mutex_);
  bool change_ GUARDED_BY(mutex_) = false;
  int conflict_retries_ GUARDED_BY(mutex_) = 0;
  bool paused_ GUARDED_BY(mutex_) = false;
  bool finished_ GUARDED_BY(mutex_) = false;
  bool running_ GUARDED_BY(mutex_) = false;
  bool over_ GUARDED_BY(mutex_) = false;
};

}  // namespace arrowport::ingest
