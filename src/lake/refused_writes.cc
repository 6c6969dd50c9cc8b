// Every way to write through the catalog, refused. Most statements do not come this far:
// the catalog is attached READ_ONLY.
#include <duckdb/common/exception/binder_exception.hpp>

#include "lake/catalog_entries.h"

namespace arrowport::lake {
namespace {

[[noreturn]] void Refuse(const char* what) {
  throw duckdb::BinderException(
      duckdb::string(what) +
      " is not possible: Delta tables are read-only in SQL, rows reach them by ingest");
}

}  // namespace

void TableEntry::BindUpdateConstraints(duckdb::Binder&, duckdb::LogicalGet&,
                                       duckdb::LogicalProjection&, duckdb::LogicalUpdate&,
                                       duckdb::ClientContext&) {
  Refuse("UPDATE");
}

SchemaEntry::Entry SchemaEntry::CreateIndex(Transaction, duckdb::CreateIndexInfo&,
                                            duckdb::TableCatalogEntry&) {
  Refuse("CREATE INDEX");
}
SchemaEntry::Entry SchemaEntry::CreateFunction(Transaction, duckdb::CreateFunctionInfo&) {
  Refuse("CREATE FUNCTION");
}
SchemaEntry::Entry SchemaEntry::CreateTable(Transaction, duckdb::BoundCreateTableInfo&) {
  Refuse("CREATE TABLE");
}
SchemaEntry::Entry SchemaEntry::CreateView(Transaction, duckdb::CreateViewInfo&) {
  Refuse("CREATE VIEW");
}
SchemaEntry::Entry SchemaEntry::CreateSequence(Transaction, duckdb::CreateSequenceInfo&) {
  Refuse("CREATE SEQUENCE");
}
SchemaEntry::Entry SchemaEntry::CreateTableFunction(Transaction,
                                                    duckdb::CreateTableFunctionInfo&) {
  Refuse("CREATE MACRO");
}
SchemaEntry::Entry SchemaEntry::CreateCopyFunction(Transaction,
                                                   duckdb::CreateCopyFunctionInfo&) {
  Refuse("a copy function");
}
SchemaEntry::Entry SchemaEntry::CreatePragmaFunction(Transaction,
                                                     duckdb::CreatePragmaFunctionInfo&) {
  Refuse("a pragma function");
}
SchemaEntry::Entry SchemaEntry::CreateCollation(Transaction,
                                                duckdb::CreateCollationInfo&) {
  Refuse("a collation");
}
SchemaEntry::Entry SchemaEntry::CreateCoordinateSystem(
    Transaction, duckdb::CreateCoordinateSystemInfo&) {
  Refuse("a coordinate system");
}
SchemaEntry::Entry SchemaEntry::CreateType(Transaction, duckdb::CreateTypeInfo&) {
  Refuse("CREATE TYPE");
}
void SchemaEntry::DropEntry(duckdb::ClientContext&, duckdb::DropInfo&) { Refuse("DROP"); }
void SchemaEntry::Alter(Transaction, duckdb::AlterInfo&) { Refuse("ALTER"); }

duckdb::optional_ptr<duckdb::CatalogEntry> LakeCatalog::CreateSchema(
    duckdb::CatalogTransaction, duckdb::CreateSchemaInfo&) {
  Refuse("CREATE SCHEMA");
}
void LakeCatalog::DropSchema(duckdb::ClientContext&, duckdb::DropInfo&) {
  Refuse("DROP SCHEMA");
}
LakeCatalog::Operator& LakeCatalog::PlanCreateTableAs(duckdb::ClientContext&, Planner&,
                                                      duckdb::LogicalCreateTable&,
                                                      Operator&) {
  Refuse("CREATE TABLE AS");
}
LakeCatalog::Operator& LakeCatalog::PlanInsert(duckdb::ClientContext&, Planner&,
                                               duckdb::LogicalInsert&,
                                               duckdb::optional_ptr<Operator>) {
  Refuse("INSERT");
}
LakeCatalog::Operator& LakeCatalog::PlanDelete(duckdb::ClientContext&, Planner&,
                                               duckdb::LogicalDelete&, Operator&) {
  Refuse("DELETE");
}
LakeCatalog::Operator& LakeCatalog::PlanUpdate(duckdb::ClientContext&, Planner&,
                                               duckdb::LogicalUpdate&, Operator&) {
  Refuse("UPDATE");
}
LakeCatalog::Operator& LakeCatalog::PlanMergeInto(duckdb::ClientContext&, Planner&,
                                                  duckdb::LogicalMergeInto&, Operator&) {
  Refuse("MERGE INTO");
}
duckdb::unique_ptr<duckdb::LogicalOperator> LakeCatalog::BindCreateIndex(
    duckdb::Binder&, duckdb::CreateStatement&, duckdb::TableCatalogEntry&,
    duckdb::unique_ptr<duckdb::LogicalOperator>) {
  Refuse("CREATE INDEX");
}
duckdb::unique_ptr<duckdb::LogicalOperator> LakeCatalog::BindAlterAddIndex(
    duckdb::Binder&, duckdb::TableCatalogEntry&,
    duckdb::unique_ptr<duckdb::LogicalOperator>,
    duckdb::unique_ptr<duckdb::CreateIndexInfo>,
    duckdb::unique_ptr<duckdb::AlterTableInfo>) {
  Refuse("ALTER TABLE ... ADD INDEX");
}

}  // namespace arrowport::lake
