// Delta tables below one folder: table `t` is <root>/t, `s.t` is <root>/s/t. A folder that
// holds `_delta_log` is a table, whoever wrote it, from the moment it is there.
#pragma once

#include <arrow/result.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "lake/log_source.h"

namespace arrowport::lake {

struct FolderSourceOptions {
  std::string root;  ///< need not exist yet
  /// Snapshots kept in memory, the last used ones: by tables and by their files.
  size_t cached_tables_max = 200;  ///< each holds a descriptor
  int64_t cached_files_max = 2'000'000;
};

/// Thread-safe. Names are made of [A-Za-z0-9_-]: no path can be named, and folders that
/// are links out of the root are refused.
class FolderSource : public LogSource {
 public:
  explicit FolderSource(FolderSourceOptions options);

  arrow::Result<std::vector<schema::TableName>> Tables() override;
  arrow::Result<bool> HasSchema(std::string_view schema) override;
  /// Looks for newer commits each time; while there are none that costs a few look-ups.
  arrow::Result<TableVersion> Load(const schema::TableName& name) override;
  arrow::Result<TableVersion> LoadVersion(const schema::TableName& name,
                                          int64_t version) override;
  arrow::Result<TableVersion> LoadAsOf(const schema::TableName& name,
                                       int64_t timestamp_ms) override;
  arrow::Result<Commit> ReadCommit(const schema::TableName& name,
                                   int64_t version) override;

 private:
  struct Table;

  arrow::Result<schema::TableName> Resolve(const schema::TableName& name) const;
  std::string FolderOf(const schema::TableName& name) const;
  arrow::Result<std::shared_ptr<Table>> Open(const schema::TableName& name)
      EXCLUDES(mutex_);
  std::shared_ptr<Table> Cached(const schema::TableName& name) EXCLUDES(mutex_);
  arrow::Result<TableVersion> LoadNewest(const schema::TableName& name);
  void Shrink() EXCLUDES(mutex_);
  void Forget(const schema::TableName& name) EXCLUDES(mutex_);

  const FolderSourceOptions options_;
  Mutex mutex_;
  std::map<schema::TableName, std::shared_ptr<Table>> tables_ GUARDED_BY(mutex_);
  /// Last used first.
  std::list<schema::TableName> order_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::lake
