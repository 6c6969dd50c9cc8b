#include "server/storage.h"

#include <filesystem>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "lake/catalog.h"
#include "server/delta_tables.h"

namespace arrowport::server {
namespace {

// Abilities that other servers load as extensions and this build carries.
constexpr std::string_view kBuiltIn[] = {"parquet", "json", "icu", "arrow", "core_functions"};

bool IsBuiltIn(std::string_view name) {
  for (std::string_view built_in : kBuiltIn) {
    if (name == built_in) return true;
  }
  return false;
}

// Shipped beside the program; INSTALL would need a network.
arrow::Result<std::string> ExtensionPath(const std::string& name) {
  std::error_code failure;
  auto program = std::filesystem::read_symlink("/proc/self/exe", failure).parent_path();
  std::string file = name + ".duckdb_extension";
  for (const auto& folder : {program / "extensions", program / "../lib/arrowport/extensions"}) {
    if (std::filesystem::exists(folder / file, failure)) return (folder / file).string();
  }
  return Error(ErrorCode::kBadConfig, "duckdb_extensions: no file ", file, " in ",
               (program / "extensions").string(), " and it is not built in");
}

}  // namespace

arrow::Result<Storage> OpenStorage(const config::Settings& settings,
                                   std::shared_ptr<observe::Registry> metrics) {
  engine::DatabaseOptions options;
  options.path = settings.duckdb.path;
  options.memory_limit_bytes = settings.duckdb.memory_limit_bytes;
  options.threads = settings.duckdb.threads;
  for (const std::string& name : settings.duckdb_extensions) {
    if (IsBuiltIn(name)) continue;
    ARROW_ASSIGN_OR_RAISE(std::string path, ExtensionPath(name));
    options.extension_paths.push_back(std::move(path));
  }
  Storage storage;
  ARROW_ASSIGN_OR_RAISE(storage.database, engine::Database::Open(std::move(options)));
  sink::DuckDbSinkOptions sink_options;
  sink_options.checkpoint_wal_bytes = settings.duckdb.checkpoint_wal_bytes;
  sink_options.wal_bytes_max = settings.duckdb.wal_bytes_max;
  sink_options.free_space_min = settings.limits.free_space_min;
  ARROW_ASSIGN_OR_RAISE(storage.sink, sink::DuckDbSink::Make(storage.database, sink_options));
  sink::DeltaSinkOptions delta;
  delta.root = settings.delta_config.table_path;
  delta.checkpoint_interval = settings.delta_config.checkpoint_interval;
  delta.enable_change_feed = settings.delta_config.enable_cdc;
  delta.idempotency_window_hours = settings.idempotency_window_hours;
  delta.free_space_min = settings.limits.free_space_min;
  delta.on_commit = CommitCounter(std::move(metrics));
  storage.delta = sink::DeltaSink::Make(std::move(delta));
  // Object stores are refused where a table there is named, not at start.
  if (settings.delta_config.table_path.find("://") == std::string::npos) {
    lake::FolderSourceOptions folder;
    folder.root = settings.delta_config.table_path;
    storage.delta_folder = std::make_shared<lake::FolderSource>(std::move(folder));
    ARROW_RETURN_NOT_OK(lake::Attach(*storage.database, storage.delta_folder));
  }
  return storage;
}

}  // namespace arrowport::server
