// Where the catalog gets Delta tables from: names and snapshots, nothing of DuckDB.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "delta/actions.h"
#include "delta/snapshot.h"
#include "schema/names.h"
#include "store/store.h"

namespace arrowport::lake {

/// A table at one version. Immutable.
struct TableVersion {
  schema::TableName name;                     ///< as the source spells it
  std::shared_ptr<const store::Store> store;  ///< rooted at the table's folder
  std::shared_ptr<const delta::Snapshot> snapshot;
};

/// One commit of a table's log.
struct Commit {
  int64_t version = 0;
  int64_t timestamp_ms = 0;
  std::vector<delta::Action> actions;
};

/// Thread-safe. Names are compared exactly first, then ignoring case when that finds one.
class LogSource {
 public:
  virtual ~LogSource() = default;

  /// Every table there is now, in name order; tables that cannot be read among them.
  virtual arrow::Result<std::vector<schema::TableName>> Tables() = 0;
  /// Whether a table of this schema could be named; "main" always.
  virtual arrow::Result<bool> HasSchema(std::string_view schema) = 0;

  /// The newest version there is when this is called, or a later one. Errors:
  /// kTableNotFound, kInvalidName, kStorageCorrupt, kNotBuilt (a reader feature).
  virtual arrow::Result<TableVersion> Load(const schema::TableName& name) = 0;
  /// Errors: also kNotFound for a version that is not kept.
  virtual arrow::Result<TableVersion> LoadVersion(const schema::TableName& name,
                                                  int64_t version) = 0;
  /// The newest version that is not younger. Errors: also kNotFound.
  virtual arrow::Result<TableVersion> LoadAsOf(const schema::TableName& name,
                                               int64_t timestamp_ms) = 0;
  /// Errors: kNotFound for a commit that is not kept.
  virtual arrow::Result<Commit> ReadCommit(const schema::TableName& name,
                                           int64_t version) = 0;
};

}  // namespace arrowport::lake
