// A Delta table as its writers see it: append, overwrite, change of schema, each one commit;
// exactly-once bookkeeping in the same commit; checkpoints and clean-up beside the writers.
//
// Isolation. Appends never conflict with appends. An overwrite replaces what is live at the
// version it is committed on top of: after a lost race it takes in the winner's files and
// goes on, so the table then holds exactly what the overwrite wrote. Changes of files by
// maintenance (FileChange) are checked against every commit since their snapshot, appends
// of winners left aside (WriteSerializable). The rules stand in conflict.h.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "delta/actions.h"
#include "delta/data_file_writer.h"
#include "delta/encoder_pool.h"
#include "delta/schema.h"
#include "delta/snapshot.h"
#include "store/store.h"

namespace arrowport::delta {

enum class SchemaMode {
  kStrict,     ///< a column the table lacks is kSchemaMismatch
  kMerge,      ///< it is added in the same commit, nullable, inside structs too
  kOverwrite,  ///< the write's schema replaces the table's; overwrites only
};

enum class TypeWidening {
  kOff,     ///< a wider type is kSchemaMismatch
  kEnable,  ///< under kMerge: the column's type changes and the table gets the feature
};

/// What a table is made with by the first write to it.
struct TableDefinition {
  std::vector<std::string> partition_by;
  /// Delta table properties: "delta.enableChangeDataFeed" = "true", ...
  StringMap configuration;
  std::optional<std::string> name, description;
};

struct WriteOptions {
  SchemaMode schema_mode = SchemaMode::kStrict;
  TypeWidening type_widening = TypeWidening::kOff;
  DataFileOptions files;
  /// Absent: writing to a table that does not exist is kTableNotFound. Where the table
  /// exists it is ignored, but for `partition_by` under SchemaMode::kOverwrite.
  std::optional<TableDefinition> create;
};

/// An idempotency key as the log keeps it.
struct KeyEntry {
  std::string key;     ///< UTF-8, at most 255 bytes
  std::string sha256;  ///< 32 bytes: content of the request
  int64_t rows = 0;
};

/// A key that is in the log.
struct CommittedKey {
  std::string sha256;
  int64_t rows = 0;
  int64_t version = 0;
  int64_t committed_ms = 0;
};

/// A transaction of the log: `version` is the producer's own count.
struct ProducerSequence {
  std::string app_id;
  int64_t version = 0;  ///< the last sequence of the rows
  /// The first one, when the rows cover several: a log that holds part of them already
  /// (another server was faster) refuses them with kSequenceGap.
  std::optional<int64_t> first;

  int64_t First() const { return first.value_or(version); }
};

/// One request of a group: in the commit wholly or not at all.
struct AppendMember {
  /// All of `schema`. May be empty: then only the bookkeeping (and, under kMerge, new
  /// columns) is committed.
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
  std::shared_ptr<arrow::Schema> schema;
  std::optional<ProducerSequence> producer;
  std::optional<KeyEntry> key;
};

struct WriteOutcome {
  arrow::Status status;
  /// Of the table, holding the rows: for read-your-writes. -1 when status is not OK.
  int64_t version = -1;
  /// The key or sequence was in the log already; nothing was written for this request.
  bool replayed = false;
  /// Of the first commit, when replayed by a key.
  int64_t rows = 0;
};

/// Which files an overwrite replaces: of partitions where every listed column has one of
/// its values (text as in the log, absent for NULL). Empty: all.
struct PartitionFilter {
  std::vector<std::pair<std::string, std::vector<std::optional<std::string>>>> columns;
};

/// An append or overwrite of any size, piece by piece. Caller-locked; its calls block on
/// encoding and storage. Destroying it uncommitted removes its files.
class TableWrite {
 public:
  virtual ~TableWrite() = default;
  /// As DataFileSet::Append.
  virtual arrow::Status Append(const std::shared_ptr<arrow::RecordBatch>& batch) = 0;
  /// Once. Errors: kCommitConflict when another writer changed the schema so that the
  /// files no longer fit, kKeyReused, kNoSpace, kStorageUnavailable.
  virtual WriteOutcome Commit(std::optional<ProducerSequence> producer,
                              std::optional<KeyEntry> key) = 0;
};

/// What a change of files looked at; decides which winners it conflicts with.
struct ReadSet {
  enum class Kind {
    kRemovedFiles,  ///< only the files it removes: compaction within the table
    kPartitions,    ///< all files of `partitions`
    kTable,         ///< all files
    kVersion,       ///< the table as of the plan: every winner conflicts
  };
  Kind kind = Kind::kRemovedFiles;
  PartitionFilter partitions;
};

/// A commit made elsewhere: compaction, z-order, vacuum's log entries, restore, properties.
struct FileChange {
  std::string operation;  ///< "OPTIMIZE"
  /// Name -> the text the log holds as a JSON string: "Append", "true", "[\"a\"]".
  std::vector<std::pair<std::string, std::string>> parameters;
  std::vector<std::pair<std::string, int64_t>> metrics;
  /// The state it was planned on.
  std::shared_ptr<const Snapshot> planned_on;
  ReadSet reads;
  /// Its removes must still be live when it commits; `dataChange` stands in each action.
  std::vector<RemoveFile> removes;
  std::vector<AddFile> adds;
  std::vector<AddCdcFile> cdc_files;
  std::optional<Protocol> protocol;
  std::optional<Metadata> metadata;
  std::vector<DomainMetadata> domains;
};

struct LogPolicy {
  int64_t checkpoint_interval = 10;  ///< versions; the table's delta.checkpointInterval wins
  int64_t checkpoint_spacing_ms = 30'000;
  int64_t key_window_ms = int64_t{24} * 3600 * 1000;  ///< keys are remembered this long
};

struct TableOptions {
  std::string engine_info = "Arrowport/1.0.0";
  LogPolicy log;
  int commit_attempts_max = 30;  ///< lost races before kCommitConflict
};

/// What every table of a process shares.
struct TableEnvironment {
  std::shared_ptr<EncoderPool> encoders;
  const Clock* clock = &SystemClock();
};

struct CleanUpReport {
  int64_t log_files_removed = 0;
  int64_t key_files_removed = 0;
};

/// Thread-safe. Appends encode in parallel and commit one at a time; a commit reads
/// nothing and lists nothing unless another writer was faster. Every call may block on
/// storage.
class DeltaTable {
 public:
  /// `store`: its root is the table's folder. A folder without a log is no error: the
  /// table does not exist yet. Errors: kStorageCorrupt, kNotBuilt (reader feature by
  /// name), kStorageUnavailable.
  static arrow::Result<std::shared_ptr<DeltaTable>> Open(
      std::shared_ptr<store::Store> store, TableEnvironment environment,
      TableOptions options);
  virtual ~DeltaTable() = default;

