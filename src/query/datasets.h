// Data sets: files beside the storage, shown as views that are found by their bare name.
// The views live in DuckDB's in-memory main catalog, so nothing is written to the storage.
#pragma once

#include <arrow/result.h>
#include <arrow/status.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "engine/database.h"

namespace arrowport::query {

struct Dataset {
  std::string name;
  /// A Parquet file; a directory: all *.parquet below it, hive partitions as columns,
  /// differing schemas united by name; or a glob. Local or a URL DuckDB can read.
  std::string path;
};

/// The SQL that reads a data set. A path that is there wins over its reading as a glob.
std::string DatasetSql(const Dataset& dataset);

/// Thread-safe. Views are over globs, so new files appear with the next query; what a view
/// cannot do is kept up here: views that could not be made (no file yet, a broken one),
/// and `file_0`, `file_1`, ... of the files of the data set named `dataset`, in name
/// order, as long as they are at most kFilesMax.
class Datasets {
 public:
  static constexpr std::string_view kCatalog = "memory";
  static constexpr int64_t kFilesMax = 1000;

  explicit Datasets(std::vector<Dataset> datasets);

  bool empty() const { return datasets_.empty(); }

  /// Makes the views when they were not made in `epoch` yet; what fails is logged.
  void Ensure(engine::Connection& connection, uint64_t epoch);

  /// Makes what is missing, follows files that came and went.
  void Refresh(engine::Connection& connection);

  enum class Remedy { kNone, kRetry };
  /// After a statement naming `tables` failed to find one: kRetry when a view of that name
  /// was made now, the reason when it cannot be made (naming the broken file), kNone when
  /// no data set is concerned.
  arrow::Result<Remedy> Recover(engine::Connection& connection,
                                const std::vector<std::string>& tables);

 private:
  void RefreshLocked(engine::Connection& connection) REQUIRES(mutex_);
  void MakeView(engine::Connection& connection, const std::string& name,
                const std::string& sql) REQUIRES(mutex_);
  arrow::Result<std::vector<std::string>> ListFiles(engine::Connection& connection,
                                                    const Dataset& dataset);

  const std::vector<Dataset> datasets_;
  Mutex mutex_;
  uint64_t epoch_ GUARDED_BY(mutex_) = 0;
  /// Name, in lower case, to the SQL of the view that stands.
  std::map<std::string, std::string> views_ GUARDED_BY(mutex_);
  std::map<std::string, arrow::Status> failures_ GUARDED_BY(mutex_);
};

}  // namespace arrowport::query
