// A group of requests appended in one commit, or in several where one would be too wide.
#pragma once

#include <arrow/result.h>

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "delta/table.h"
#include "delta/table_log.h"
#include "delta/table_write.h"

namespace arrowport::delta {

/// Errors: kInvalidArgument for a key, digest or producer that cannot be written.
arrow::Status CheckBookkeeping(const AppendMember& member);

/// Whether `member` is in the log already; `outcome` then says so (or kKeyReused).
bool FindReplay(const TableLog& log, const AppendMember& member, WriteOutcome* outcome);

/// One call of DeltaTable::Append. Caller-locked; runs once.
class GroupAppend {
 public:
  GroupAppend(TableLog* log, std::shared_ptr<store::Store> store,
              std::shared_ptr<EncoderPool> encoders, std::span<const AppendMember> members,
              const WriteOptions& options);

  std::vector<WriteOutcome> Run(int attempts_max);

 private:
  /// Ends members that cannot or need not be written.
  void Sort();
  void SortOne(size_t member, std::map<std::string_view, size_t>* by_key,
               std::map<std::string_view, size_t>* by_producer);
  void EndFollowers();
  void EndReplays();
  arrow::Result<WritePlan> Plan();
  arrow::Result<StagedFiles> Stage(const WritePlan& plan, bool* restart);
  /// True when all members of the commit have their outcome.
  bool Attempt();
  StagedCommit::Spec Bookkeeping() const;
  bool ChangesNothing(const WritePlan& plan, const StagedFiles& files) const;

  void Defer(size_t from);
  void End(size_t member, arrow::Status status);
  void EndAll(const arrow::Status& status);
  void Succeed(int64_t version);

  TableLog* const log_;
  const std::shared_ptr<store::Store> store_;
  const std::shared_ptr<EncoderPool> encoders_;
  const std::span<const AppendMember> members_;
  const WriteOptions& options_;
  std::vector<WriteOutcome> outcomes_;
  std::vector<size_t> waiting_;  ///< members of the next commit, in order
  /// Behind them, in order: with these it would have too many partitions.
  std::vector<size_t> later_;
  /// Members that repeat the key or sequence of an earlier one of the same group.
  std::vector<std::pair<size_t, size_t>> followers_;
};

}  // namespace arrowport::delta
