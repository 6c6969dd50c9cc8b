// The TableSink of a folder of Delta tables.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "delta/table.h"
#include "sink/table_sink.h"
#include "store/store.h"

namespace arrowport::sink {

class OpenTable;
class TableRegistry;
class Upkeep;

struct DeltaSinkOptions {
  std::string root;  ///< a local folder, made by the first write; "s3://..." is kNotBuilt
  store::Durability durability = store::Durability::kSync;
  int64_t checkpoint_interval = 10;      ///< versions; a table's own property wins
  int64_t checkpoint_spacing_ms = 30'000;  ///< at most one in that time
  int64_t idempotency_window_hours = 24;
  bool enable_change_feed = false;  ///< of tables made here
  int encoders = 0;                 ///< files encoded at a time; 0: one per processor
  size_t tables_max = 1024;         ///< kept open
  int64_t free_space_min = 0;       ///< bytes; CheckRoom fails below
  const Clock* clock = &SystemClock();
  /// Told of every commit tried, on the committing thread; may be null, must not block.
  std::function<void(const schema::TableName& name, const arrow::Status& status)>
      on_commit;
};

/// A table as its writers use it, for work beside them.
struct SharedTable {
  std::shared_ptr<delta::DeltaTable> table;
  std::shared_ptr<store::Store> store;  ///< its root is the table's folder
};

struct DeltaSinkCounters {
  int64_t checkpoints = 0;
  int64_t checkpoint_failures = 0;
  int64_t log_files_removed = 0;
};

/// Thread-safe. Commits of one table run one at a time, those of different tables beside
/// each other; other processes may write to the same tables.
class DeltaSink final : public TableSink {
 public:
  /// Touches no file: a root that is missing or cannot be used shows at the first write.
  static std::unique_ptr<DeltaSink> Make(DeltaSinkOptions options);
  /// Stops the upkeep. REQUIRES: no call is running, no BulkWrite is left.
  ~DeltaSink() override;

  std::string_view backend() const override { return "delta"; }
  std::string_view durability() const override;
  CommitScope commit_scope() const override { return CommitScope::kTable; }
  NameCase name_case() const override { return NameCase::kSignificant; }
  arrow::Status CheckName(const schema::TableName& name) const override;
  arrow::Status CheckRoom() const override;

  arrow::Result<std::shared_ptr<const Table>> Open(
      const schema::TableName& name) override;
  arrow::Result<std::shared_ptr<const Table>> Plan(
      const schema::TableName& name, const std::shared_ptr<arrow::Schema>& incoming,
      const WriteOptions& options) override;
  arrow::Result<std::shared_ptr<const Table>> Prepare(
      const schema::TableName& name, const std::shared_ptr<arrow::Schema>& incoming,
      const WriteOptions& options) override;
  std::vector<WriteOutcome> CommitGroup(std::span<const WriteUnit> units) override;
  arrow::Result<std::unique_ptr<BulkWrite>> BeginBulk(
      std::shared_ptr<const Table> table, TableChange change,
      const WriteOptions& options) override;

  arrow::Result<std::vector<LedgerEntry>> LoadLedger(int64_t since_us) override;
  arrow::Result<std::optional<LedgerEntry>> RecallKey(const schema::TableName& name,
                                                      const std::string& key) override;
  arrow::Result<std::optional<LedgerEntry>> RecallProducer(
      const schema::TableName& name, const std::string& producer) override;
  /// The log itself forgets what is older than the window.
  arrow::Status PruneLedger(int64_t before_us) override { return {}; }

  /// Of every table in use.
  arrow::Status Checkpoint() override;

  /// The handle of the writers, its newest state read. Errors: kTableNotFound, and as
  /// Open.
  arrow::Result<SharedTable> Share(const schema::TableName& name);
  /// Of the tables in use now: what this process knows of them, without reading.
  void VisitTables(
      const std::function<void(const schema::TableName& name,
                               const std::shared_ptr<const delta::Snapshot>& snapshot)>&
          visit) const;
  const std::shared_ptr<delta::EncoderPool>& encoders() const {
    return environment_.encoders;
  }

  DeltaSinkCounters counters() const;

 private:
  explicit DeltaSink(DeltaSinkOptions options);
  arrow::Status CheckBuilt() const;
  arrow::Result<std::shared_ptr<OpenTable>> FindToRead(const schema::TableName& name);
  arrow::Result<std::shared_ptr<OpenTable>> FindToWrite(const schema::TableName& name);
  void CommitTable(std::span<const WriteUnit> units, const std::vector<size_t>& members,
                   std::vector<WriteOutcome>* outcomes);

  const DeltaSinkOptions options_;
  const delta::TableEnvironment environment_;
  const std::unique_ptr<TableRegistry> registry_;
  const std::shared_ptr<Upkeep> upkeep_;
};

}  // namespace arrowport::sink
