#include "lake/catalog_entries.h"

#include <algorithm>
#include <duckdb/catalog/entry_lookup_info.hpp>
#include <duckdb/catalog/similar_catalog_entry.hpp>
#include <duckdb/common/exception/binder_exception.hpp>
#include <duckdb/common/exception/catalog_exception.hpp>
#include <duckdb/common/multi_file/multi_file_reader.hpp>
#include <duckdb/common/string_util.hpp>
#include <duckdb/common/table_column.hpp>
#include <duckdb/common/types/timestamp.hpp>
#include <duckdb/parser/parsed_data/create_schema_info.hpp>
#include <duckdb/parser/parsed_data/create_table_info.hpp>
#include <duckdb/planner/tableref/bound_at_clause.hpp>
#include <duckdb/storage/database_size.hpp>
#include <duckdb/storage/table_storage_info.hpp>
#include <set>

#include "base/error.h"
#include "base/log.h"
#include "engine/error.h"
#include "lake/file_list.h"
#include "lake/scan_function.h"

namespace arrowport::lake {
namespace {

constexpr char kMain[] = "main";
constexpr size_t kSourcesKept = 128;
constexpr size_t kSourceFilesKept = 1'000'000;

bool IsMissing(const arrow::Status& status) {
  const ErrorCode code = CodeOf(status);
  return code == ErrorCode::kTableNotFound || code == ErrorCode::kInvalidName;
}

std::shared_ptr<TableEntry> MakeEntry(LakeCatalog& catalog,
                                      std::shared_ptr<const ScanSource> source) {
  SchemaEntry& schema = catalog.SchemaOf(source->name.schema);
  duckdb::CreateTableInfo info(schema, source->name.table);
  for (const ScanColumn& column : source->columns) {
    info.columns.AddColumn(duckdb::ColumnDefinition(column.field.name, column.type));
  }
  return std::make_shared<TableEntry>(catalog, schema, info, std::move(source));
}

int64_t VersionOf(const duckdb::BoundAtClause& at) {
  duckdb::Value version = at.GetValue();
  // A cast that fails may also give NULL.
  if (!version.DefaultTryCastAs(duckdb::LogicalType::BIGINT, /*strict=*/true) ||
      version.IsNull()) {
    throw duckdb::BinderException("AT (VERSION => ...) takes a whole number");
  }
  return version.GetValue<int64_t>();
}

int64_t TimestampMsOf(duckdb::ClientContext& context, const duckdb::BoundAtClause& at) {
  duckdb::Value time = at.GetValue();
  if (!time.TryCastAs(context, duckdb::LogicalType::TIMESTAMP_TZ) || time.IsNull()) {
    throw duckdb::BinderException("AT (TIMESTAMP => ...) takes a timestamp");
  }
  const auto micros = duckdb::timestamp_t(time.GetValue<int64_t>());
  if (!duckdb::Timestamp::IsFinite(micros)) {
    throw duckdb::BinderException("AT (TIMESTAMP => ...) takes a finite timestamp");
  }
  const int64_t ms = micros.value / 1000;
  return micros.value % 1000 < 0 ? ms - 1 : ms;
}

}  // namespace

// --- tables ---

TableEntry::TableEntry(duckdb::Catalog& catalog, duckdb::SchemaCatalogEntry& schema,
                       duckdb::CreateTableInfo& info,
                       std::shared_ptr<const ScanSource> source)
    : TableCatalogEntry(catalog, schema, info), source_(std::move(source)) {}

duckdb::TableFunction TableEntry::GetScanFunction(
    duckdb::ClientContext& context, duckdb::unique_ptr<duckdb::FunctionData>& bind_data) {
  BoundScan scan = BindScan(context, source_, shared_from_this());
  bind_data = std::move(scan.data);
  return std::move(scan.function);
}

duckdb::TableStorageInfo TableEntry::GetStorageInfo(duckdb::ClientContext&) {
  duckdb::TableStorageInfo info;
  if (std::optional<int64_t> rows = FileList(source_).rows()) info.cardinality = *rows;
  return info;
}

duckdb::virtual_column_map_t TableEntry::GetVirtualColumns() const {
  using Reader = duckdb::MultiFileReader;
  duckdb::virtual_column_map_t columns;
  columns.insert({Reader::COLUMN_IDENTIFIER_FILENAME,
                  duckdb::TableColumn("filename", duckdb::LogicalType::VARCHAR)});
  columns.insert({Reader::COLUMN_IDENTIFIER_FILE_ROW_NUMBER,
                  duckdb::TableColumn("file_row_number", duckdb::LogicalType::BIGINT)});
  columns.insert({Reader::COLUMN_IDENTIFIER_FILE_INDEX,
                  duckdb::TableColumn("file_index", duckdb::LogicalType::UBIGINT)});
  columns.insert({duckdb::COLUMN_IDENTIFIER_EMPTY,
                  duckdb::TableColumn("", duckdb::LogicalType::BOOLEAN)});
  return columns;
}

duckdb::vector<duckdb::column_t> TableEntry::GetRowIdColumns() const {
  return {duckdb::MultiFileReader::COLUMN_IDENTIFIER_FILE_INDEX,
          duckdb::MultiFileReader::COLUMN_IDENTIFIER_FILE_ROW_NUMBER};
}

// --- schemas ---

duckdb::optional_ptr<duckdb::CatalogEntry> SchemaEntry::LookupEntry(
    duckdb::CatalogTransaction transaction, const duckdb::EntryLookupInfo& lookup) {
  if (lookup.GetCatalogType() != duckdb::CatalogType::TABLE_ENTRY) return nullptr;
  auto& lake = static_cast<LakeCatalog&>(catalog);
  const schema::TableName table{std::string(name), std::string(lookup.GetEntryName())};
  auto entry =
      FindTable(transaction.GetContext(), lake, table, lookup.GetAtClause().get());
  if (entry.ok()) return entry->get();
  if (IsMissing(entry.status())) return nullptr;
  engine::ThrowStatus(
      WithContext("Delta table " + table.ToString(), entry.status()));
}

void SchemaEntry::Scan(duckdb::ClientContext& context, duckdb::CatalogType type,
                       const std::function<void(duckdb::CatalogEntry&)>& callback) {
  if (type != duckdb::CatalogType::TABLE_ENTRY) return;
  auto& lake = static_cast<LakeCatalog&>(catalog);
  auto tables = lake.log()->Tables();
  if (!tables.ok()) engine::ThrowStatus(tables.status());
  auto& transaction = LakeTransaction::Get(context, catalog);
  for (const schema::TableName& table : *tables) {
    if (!duckdb::StringUtil::CIEquals(table.schema, name)) continue;
    auto entry = transaction.Table(lake, table);
    if (!entry.ok()) {
      // One broken table must not hide the others; naming it tells what is wrong.
      LogWarn("a Delta table cannot be listed",
              {{"table", table.ToString()}, {"error", entry.status().message()}});
      continue;
    }
    callback(**entry);
  }
}

duckdb::SimilarCatalogEntry SchemaEntry::GetSimilarEntry(
    duckdb::CatalogTransaction, const duckdb::EntryLookupInfo& lookup) {
  duckdb::SimilarCatalogEntry similar;
  auto tables = static_cast<LakeCatalog&>(catalog).log()->Tables();
  if (!tables.ok()) return similar;
  for (const schema::TableName& table : *tables) {
    if (!duckdb::StringUtil::CIEquals(table.schema, name)) continue;
    const double score =
        duckdb::StringUtil::SimilarityRating(table.table, lookup.GetEntryName());
    if (score > similar.score) {
      similar.score = score;
      similar.name = table.table;
      similar.schema = this;
    }
  }
  return similar;
}

// --- the catalog ---

SchemaEntry& LakeCatalog::SchemaOf(const std::string& name) {
  MutexLock lock(mutex_);
  auto& entry = schemas_[duckdb::StringUtil::Lower(name)];
  if (!entry) {
    duckdb::CreateSchemaInfo info;
    info.schema = name;
    entry = std::make_unique<SchemaEntry>(*this, info);
  }
  return *entry;
}

arrow::Result<std::shared_ptr<const ScanSource>> LakeCatalog::SourceFor(
    const TableVersion& table) {
  std::shared_ptr<const ScanSource> previous;
  {
    MutexLock lock(mutex_);
    for (auto source = sources_.begin(); source != sources_.end(); ++source) {
      if ((*source)->name != table.name) continue;
      if ((*source)->snapshot == table.snapshot) {
        sources_.splice(sources_.begin(), sources_, source);
        return sources_.front();
      }
      if (!previous) previous = *source;
    }
  }
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<const ScanSource> source,
                        SourceOf(table, previous.get()));
  MutexLock lock(mutex_);
  if (previous && previous->version < source->version) sources_.remove(previous);
  sources_.push_front(source);
  size_t files = 0, count = 0;
  for (auto kept = sources_.begin(); kept != sources_.end();) {
    files += (*kept)->files.size();
    const bool first = ++count == 1;
    const bool fits = count <= kSourcesKept && files <= kSourceFilesKept;
    kept = first || fits ? std::next(kept) : sources_.erase(kept);
  }
  return source;
}

