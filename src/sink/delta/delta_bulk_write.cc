#include "sink/delta/delta_bulk_write.h"

#include <utility>

#include "base/fault_point.h"
#include "base/log.h"

namespace arrowport::sink {

arrow::Status DeltaBulkWrite::Append(
    std::vector<std::shared_ptr<arrow::RecordBatch>> batches) {
  ARROW_RETURN_NOT_OK(FaultPoint("sink.insert.before"));
  for (auto& batch : batches) {
    const std::shared_ptr<arrow::RecordBatch> given = std::move(batch);
    ARROW_RETURN_NOT_OK(write_->Append(given));
  }
  return FaultPoint("sink.insert.after");
}

WriteOutcome DeltaBulkWrite::Commit(std::optional<LedgerEntry> ledger) {
  if (arrow::Status before = FaultPoint("sink.commit.before"); !before.ok()) {
    write_.reset();
    return {before, {}};
  }
  const delta::WriteOutcome committed = write_->Commit(ProducerOf(ledger), KeyOf(ledger));
  write_.reset();
  WriteOutcome outcome = OutcomeOf(committed, PlanOf(*plan_), *table_);
  if (NeedsReopening(committed.status)) registry_->Forget(*table_);
  if (on_commit_) on_commit_(table_->name(), committed.status);
  if (!outcome.status.ok()) return outcome;
  // What fails here cannot undo the commit.
  const arrow::Status after = FaultPoint("sink.commit.after");
  if (!after.ok()) LogWarn("after a commit", {{"error", after.message()}});
  upkeep_->Look(table_);
  return outcome;
}

}  // namespace arrowport::sink
