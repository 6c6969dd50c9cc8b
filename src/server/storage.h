// The landing side's storage from settings: the database and the sinks over it and over the
// folder of Delta tables.
#pragma once

#include <memory>

#include <arrow/result.h>

#include "config/settings.h"
#include "engine/database.h"
#include "lake/folder_source.h"
#include "observe/metrics.h"
#include "sink/delta/delta_sink.h"
#include "sink/duckdb/duckdb_sink.h"

namespace arrowport::server {

struct Storage {
  std::shared_ptr<engine::Database> database;
  std::shared_ptr<sink::DuckDbSink> sink;
  std::shared_ptr<sink::DeltaSink> delta;
  std::shared_ptr<lake::FolderSource> delta_folder;  ///< of catalog `delta`; null: not built
};

/// Errors: kStorageUnavailable, kStorageCorrupt, kNoSpace, kBadConfig (an extension).
arrow::Result<Storage> OpenStorage(const config::Settings& settings,
                                   std::shared_ptr<observe::Registry> metrics);

}  // namespace arrowport::server
