// One Delta table in use, and the plans made for it.
#pragma once

#include <arrow/result.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "delta/table.h"
#include "sink/table_sink.h"

namespace arrowport::sink {

/// What the Delta sink gives out as Table.
struct DeltaPlan : Table {
  /// Columns of the upload, named and typed as the table's, all nullable.
  std::shared_ptr<arrow::Schema> written;
};

/// A table's properties when a first write makes it.
struct NewTableRules {
  bool enable_change_feed = false;
};

delta::WriteOptions DeltaOptionsOf(const WriteOptions& options, const NewTableRules& rules);

/// The plan of a write that makes the table. Errors: as delta::PlanTable.
arrow::Result<std::shared_ptr<const DeltaPlan>> PlanNewTable(
    const schema::TableName& name, const arrow::Schema& incoming,
    const WriteOptions& options, const NewTableRules& rules);

/// "delta:<table>:<version>"
std::string VersionToken(const schema::TableName& name, int64_t version);

/// Thread-safe.
class OpenTable {
 public:
  OpenTable(schema::TableName name, std::shared_ptr<delta::DeltaTable> table,
            NewTableRules rules)
      : name_(std::move(name)), table_(std::move(table)), rules_(rules) {}

  const schema::TableName& name() const { return name_; }
  delta::DeltaTable& table() { return *table_; }

  /// On the state known now. Errors: kSchemaMismatch, kUnsupportedType, kInvalidName,
  /// kNotBuilt (a writer feature).
  arrow::Result<std::shared_ptr<const DeltaPlan>> Plan(
      const std::shared_ptr<arrow::Schema>& incoming, const WriteOptions& options);

  /// All columns as they are. Errors: kTableNotFound.
  arrow::Result<std::shared_ptr<const DeltaPlan>> Present();

  /// Changes with what a writer depends on; 0 while there is no table.
  uint64_t Generation();

  /// Claimed by whoever queues the table for upkeep, given back when that is done.
  std::atomic<bool> upkeep_queued{false};
  std::atomic<int64_t> cleaned_at_ms{0};
  std::atomic<int64_t> used_at{0};  ///< of the registry: the larger the later

 private:
  struct Made {
    std::shared_ptr<arrow::Schema> incoming;
    WriteOptions options;
    std::shared_ptr<const DeltaPlan> plan;
  };

  uint64_t GenerationOf(const delta::Snapshot* snapshot) REQUIRES(mutex_);
  arrow::Result<std::shared_ptr<const DeltaPlan>> MakePlan(
      const delta::Snapshot* snapshot, uint64_t generation,
      const std::shared_ptr<arrow::Schema>& incoming, const WriteOptions& options) const;

  const schema::TableName name_;
  const std::shared_ptr<delta::DeltaTable> table_;
  const NewTableRules rules_;

  Mutex mutex_;
  uint64_t generation_ GUARDED_BY(mutex_) = 0;
  delta::Metadata metadata_ GUARDED_BY(mutex_);    ///< of generation_
  delta::Protocol protocol_ GUARDED_BY(mutex_);    ///< of generation_
  std::vector<Made> made_ GUARDED_BY(mutex_);  ///< of generation_, newest last
};

}  // namespace arrowport::sink
