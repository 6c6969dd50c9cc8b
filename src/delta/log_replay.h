// From actions to snapshots: the replay of a log. Source: Delta protocol, "Action
// Reconciliation".
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "delta/checkpoint_read.h"
#include "delta/log_file_set.h"
#include "delta/log_transactions.h"
#include "delta/snapshot.h"

namespace arrowport::delta {

/// The one implementation of Snapshot. Immutable.
class TableSnapshot final : public Snapshot {
 public:
  int64_t version() const override { return version_; }
  int64_t timestamp_ms() const override { return timestamp_ms_; }
  const TableState& state() const override { return *state_; }
  int64_t file_count() const override { return files_.count(); }
  int64_t size_bytes() const override { return files_.bytes(); }
  void VisitFiles(
      const std::function<void(int64_t, const AddFile&)>& visit) const override;
  bool Contains(std::string_view path, std::string_view dv_id) const override;
  void VisitTombstones(
      const std::function<void(const RemoveFile&)>& visit) const override;
  std::optional<int64_t> TransactionVersion(std::string_view app_id) const override;
  const std::map<std::string, SetTransaction, std::less<>>& transactions() const override {
    return transactions_.All();
  }
  const std::map<std::string, DomainMetadata, std::less<>>& domains() const override {
    return *domains_;
  }

 private:
  friend class SnapshotChange;
  using Domains = std::map<std::string, DomainMetadata, std::less<>>;

  explicit TableSnapshot(const Clock& clock) : clock_(&clock) {}
  int64_t NowMs() const;
  bool IsExpired(const RemoveFile& remove, int64_t now_ms) const;

  const Clock* clock_;
  int64_t version_ = -1, timestamp_ms_ = 0;
  std::shared_ptr<const TableState> state_;
  FileSet<AddFile> files_;
  FileSet<RemoveFile> tombstones_;
  int64_t tombstones_before_purge_ = 1000;
  TransactionMap transactions_;
  std::shared_ptr<const Domains> domains_;
};

/// Commits on their way into a snapshot, oldest first. Caller-locked.
class SnapshotChange {
 public:
  /// From nothing, or from a checkpoint.
  explicit SnapshotChange(const Clock& clock);
  /// From `base`, which is a TableSnapshot.
  explicit SnapshotChange(const Snapshot& base);

  arrow::Status AddCheckpoint(CheckpointContent content);
  /// Errors: kStorageCorrupt (a path).
  arrow::Status AddCommit(std::vector<Action> actions);
  /// The last commit was `version`, its file is of `modified_ms`. Errors: those of
  /// TableState::Make; kStorageCorrupt when protocol or metadata are missing.
  arrow::Result<std::shared_ptr<const Snapshot>> Finish(int64_t version,
                                                        int64_t modified_ms);

 private:
  arrow::Status Add(Action action);
  void PurgeTombstones(TableSnapshot* snapshot) const;

  TableSnapshot base_;
  FileSetChange<AddFile> files_;
  FileSetChange<RemoveFile> tombstones_;
  std::optional<Protocol> protocol_;
  std::optional<Metadata> metadata_;
  TransactionMap::Map transactions_;
  std::map<std::string, DomainMetadata, std::less<>> domains_;
  bool domains_changed_ = false;
  std::optional<int64_t> in_commit_timestamp_ms_;  ///< of the last commit
};

}  // namespace arrowport::delta
