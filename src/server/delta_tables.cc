#include "server/delta_tables.h"

#include <set>
#include <string>
#include <utility>

#include "base/error.h"
#include "maintain/migration.h"

namespace arrowport::server {
namespace {

class SinkTables final : public maintain::TableSource {
 public:
  explicit SinkTables(const Storage& storage)
      : sink_(storage.delta), folder_(storage.delta_folder) {}

  arrow::Result<std::vector<schema::TableName>> Tables() override {
    if (!folder_) {
      return Error(ErrorCode::kNotBuilt,
                   "delta_config.table_path: only local folders are built yet");
    }
    return folder_->Tables();
  }
  arrow::Result<maintain::TableHandle> Open(const schema::TableName& name) override {
    ARROW_ASSIGN_OR_RAISE(auto shared, sink_->Share(name));
    return maintain::TableHandle{std::move(shared.table), std::move(shared.store)};
  }

 private:
  const std::shared_ptr<sink::DeltaSink> sink_;
  const std::shared_ptr<lake::FolderSource> folder_;
};

bool AsksForOptimize(const config::StreamSettings& settings, const char* key) {
  const auto found = settings.find(key);
  return found != settings.end() && found->second != "off";
}

/// Tables whose stream asks to have small files put together.
std::set<std::string> OptimizedTables(const config::Settings& settings) {
  std::set<std::string> tables;
  for (const auto& [stream, texts] : settings.streams) {
    if (!AsksForOptimize(texts, "delta_options.optimize")) continue;
    const auto target = texts.find("target_table");
    tables.insert(target == texts.end() || target->second.empty() ? stream
                                                                  : target->second);
  }
  return tables;
}

}  // namespace

std::shared_ptr<maintain::TableSource> MakeTableSource(const Storage& storage) {
  return std::make_shared<SinkTables>(storage);
}

std::shared_ptr<maintain::Maintenance> MakeMaintenance(
    const config::Settings& settings, const Services& services) {
  maintain::MaintenanceOptions options;
  options.tables = MakeTableSource(services.storage);
  options.tools.encoders = services.storage.delta->encoders();
  options.tools.retention_ms =
      settings.delta_config.version_retention_hours * int64_t{3600} * 1000;
  maintain::MigrationOptions migration;
  migration.ingest = services.ingest;
  migration.query = services.query;
  migration.delta_tables = options.tables;
  options.migrator = std::make_shared<maintain::Migration>(std::move(migration));
  return maintain::Maintenance::Make(std::move(options));
}

std::unique_ptr<maintain::Schedule> MakeSchedule(const config::Settings& settings,
                                                 const Services& services) {
  const bool every_table = settings.delta_config.maintenance == "auto";
  const bool optimizes_all =
      every_table || AsksForOptimize(settings.delta_options, "optimize");
  auto optimized = OptimizedTables(settings);
  if (!services.storage.delta_folder || (!optimizes_all && optimized.empty())) return {};
  maintain::ScheduleOptions options;
  options.tables = MakeTableSource(services.storage);
  options.run = [service = services.maintain](const maintain::Request& request) {
    return service->RunHere(request);
  };
  options.optimizes = [optimizes_all, optimized](const schema::TableName& name) {
    return optimizes_all || optimized.contains(name.ToString());
  };
  options.vacuums = [every_table](const schema::TableName&) { return every_table; };
  return std::make_unique<maintain::Schedule>(std::move(options));
}

}  // namespace arrowport::server