  /// The newest state this handle knows; nullptr while the table does not exist.
  virtual std::shared_ptr<const Snapshot> snapshot() const = 0;
  /// Reads what other writers have committed since.
  virtual arrow::Result<std::shared_ptr<const Snapshot>> Refresh() = 0;

  /// One version for all members that hold good, several only when together they have more
  /// partitions than one write may; outcomes[i] belongs to members[i]. A
  /// member that does not fit the table, or whose key or sequence is taken, does not keep
  /// the others from being written. Creates the table when `options.create` says how.
  /// Under SchemaMode::kMerge members may bring different columns. Member errors:
  /// kSchemaMismatch, kConstraintViolation, kUnsupportedType, kInvalidName, kKeyReused,
  /// kInvalidArgument, kSequenceGap (behind a refused one of its producer); of the group:
  /// kTableNotFound, kNotBuilt (writer feature by
  /// name), kCommitConflict, kNoSpace, kStorageUnavailable (then nobody knows whether the
  /// commit is there: a repeat with the same key finds out). The log keeps only the highest
  /// sequence of a producer: its requests have to come in order, one call at a time.
  virtual std::vector<WriteOutcome> Append(std::span<const AppendMember> members,
                                           const WriteOptions& options) = 0;

  /// Begins an append of `schema`'s rows. Errors: as Append.
  virtual arrow::Result<std::unique_ptr<TableWrite>> BeginAppend(
      std::shared_ptr<arrow::Schema> schema, const WriteOptions& options) = 0;
  /// Begins an overwrite. Errors: also kConstraintViolation on a table that is append-only,
  /// kInvalidArgument for a filter on other than partition columns; with a filter a row of
  /// another partition is kSchemaMismatch, and kOverwrite of the schema is refused.
  virtual arrow::Result<std::unique_ptr<TableWrite>> BeginOverwrite(
      std::shared_ptr<arrow::Schema> schema, PartitionFilter replace_where,
      const WriteOptions& options) = 0;

  /// Commits files staged by the caller, who removes them when this fails, unless the code
  /// is kStorageUnavailable. Returns the version. Errors: kCommitConflict.
  virtual arrow::Result<int64_t> Commit(const FileChange& change) = 0;

  /// Nothing when the key is not in the log, or is older than the window.
  virtual std::optional<CommittedKey> FindKey(std::string_view key) const = 0;
  /// The highest sequence of a producer in the log.
  virtual std::optional<int64_t> LastSequence(std::string_view app_id) const = 0;

  /// Whether a checkpoint is due by the policy; cheap.
  virtual bool CheckpointDue() const = 0;
  /// Writes checkpoint, `_last_checkpoint` and key summary for the present version, beside
  /// the writers. A checkpoint that is there already is no error.
  virtual arrow::Status WriteCheckpoint() = 0;
  /// Removes log files that no reader within delta.logRetentionDuration needs; does nothing
  /// under delta.enableExpiredLogCleanup=false, or before a checkpoint allows it.
  virtual arrow::Result<CleanUpReport> CleanUpLog() = 0;
};

/// The schema a table gets from a first write, and the protocol it needs: for checks before
/// rows arrive. Errors: kUnsupportedType, kInvalidName, kBadConfig (unknown delta.*
/// property), kColumnNotFound (partition column).
arrow::Result<TableState> PlanTable(const arrow::Schema& schema,
                                    const TableDefinition& definition);

/// The state of a table after a write of `schema` by `mode`; `state` itself when nothing
/// changes. Errors: as DeltaTable::Append. Pure.
arrow::Result<TableState> EvolveTable(const TableState& state, const arrow::Schema& schema,
                                      SchemaMode mode, TypeWidening widening);

}  // namespace arrowport::delta