duckdb::DatabaseSize LakeCatalog::GetDatabaseSize(duckdb::ClientContext&) { return {}; }

duckdb::optional_ptr<duckdb::SchemaCatalogEntry> LakeCatalog::LookupSchema(
    duckdb::CatalogTransaction, const duckdb::EntryLookupInfo& lookup,
    duckdb::OnEntryNotFound if_not_found) {
  const std::string name = lookup.GetEntryName();
  if (duckdb::StringUtil::CIEquals(name, kMain)) return &SchemaOf(kMain);
  auto exists = log_->HasSchema(name);
  if (!exists.ok() && !IsMissing(exists.status())) engine::ThrowStatus(exists.status());
  if (exists.ok() && *exists) return &SchemaOf(name);
  if (if_not_found == duckdb::OnEntryNotFound::RETURN_NULL) return nullptr;
  throw duckdb::CatalogException::MissingEntry(lookup, duckdb::string());
}

void LakeCatalog::ScanSchemas(duckdb::ClientContext&,
                              std::function<void(duckdb::SchemaCatalogEntry&)> callback) {
  auto tables = log_->Tables();
  if (!tables.ok()) engine::ThrowStatus(tables.status());
  std::set<std::string> schemas = {kMain};
  for (const schema::TableName& table : *tables) schemas.insert(table.schema);
  for (const std::string& schema : schemas) callback(SchemaOf(schema));
}

