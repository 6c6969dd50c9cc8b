// The tables of the storage as they are, each with a generation that grows when a change
// of it is seen, whoever made it.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <map>
#include <memory>

#include "base/mutex.h"
#include "engine/database.h"
#include "schema/names.h"
#include "sink/table_sink.h"

namespace arrowport::sink {

/// Thread-safe. What it answers is true in the snapshot of the connection's transaction.
class TableCache {
 public:
  explicit TableCache(std::string catalog) : catalog_(std::move(catalog)) {}

  /// The table in the connection's transaction (or in one of its own): from memory when
  /// the catalog has not changed since, else read again. Errors: kTableNotFound.
  arrow::Result<std::shared_ptr<const Table>> Current(engine::Connection& connection,
                                                      const schema::TableName& name);

  /// All are read again on next use: after the storage was reopened its catalog counts
  /// from the start.
  void ForgetVersions();

 private:
  struct Known {
    std::shared_ptr<const Table> table;
    uint64_t catalog_version = kNeverRead;
  };
  static constexpr uint64_t kNeverRead = ~uint64_t{0};

  arrow::Result<std::shared_ptr<const Table>> Remember(const schema::TableName& name,
                                                       std::vector<Column> columns,
                                                       uint64_t catalog_version);

  const std::string catalog_;
  Mutex mutex_;
  std::map<schema::TableName, Known> known_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::sink
