// A large upload into a Delta table: files staged piece by piece, one commit.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "sink/delta/member.h"
#include "sink/delta/table_registry.h"
#include "sink/delta/upkeep.h"
#include "sink/table_sink.h"

namespace arrowport::sink {

/// Destroying it uncommitted removes its files.
class DeltaBulkWrite final : public BulkWrite {
 public:
  using OnCommit =
      std::function<void(const schema::TableName& name, const arrow::Status& status)>;
  /// `registry` outlives it.
  DeltaBulkWrite(TableRegistry* registry, std::shared_ptr<Upkeep> upkeep,
                 OnCommit on_commit, std::shared_ptr<OpenTable> table,
                 std::shared_ptr<const Table> plan,
                 std::unique_ptr<delta::TableWrite> write)
      : registry_(registry),
        upkeep_(std::move(upkeep)),
        on_commit_(std::move(on_commit)),
        table_(std::move(table)),
        plan_(std::move(plan)),
        write_(std::move(write)) {}

  arrow::Status Append(
      std::vector<std::shared_ptr<arrow::RecordBatch>> batches) override;
  WriteOutcome Commit(std::optional<LedgerEntry> ledger) override;

 private:
  TableRegistry* const registry_;
  const std::shared_ptr<Upkeep> upkeep_;
  const OnCommit on_commit_;  ///< may be null
  const std::shared_ptr<OpenTable> table_;
  const std::shared_ptr<const Table> plan_;
  std::unique_ptr<delta::TableWrite> write_;
};

}  // namespace arrowport::sink
