// The classes DuckDB asks of a catalog: catalog, schemas, tables, transactions. Everything
// that would write is refused.
#pragma once

#include <cstdint>
#include <duckdb/catalog/catalog.hpp>
#include <duckdb/catalog/catalog_entry/schema_catalog_entry.hpp>
#include <duckdb/catalog/catalog_entry/table_catalog_entry.hpp>
#include <duckdb/transaction/transaction.hpp>
#include <duckdb/transaction/transaction_manager.hpp>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "lake/log_source.h"
#include "lake/scan_source.h"

namespace duckdb {
class BoundAtClause;
}  // namespace duckdb

namespace arrowport::lake {

/// A table at one version. Immutable. Owned by the transaction that named it and by the
/// bind data of statements that scan it.
class TableEntry : public duckdb::TableCatalogEntry,
                   public std::enable_shared_from_this<TableEntry> {
 public:
  TableEntry(duckdb::Catalog& catalog, duckdb::SchemaCatalogEntry& schema,
             duckdb::CreateTableInfo& info, std::shared_ptr<const ScanSource> source);

  const std::shared_ptr<const ScanSource>& source() const { return source_; }

  duckdb::unique_ptr<duckdb::BaseStatistics> GetStatistics(duckdb::ClientContext&,
                                                           duckdb::column_t) override {
    return nullptr;
  }
  duckdb::TableFunction GetScanFunction(
      duckdb::ClientContext& context,
      duckdb::unique_ptr<duckdb::FunctionData>& bind_data) override;
  duckdb::TableStorageInfo GetStorageInfo(duckdb::ClientContext& context) override;
  duckdb::virtual_column_map_t GetVirtualColumns() const override;
  duckdb::vector<duckdb::column_t> GetRowIdColumns() const override;
  void BindUpdateConstraints(duckdb::Binder&, duckdb::LogicalGet&,
                             duckdb::LogicalProjection&, duckdb::LogicalUpdate&,
                             duckdb::ClientContext&) override;

 private:
  const std::shared_ptr<const ScanSource> source_;
};

/// Lives as long as the catalog. Thread-safe.
class SchemaEntry : public duckdb::SchemaCatalogEntry {
 public:
  SchemaEntry(duckdb::Catalog& catalog, duckdb::CreateSchemaInfo& info)
      : SchemaCatalogEntry(catalog, info) {}

  duckdb::optional_ptr<duckdb::CatalogEntry> LookupEntry(
      duckdb::CatalogTransaction transaction,
      const duckdb::EntryLookupInfo& lookup) override;
  void Scan(duckdb::ClientContext& context, duckdb::CatalogType type,
            const std::function<void(duckdb::CatalogEntry&)>& callback) override;
  void Scan(duckdb::CatalogType,
            const std::function<void(duckdb::CatalogEntry&)>&) override {}
  /// By names alone: the default would load every table to suggest one.
  duckdb::SimilarCatalogEntry GetSimilarEntry(
      duckdb::CatalogTransaction transaction,
      const duckdb::EntryLookupInfo& lookup) override;

  using Transaction = duckdb::CatalogTransaction;
  using Entry = duckdb::optional_ptr<duckdb::CatalogEntry>;
  Entry CreateIndex(Transaction, duckdb::CreateIndexInfo&,
                    duckdb::TableCatalogEntry&) override;
  Entry CreateFunction(Transaction, duckdb::CreateFunctionInfo&) override;
  Entry CreateTable(Transaction, duckdb::BoundCreateTableInfo&) override;
  Entry CreateView(Transaction, duckdb::CreateViewInfo&) override;
  Entry CreateSequence(Transaction, duckdb::CreateSequenceInfo&) override;
  Entry CreateTableFunction(Transaction, duckdb::CreateTableFunctionInfo&) override;
  Entry CreateCopyFunction(Transaction, duckdb::CreateCopyFunctionInfo&) override;
  Entry CreatePragmaFunction(Transaction, duckdb::CreatePragmaFunctionInfo&) override;
  Entry CreateCollation(Transaction, duckdb::CreateCollationInfo&) override;
  Entry CreateCoordinateSystem(Transaction,
                               duckdb::CreateCoordinateSystemInfo&) override;
  Entry CreateType(Transaction, duckdb::CreateTypeInfo&) override;
  void DropEntry(duckdb::ClientContext&, duckdb::DropInfo&) override;
  void Alter(Transaction, duckdb::AlterInfo&) override;
};

/// Thread-safe.
class LakeCatalog : public duckdb::Catalog {
 public:
  LakeCatalog(duckdb::AttachedDatabase& database, std::shared_ptr<LogSource> log)
      : Catalog(database), log_(std::move(log)) {}

  const std::shared_ptr<LogSource>& log() const { return log_; }
  SchemaEntry& SchemaOf(const std::string& name) EXCLUDES(mutex_);
  /// Prepared once per snapshot; the last ones used are kept. Errors: as SourceOf.
  arrow::Result<std::shared_ptr<const ScanSource>> SourceFor(const TableVersion& table)
      EXCLUDES(mutex_);

