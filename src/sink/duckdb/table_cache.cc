#include "sink/duckdb/table_cache.h"

#include <duckdb.hpp>
#include <duckdb/catalog/catalog.hpp>
#include <duckdb/catalog/catalog_entry/table_catalog_entry.hpp>
#include <duckdb/parser/constraints/not_null_constraint.hpp>
#include <optional>
#include <set>

#include "base/error.h"
#include "engine/error.h"
#include "sink/duckdb/column_type.h"

namespace arrowport::sink {
namespace {

bool SameColumns(const std::vector<Column>& a, const std::vector<Column>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Column& x, const Column& y) {
                      return x.name == y.name && x.nullable == y.nullable &&
                             x.has_default == y.has_default && x.type->Equals(*y.type);
                    });
}

std::vector<Column> ColumnsOf(duckdb::TableCatalogEntry& entry) {
  std::set<duckdb::idx_t> not_null;
  for (const auto& constraint : entry.GetConstraints()) {
    if (constraint->type == duckdb::ConstraintType::NOT_NULL) {
      not_null.insert(constraint->Cast<duckdb::NotNullConstraint>().index.index);
    }
  }
  std::vector<Column> columns;
  for (const auto& column : entry.GetColumns().Logical()) {
    if (column.Generated()) continue;
    columns.push_back({column.Name(), ColumnTypeOf(column.Type()),
                       not_null.count(column.Logical().index) == 0,
                       column.HasDefaultValue()});
  }
  return columns;
}

}  // namespace

arrow::Result<std::shared_ptr<const Table>> TableCache::Remember(
    const schema::TableName& name, std::vector<Column> columns,
    uint64_t catalog_version) {
  MutexLock lock(mutex_);
  Known& known = known_[name];
  if (known.table && SameColumns(known.table->columns, columns)) {
    known.catalog_version = catalog_version;
    return known.table;
  }
  auto table = std::make_shared<Table>();
  table->name = name;
  table->columns = std::move(columns);
  table->generation = known.table ? known.table->generation + 1 : 1;
  known.table = table;
  known.catalog_version = catalog_version;
  return known.table;
}

void TableCache::ForgetVersions() {
  MutexLock lock(mutex_);
  for (auto& [name, known] : known_) known.catalog_version = kNeverRead;
}

arrow::Result<std::shared_ptr<const Table>> TableCache::Current(
    engine::Connection& connection, const schema::TableName& name) {
  std::optional<uint64_t> version;
  std::vector<Column> columns;
  bool found = false;
  std::shared_ptr<const Table> unchanged;
  auto& context = *connection.duckdb().context;
  ARROW_RETURN_NOT_OK(engine::Catching([&]() -> arrow::Status {
    context.RunFunctionInTransaction([&] {
      auto& catalog = duckdb::Catalog::GetCatalog(context, catalog_);
      version = catalog.GetCatalogVersion(context).GetIndex();
      {
        MutexLock lock(mutex_);
        auto known = known_.find(name);
        if (known != known_.end() && known->second.catalog_version == *version) {
          unchanged = known->second.table;
          return;
        }
      }
      duckdb::EntryLookupInfo lookup(duckdb::CatalogType::TABLE_ENTRY, name.table);
      auto entry = catalog.GetEntry(context, name.schema, lookup,
                                    duckdb::OnEntryNotFound::RETURN_NULL);
      if (!entry || entry->type != duckdb::CatalogType::TABLE_ENTRY) return;
      columns = ColumnsOf(entry->Cast<duckdb::TableCatalogEntry>());
      found = true;
    });
    return {};
  }));
  if (unchanged) return unchanged;
  if (!found) {
    return Error(ErrorCode::kTableNotFound, "no such table: ", name.ToString());
  }
  return Remember(name, std::move(columns), *version);
}

}  // namespace arrowport::sink
