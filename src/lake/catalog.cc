#include "lake/catalog.h"

#include <atomic>
#include <duckdb.hpp>
#include <duckdb/main/attached_database.hpp>
#include <duckdb/main/config.hpp>
#include <duckdb/main/extension/extension_loader.hpp>
#include <duckdb/parser/parsed_data/attach_info.hpp>
#include <duckdb/storage/storage_extension.hpp>
#include <string>
#include <string_view>

#include "base/error.h"
#include "engine/error.h"
#include "lake/catalog_entries.h"
#include "lake/table_functions.h"

namespace arrowport::lake {
namespace {

constexpr char kStorageType[] = "arrowport_delta";
// This folder uses classes of DuckDB that are no stable interface.
constexpr std::string_view kDuckDbVersion = "v1.5.5";

struct StorageInfo : public duckdb::StorageExtensionInfo {
  std::shared_ptr<LogSource> log;
  /// Statements of users may not attach the storage under other names.
  std::atomic<bool> may_attach{false};
};

duckdb::unique_ptr<duckdb::Catalog> AttachCatalog(
    duckdb::optional_ptr<duckdb::StorageExtensionInfo> info, duckdb::ClientContext&,
    duckdb::AttachedDatabase& database, const duckdb::string&, duckdb::AttachInfo&,
    duckdb::AttachOptions& options) {
  auto& storage = static_cast<StorageInfo&>(*info);
  if (!storage.may_attach.load() ||
      options.access_mode != duckdb::AccessMode::READ_ONLY) {
    throw duckdb::BinderException("this storage type is reserved for Arrowport itself");
  }
  return duckdb::make_uniq<LakeCatalog>(database, storage.log);
}

duckdb::unique_ptr<duckdb::TransactionManager> MakeTransactionManager(
    duckdb::optional_ptr<duckdb::StorageExtensionInfo>, duckdb::AttachedDatabase& database,
    duckdb::Catalog&) {
  return duckdb::make_uniq<LakeTransactionManager>(database);
}

arrow::Status Run(duckdb::Connection& connection, const std::string& sql) {
  auto result = connection.Query(sql);
  if (result->HasError()) return engine::TranslateError(result->GetErrorObject());
  return {};
}

arrow::Status Install(duckdb::DuckDB& instance, std::shared_ptr<LogSource> log) {
  if (duckdb::DuckDB::LibraryVersion() != kDuckDbVersion) {
    return Error(ErrorCode::kNotBuilt, "Delta tables need DuckDB ", kDuckDbVersion,
                 ", this is ", duckdb::DuckDB::LibraryVersion());
  }
  auto info = duckdb::make_shared_ptr<StorageInfo>();
  info->log = std::move(log);
  auto extension = duckdb::make_shared_ptr<duckdb::StorageExtension>();
  extension->attach = AttachCatalog;
  extension->create_transaction_manager = MakeTransactionManager;
  extension->storage_info = info;
  duckdb::StorageExtension::Register(duckdb::DBConfig::GetConfig(*instance.instance),
                                     kStorageType, std::move(extension));
  duckdb::Connection connection(instance);
  duckdb::ExtensionLoader loader(*instance.instance, kStorageType);
  connection.context->RunFunctionInTransaction(
      [&] { RegisterTableFunctions(loader, *connection.context); });
  info->may_attach.store(true);
  arrow::Status attached =
      Run(connection, std::string("ATTACH '' AS ") + kCatalogName + " (TYPE " +
                          kStorageType + ", READ_ONLY)");
  info->may_attach.store(false);
  return attached;
}

}  // namespace

arrow::Status Attach(engine::Database& database, std::shared_ptr<LogSource> source) {
  return WithContext("attach the Delta tables",
                     database.Install([source](duckdb::DuckDB& instance) {
                       return Install(instance, source);
                     }));
}

}  // namespace arrowport::lake
