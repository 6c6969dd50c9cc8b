// The state of a table at one version, and how it is found: listing, checkpoints, replay.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "delta/actions.h"
#include "delta/schema.h"
#include "delta/table_properties.h"
#include "store/store.h"

namespace arrowport::delta {

/// What the newest protocol and metaData say, parsed and checked once. Immutable.
struct TableState {
  Protocol protocol;
  Metadata metadata;
  std::shared_ptr<const TableSchema> schema;
  NameStyle column_names = NameStyle::kLogical;  ///< kPhysical under column mapping
  bool match_by_field_id = false;                ///< column mapping mode "id"
  TableProperties properties;                    ///< of metadata.configuration

  /// Parses and checks the two. Errors: kStorageCorrupt, kUnsupportedType (ParseSchema),
  /// kNotBuilt (CheckReadable, a format other than Parquet).
  static arrow::Result<std::shared_ptr<const TableState>> Make(Protocol protocol,
                                                               Metadata metadata);

  /// Whether `column` is a partition column, by its name in the schema.
  bool IsPartitionColumn(std::string_view column) const;
  /// The key of a column in partition values and statistics.
  const std::string& StoredName(const StructField& field) const;
};

/// Immutable; shared by readers and by the next version's snapshot (files are kept in
/// pieces so that an append costs what it adds).
class Snapshot {
 public:
  virtual ~Snapshot() = default;

  virtual int64_t version() const = 0;
  /// In-commit timestamp when the table has them, else the commit file's time made
  /// monotone.
  virtual int64_t timestamp_ms() const = 0;
  virtual const TableState& state() const = 0;

  virtual int64_t file_count() const = 0;
  virtual int64_t size_bytes() const = 0;
  /// Visits every live file, in an order that is stable for this snapshot; `index` runs
  /// from 0. The reference lives as long as the snapshot.
  virtual void VisitFiles(
      const std::function<void(int64_t index, const AddFile&)>& visit) const = 0;
  /// Whether a live file has this path (decoded) and deletion vector id ("" = none).
  virtual bool Contains(std::string_view path, std::string_view dv_id) const = 0;

  /// Removed files within the retention, for checkpoints and vacuum.
  virtual void VisitTombstones(const std::function<void(const RemoveFile&)>& visit)
      const = 0;
  /// The transaction map; expired entries (delta.setTransactionRetentionDuration) left
  /// out.
  virtual std::optional<int64_t> TransactionVersion(std::string_view app_id) const = 0;
  virtual const std::map<std::string, SetTransaction, std::less<>>& transactions()
      const = 0;
  virtual const std::map<std::string, DomainMetadata, std::less<>>& domains() const = 0;
};

struct LogEntry {
  int64_t version = 0;
  int64_t size = 0;
  int64_t modified_ms = 0;
};

/// One table's log below `_delta_log`. Thread-safe, without state of its own.
class LogReader {
 public:
  /// `clock` outlives the reader and its snapshots; it decides what has expired.
  explicit LogReader(std::shared_ptr<const store::Store> store,
                     const Clock& clock = SystemClock());

  /// The newest version. Errors: kTableNotFound (no log), kStorageCorrupt (gap, no
  /// protocol, no metadata, malformed commit, ... by name), kNotBuilt (a reader feature or
  /// version that is not supported, by name).
  arrow::Result<std::shared_ptr<const Snapshot>> Load() const;
  /// Errors: also kNotFound for a version that was never made or is cleaned up.
  arrow::Result<std::shared_ptr<const Snapshot>> Load(int64_t version) const;
  /// The newest version made at or before `timestamp_ms`. Errors: kNotFound before the
  /// first version kept, and after the last when that time is still to come.
  arrow::Result<std::shared_ptr<const Snapshot>> LoadAsOf(int64_t timestamp_ms) const;
  /// `base` or what is newer: reads only the commits after base->version(), lists nothing
  /// while they are few.
  arrow::Result<std::shared_ptr<const Snapshot>> Refresh(
      std::shared_ptr<const Snapshot> base) const;
  /// `base` with one more commit applied, as Refresh would find it; for the writer that
  /// made it.
  static arrow::Result<std::shared_ptr<const Snapshot>> Apply(
      std::shared_ptr<const Snapshot> base, const std::vector<Action>& actions,
      int64_t modified_ms);
  /// A table's first version from its actions.
  static arrow::Result<std::shared_ptr<const Snapshot>> First(
      const std::vector<Action>& actions, int64_t modified_ms);

  /// One commit's actions. Errors: kNotFound.
  arrow::Result<std::vector<Action>> ReadCommit(int64_t version) const;

  struct HistoryEntry {
    int64_t version = 0;
    int64_t timestamp_ms = 0;
    CommitInfo info;  ///< json empty when the commit has none
  };
  /// Newest first, at most `limit`; only versions whose commit file is kept.
  arrow::Result<std::vector<HistoryEntry>> History(int64_t limit) const;

  const store::Store& store() const { return *store_; }

 private:
  arrow::Result<std::shared_ptr<const Snapshot>> LoadOnce(
      std::optional<int64_t> version) const;

  std::shared_ptr<const store::Store> store_;
  const Clock* clock_;
};

/// "_delta_log/00000000000000000012.json"
std::string CommitPath(int64_t version);

/// Whether this library reads / writes a table of this protocol and metadata. Errors:
/// kNotBuilt naming the feature or version. `writer`: also features that are listed but
/// not in use are fine (delta.md 4.1); ones in use that we do not enforce are refused.
arrow::Status CheckReadable(const Protocol& protocol);
arrow::Status CheckWritable(const TableState& state);

}  // namespace arrowport::delta
