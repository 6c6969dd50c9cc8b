// The Delta tables of one root that are in use, each opened once.
#pragma once

#include <arrow/result.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/mutex.h"
#include "delta/table.h"
#include "sink/delta/open_table.h"
#include "sink/delta/table_folder.h"

namespace arrowport::sink {

struct RegistryOptions {
  std::string root;
  store::Durability durability = store::Durability::kSync;
  delta::TableOptions table;
  NewTableRules new_tables;
  size_t tables_max = 1024;  ///< kept open; those used longest ago are closed first
};

/// Thread-safe. Opening one table does not hold up another.
class TableRegistry {
 public:
  TableRegistry(RegistryOptions options, delta::TableEnvironment environment)
      : options_(std::move(options)), environment_(std::move(environment)) {}

  /// With IfMissing::kRefuse null when there is no such folder; the table in it may not
  /// exist yet. Errors: those of OpenTableFolder and delta::DeltaTable::Open.
  arrow::Result<std::shared_ptr<OpenTable>> Find(const schema::TableName& name,
                                                 IfMissing if_missing);
  /// Opened afresh when named next: its folder may have been replaced.
  void Forget(const OpenTable& table);
  void VisitOpen(const std::function<void(OpenTable&)>& visit);

  const RegistryOptions& options() const { return options_; }

 private:
  struct Slot {
    Mutex mutex;  ///< held while the table is opened
    std::shared_ptr<OpenTable> table GUARDED_BY(mutex);
  };

  void CloseIdle() REQUIRES(mutex_);

  const RegistryOptions options_;
  const delta::TableEnvironment environment_;
  Mutex mutex_;
  std::map<schema::TableName, std::shared_ptr<Slot>> slots_ GUARDED_BY(mutex_);
  int64_t uses_ GUARDED_BY(mutex_) = 0;
};

}  // namespace arrowport::sink
