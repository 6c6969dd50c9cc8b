#include "query/catalog.h"

#include <arrow/array/array_binary.h>
#include <arrow/array/array_primitive.h>

#include <algorithm>

#include "base/error.h"
#include "engine/read_all.h"
#include "engine/statement.h"
#include "query/execution.h"
#include "schema/names.h"

namespace arrowport::query {
namespace {

/// Where the server shows Delta tables; no schema of the storage has this name.
constexpr std::string_view kDeltaCatalog = "delta";

std::string Filter(const std::string& catalog, const std::optional<TableRef>& only,
                   const char* table_column) {
  std::string where = " WHERE NOT internal AND schema_name <> '_arrowport' AND "
                      "database_name IN (" +
                      schema::QuoteLiteral(catalog) + ", '" +
                      std::string(Datasets::kCatalog) + "', '" +
                      std::string(kDeltaCatalog) + "')";
  if (!only) return where;
  where += std::string(" AND lower(") + table_column + ") = lower(" +
           schema::QuoteLiteral(only->table) + ")";
  if (!only->catalog.empty()) {
    where += " AND lower(database_name) = lower(" + schema::QuoteLiteral(only->catalog) + ")";
  }
  if (only->schema.empty()) {
    where += " AND schema_name = 'main' AND database_name <> " +
             schema::QuoteLiteral(kDeltaCatalog);
  } else if (only->catalog.empty() && only->schema == kDeltaCatalog) {
    where += " AND schema_name = 'main' AND database_name = " +
             schema::QuoteLiteral(kDeltaCatalog);
  } else {
    where += " AND lower(schema_name) = lower(" + schema::QuoteLiteral(only->schema) + ")";
    if (only->catalog.empty()) {
      where += " AND database_name <> " + schema::QuoteLiteral(kDeltaCatalog);
    }
  }
  return where;
}

std::string ListSql(const std::string& catalog, const std::optional<TableRef>& only) {
  return "SELECT database_name, schema_name, table_name, 'BASE TABLE' AS type, "
         "estimated_size::BIGINT AS estimated_rows FROM duckdb_tables()" +
         Filter(catalog, only, "table_name") + " AND NOT temporary" +
         " UNION ALL SELECT database_name, schema_name, view_name, 'VIEW', NULL "
         "FROM duckdb_views()" +
         Filter(catalog, only, "view_name") + " AND NOT temporary ORDER BY ALL";
}

std::shared_ptr<arrow::Schema> SchemaOf(engine::Connection& connection,
                                        const TableInfo& table) {
  const std::string sql = "SELECT * FROM " + schema::QuoteIdentifier(table.catalog) + "." +
                          schema::QuoteIdentifier(table.schema) + "." +
                          schema::QuoteIdentifier(table.table);
  auto statement = engine::Statement::Parse(connection, sql);
  if (statement.ok()) {
    auto shape = (*statement)->Describe(connection);
    if (shape.ok()) return shape->schema;
  }
  // Dropped meanwhile, or a view whose source is broken: it must not break the listing.
  return arrow::schema(arrow::FieldVector{});
}

TableInfo TableAt(const arrow::RecordBatch& batch, int64_t row) {
  auto text = [&](int column) {
    return static_cast<const arrow::StringArray&>(*batch.column(column)).GetString(row);
  };
  TableInfo table;
  table.catalog = text(0);
  table.schema = text(1);
  table.table = text(2);
  table.type = text(3);
  const auto& rows = static_cast<const arrow::Int64Array&>(*batch.column(4));
  if (rows.IsValid(row)) table.estimated_rows = rows.Value(row);
  return table;
}

}  // namespace

arrow::Result<std::vector<TableInfo>> ListTables(Core& core,
                                                 const std::optional<TableRef>& only) {
  ARROW_ASSIGN_OR_RAISE(auto pooled, core.connections->Take());
  engine::Connection& connection = *pooled.connection;
  if (!core.datasets->empty()) core.datasets->Refresh(connection);
  const std::string& catalog = core.options.database->catalog();
  ARROW_ASSIGN_OR_RAISE(auto batches, engine::ReadAll(connection, ListSql(catalog, only)));
  std::vector<TableInfo> tables;
  for (const auto& batch : batches) {
    for (int64_t row = 0; row < batch->num_rows(); ++row) {
      tables.push_back(TableAt(*batch, row));
    }
  }
  if (only) {
    std::stable_sort(tables.begin(), tables.end(),
                     [&](const TableInfo& a, const TableInfo& b) {
                       auto rank = [&](const TableInfo& one) {
                         return std::pair(one.catalog != catalog,
                                          one.table != only->table);
                       };
                       return rank(a) < rank(b);
                     });
    if (tables.size() > 1) tables.resize(1);
  }
  for (TableInfo& table : tables) table.arrow_schema = SchemaOf(connection, table);
  core.connections->Give(std::move(pooled));
  return tables;
}

}  // namespace arrowport::query