// --- transactions ---

template <typename Load>
arrow::Result<std::shared_ptr<TableEntry>> LakeTransaction::Pinned(
    LakeCatalog& catalog, const std::string& key, Load&& load) {
  MutexLock lock(mutex_);
  auto found = pinned_.find(key);
  if (found != pinned_.end()) return found->second;
  ARROW_ASSIGN_OR_RAISE(TableVersion table, load());
  // Another spelling of a name that is pinned already.
  const std::string exact = table.name.Quoted() + key.substr(key.find('@'));
  found = pinned_.find(exact);
  if (found == pinned_.end()) {
    ARROW_ASSIGN_OR_RAISE(auto source, catalog.SourceFor(table));
    found = pinned_.emplace(exact, MakeEntry(catalog, std::move(source))).first;
  }
  auto entry = found->second;
  pinned_.emplace(key, entry);
  return entry;
}

arrow::Result<std::shared_ptr<TableEntry>> LakeTransaction::Table(
    LakeCatalog& catalog, const schema::TableName& name) {
  return Pinned(catalog, name.Quoted() + "@",
                [&] { return catalog.log()->Load(name); });
}

arrow::Result<std::shared_ptr<TableEntry>> LakeTransaction::TableAt(
    LakeCatalog& catalog, const schema::TableName& name, int64_t version) {
  return Pinned(catalog, name.Quoted() + "@" + std::to_string(version),
                [&] { return catalog.log()->LoadVersion(name, version); });
}

arrow::Result<std::shared_ptr<TableEntry>> LakeTransaction::TableAsOf(
    LakeCatalog& catalog, const schema::TableName& name, int64_t timestamp_ms) {
  return Pinned(catalog, name.Quoted() + "@t" + std::to_string(timestamp_ms),
                [&] { return catalog.log()->LoadAsOf(name, timestamp_ms); });
}

arrow::Result<std::shared_ptr<TableEntry>> FindTable(duckdb::ClientContext& context,
                                                     LakeCatalog& catalog,
                                                     const schema::TableName& name,
                                                     const duckdb::BoundAtClause* at) {
  auto& transaction = LakeTransaction::Get(context, catalog);
  if (at == nullptr) return transaction.Table(catalog, name);
  if (duckdb::StringUtil::CIEquals(at->Unit(), "version")) {
    return transaction.TableAt(catalog, name, VersionOf(*at));
  }
  if (duckdb::StringUtil::CIEquals(at->Unit(), "timestamp")) {
    return transaction.TableAsOf(catalog, name, TimestampMsOf(context, *at));
  }
  throw duckdb::BinderException("AT takes VERSION or TIMESTAMP");
}

duckdb::Transaction& LakeTransactionManager::StartTransaction(
    duckdb::ClientContext& context) {
  auto transaction = std::make_unique<LakeTransaction>(*this, context);
  duckdb::Transaction& result = *transaction;
  MutexLock lock(mutex_);
  active_.emplace(&result, std::move(transaction));
  return result;
}

duckdb::ErrorData LakeTransactionManager::CommitTransaction(
    duckdb::ClientContext&, duckdb::Transaction& transaction) {
  End(transaction);
  return {};
}

void LakeTransactionManager::RollbackTransaction(duckdb::Transaction& transaction) {
  End(transaction);
}

void LakeTransactionManager::End(duckdb::Transaction& transaction) {
  std::unique_ptr<LakeTransaction> ended;
  MutexLock lock(mutex_);
  auto found = active_.find(&transaction);
  if (found == active_.end()) return;
  ended = std::move(found->second);  // destroyed after the lock is released
  active_.erase(found);
}

}  // namespace arrowport::lake
