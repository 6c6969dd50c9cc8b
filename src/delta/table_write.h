// A write from its plan to its commit: the schema it leads to, the files staged for it, and
// whether they still fit when other writers were faster.
#pragma once

#include <arrow/result.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "delta/data_file_set.h"
#include "delta/snapshot.h"
#include "delta/table.h"
#include "delta/table_log.h"

namespace arrowport::delta {

/// What a write makes of the table, planned on one version of it.
struct WritePlan {
  std::shared_ptr<const Snapshot> base;  ///< nullptr: the write creates the table
  TableState state;                      ///< after the write
};

/// The plan of a write of `schema`. Errors: as DeltaTable::Append.
arrow::Result<WritePlan> PlanWrite(std::shared_ptr<const Snapshot> base,
                                   const arrow::Schema& schema,
                                   const WriteOptions& options);

/// Takes one more schema into the plan. Errors: as PlanWrite; the plan is unchanged then.
arrow::Status ExtendPlan(const arrow::Schema& schema, const WriteOptions& options,
                         WritePlan* plan);

/// Errors: as DataFileSet::Make.
arrow::Result<std::unique_ptr<DataFileSet>> MakeFileSet(
    const WritePlan& plan, std::shared_ptr<store::Store> store,
    std::shared_ptr<EncoderPool> encoders, const DataFileOptions& options);

/// Staged files on their way into the table.
class StagedCommit : public CommitIntent {
 public:
  enum class Kind { kAppend, kOverwrite };
  enum class WhenStale {
    kReplan,  ///< the caller has the rows still
    kAdapt,   ///< go on when the files fit the changed table, else kCommitConflict
  };
  struct Spec {
    Kind kind = Kind::kAppend;
    WhenStale when_stale = WhenStale::kReplan;
    PartitionFilter replace_where;  ///< kOverwrite
    WriteOptions options;
    std::shared_ptr<arrow::Schema> schema;  ///< of the write; with kAdapt
    std::vector<KeyEntry> keys;
    std::vector<ProducerSequence> producers;  ///< one per app_id
  };
  StagedCommit(WritePlan plan, StagedFiles files, Spec spec);

  arrow::Result<std::optional<CommitDraft>> Prepare(
      const TableLog& log, const std::shared_ptr<const Snapshot>& base) override;

  StagedFiles& files() { return files_; }

 private:
  /// Whether another commit holds one of our keys or sequences.
  bool IsReplayed(const TableLog& log) const;
  arrow::Result<bool> FollowTable(const std::shared_ptr<const Snapshot>& base);
  arrow::Status AddRemoves(const Snapshot& base, CommitDraft* draft) const;
  void Describe(CommitDraft* draft, int64_t files_removed) const;

  WritePlan plan_;
  StagedFiles files_;
  const Spec spec_;
};

/// Whether nothing that a writer depends on differs.
bool SameState(const TableState& a, const TableState& b);

}  // namespace arrowport::delta