  void Initialize(bool) override {}
  duckdb::string GetCatalogType() override { return "delta"; }
  bool SupportsTimeTravel() const override { return true; }
  bool InMemory() override { return false; }
  duckdb::string GetDBPath() override { return ""; }
  duckdb::DatabaseSize GetDatabaseSize(duckdb::ClientContext& context) override;
  duckdb::optional_ptr<duckdb::SchemaCatalogEntry> LookupSchema(
      duckdb::CatalogTransaction transaction, const duckdb::EntryLookupInfo& lookup,
      duckdb::OnEntryNotFound if_not_found) override;
  void ScanSchemas(duckdb::ClientContext& context,
                   std::function<void(duckdb::SchemaCatalogEntry&)> callback) override;

  using Planner = duckdb::PhysicalPlanGenerator;
  using Operator = duckdb::PhysicalOperator;
  duckdb::optional_ptr<duckdb::CatalogEntry> CreateSchema(
      duckdb::CatalogTransaction, duckdb::CreateSchemaInfo&) override;
  void DropSchema(duckdb::ClientContext&, duckdb::DropInfo&) override;
  Operator& PlanCreateTableAs(duckdb::ClientContext&, Planner&,
                              duckdb::LogicalCreateTable&, Operator&) override;
  Operator& PlanInsert(duckdb::ClientContext&, Planner&, duckdb::LogicalInsert&,
                       duckdb::optional_ptr<Operator>) override;
  Operator& PlanDelete(duckdb::ClientContext&, Planner&, duckdb::LogicalDelete&,
                       Operator&) override;
  Operator& PlanUpdate(duckdb::ClientContext&, Planner&, duckdb::LogicalUpdate&,
                       Operator&) override;
  Operator& PlanMergeInto(duckdb::ClientContext&, Planner&, duckdb::LogicalMergeInto&,
                          Operator&) override;
  duckdb::unique_ptr<duckdb::LogicalOperator> BindCreateIndex(
      duckdb::Binder&, duckdb::CreateStatement&, duckdb::TableCatalogEntry&,
      duckdb::unique_ptr<duckdb::LogicalOperator>) override;
  duckdb::unique_ptr<duckdb::LogicalOperator> BindAlterAddIndex(
      duckdb::Binder&, duckdb::TableCatalogEntry&,
      duckdb::unique_ptr<duckdb::LogicalOperator>,
      duckdb::unique_ptr<duckdb::CreateIndexInfo>,
      duckdb::unique_ptr<duckdb::AlterTableInfo>) override;

 private:
  const std::shared_ptr<LogSource> log_;
  Mutex mutex_;
  std::map<std::string, std::unique_ptr<SchemaEntry>> schemas_ GUARDED_BY(mutex_);
  /// Last used first.
  std::list<std::shared_ptr<const ScanSource>> sources_ GUARDED_BY(mutex_);
};

/// What a statement or transaction has named so far; the same name gives the same version
/// until it ends. Thread-safe.
class LakeTransaction : public duckdb::Transaction {
 public:
  LakeTransaction(duckdb::TransactionManager& manager, duckdb::ClientContext& context)
      : Transaction(manager, context) {}

  static LakeTransaction& Get(duckdb::ClientContext& context, duckdb::Catalog& catalog) {
    return static_cast<LakeTransaction&>(duckdb::Transaction::Get(context, catalog));
  }

  /// The table as this transaction sees it. Errors: those of LogSource.
  arrow::Result<std::shared_ptr<TableEntry>> Table(LakeCatalog& catalog,
                                                   const schema::TableName& name);
  arrow::Result<std::shared_ptr<TableEntry>> TableAt(LakeCatalog& catalog,
                                                     const schema::TableName& name,
                                                     int64_t version);
  arrow::Result<std::shared_ptr<TableEntry>> TableAsOf(LakeCatalog& catalog,
                                                       const schema::TableName& name,
                                                       int64_t timestamp_ms);

 private:
  template <typename Load>
  arrow::Result<std::shared_ptr<TableEntry>> Pinned(LakeCatalog& catalog,
                                                    const std::string& key, Load&& load);

  /// Pipelines of one statement begin on several threads. Held while a table is loaded:
  /// all of them see one snapshot.
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<TableEntry>> pinned_ GUARDED_BY(mutex_);
};

/// Thread-safe.
class LakeTransactionManager : public duckdb::TransactionManager {
 public:
  explicit LakeTransactionManager(duckdb::AttachedDatabase& database)
      : TransactionManager(database) {}

  duckdb::Transaction& StartTransaction(duckdb::ClientContext& context) override;
  duckdb::ErrorData CommitTransaction(duckdb::ClientContext& context,
                                      duckdb::Transaction& transaction) override;
  void RollbackTransaction(duckdb::Transaction& transaction) override;
  void Checkpoint(duckdb::ClientContext&, bool) override {}

 private:
  void End(duckdb::Transaction& transaction) EXCLUDES(mutex_);

  Mutex mutex_;
  std::map<duckdb::Transaction*, std::unique_ptr<LakeTransaction>> active_
      GUARDED_BY(mutex_);
};

/// The table an AT clause (nullptr: the newest) names. Throws what DuckDB throws for a
/// clause that is wrong. Errors: those of LogSource.
arrow::Result<std::shared_ptr<TableEntry>> FindTable(
    duckdb::ClientContext& context, LakeCatalog& catalog, const schema::TableName& name,
    const duckdb::BoundAtClause* at);

}  // namespace arrowport::lake
