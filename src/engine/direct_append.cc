#include "engine/direct_append.h"

#include <arrow/c/bridge.h>

#include <duckdb.hpp>
#include <duckdb/catalog/catalog.hpp>
#include <duckdb/catalog/catalog_entry/table_catalog_entry.hpp>
#include <duckdb/main/attached_database.hpp>
#include <duckdb/planner/binder.hpp>
#include <duckdb/planner/bound_constraint.hpp>
#include <duckdb/storage/data_table.hpp>
#include <duckdb/storage/table/append_state.hpp>
#include <duckdb/transaction/meta_transaction.hpp>
#include <optional>

#include "base/error.h"
#include "engine/arrow_source.h"
#include "engine/error.h"

namespace arrowport::engine {
namespace {

using duckdb::ClientContext;
using duckdb::TableCatalogEntry;

TableCatalogEntry& Entry(ClientContext& context, const ArrowInsertTarget& target) {
  return duckdb::Catalog::GetEntry<TableCatalogEntry>(
      context, target.catalog, target.table.schema, target.table.table);
}

/// For each table column the batch column that fills it, or nothing for NULL.
using Sources = std::vector<std::optional<size_t>>;

std::optional<Sources> Match(const TableCatalogEntry& table,
                             duckdb::ArrowTableSchema& columns) {
  const auto& names = columns.GetNames();
  const auto& types = columns.GetTypes();
  Sources sources;
  size_t found = 0;
  for (const auto& column : table.GetColumns().Logical()) {
    if (column.Generated()) return std::nullopt;
    auto& source = sources.emplace_back();
    for (size_t i = 0; i < names.size(); ++i) {
      if (duckdb::StringUtil::CIEquals(names[i], column.Name())) source = i;
    }
    if (!source && column.HasDefaultValue()) return std::nullopt;
    if (source && types[*source] != column.Type()) return std::nullopt;
    found += source.has_value();
  }
  if (found != names.size()) return std::nullopt;
  return sources;
}

}  // namespace

struct DirectAppend::Impl {
  Impl(Connection& connection, const ArrowInsertTarget& target)
      : context(*connection.duckdb().context),
        target(target),
        scan(duckdb::make_uniq<duckdb::ArrowArrayWrapper>(), context) {}

  ClientContext& context;
  const ArrowInsertTarget target;
  duckdb::ArrowSchemaWrapper schema;
  duckdb::ArrowTableSchema columns;
  Sources sources;
  duckdb::vector<duckdb::LogicalType> table_types;
  duckdb::ArrowScanLocalState scan;
  duckdb::DataChunk scanned;
  duckdb::DataChunk rows;

  void Append(const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches);
};

void DirectAppend::Impl::Append(
    const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) {
  TableCatalogEntry& table = Entry(context, target);
  if (table.GetTypes() != table_types) {
    throw duckdb::TransactionException("the table has been altered");
  }
  // What a planned INSERT would announce.
  duckdb::MetaTransaction::Get(context).ModifyDatabase(
      table.ParentCatalog().GetAttached(),
      duckdb::DatabaseModificationType(duckdb::DatabaseModificationType::INSERT_DATA));
  duckdb::vector<duckdb::unique_ptr<duckdb::BoundConstraint>> constraints;
  if (!table.GetConstraints().empty()) {
    constraints = duckdb::Binder::CreateBinder(context)->BindConstraints(table);
  }
  duckdb::DataTable& storage = table.GetStorage();
  duckdb::LocalAppendState state;
  storage.InitializeLocalAppend(state, table, context, constraints);
  for (const auto& batch : batches) {
    PointAt(scan, *batch, 0);
    for (;;) {
      scanned.Reset();
      if (!NextChunk(scan, columns, scanned)) break;
      rows.Reset();
      for (size_t i = 0; i < sources.size(); ++i) {
        if (sources[i]) {
          rows.data[i].Reference(scanned.data[*sources[i]]);
        } else {
          rows.data[i].Reference(duckdb::Value(table_types[i]));
        }
      }
      rows.SetCardinality(scanned.size());
      storage.LocalAppend(state, context, rows, /*unsafe=*/false);
    }
  }
  storage.FinalizeLocalAppend(state);
  // The last batch is not kept longer than the call.
  scan.Reset();
  scan.chunk = duckdb::make_shared_ptr<duckdb::ArrowArrayWrapper>();
}

DirectAppend::DirectAppend(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DirectAppend::~DirectAppend() = default;

arrow::Result<std::unique_ptr<DirectAppend>> DirectAppend::Prepare(
    Connection& connection, const ArrowInsertTarget& target) {
  return Catching([&]() -> arrow::Result<std::unique_ptr<DirectAppend>> {
    auto impl = std::make_unique<Impl>(connection, target);
    ARROW_RETURN_NOT_OK(
        arrow::ExportSchema(*target.columns, &impl->schema.arrow_schema));
    ClientContext& context = impl->context;
    std::optional<Sources> sources;
    context.RunFunctionInTransaction([&] {
      duckdb::ArrowTableFunction::PopulateArrowTableSchema(context, impl->columns,
                                                           impl->schema.arrow_schema);
      TableCatalogEntry& table = Entry(context, target);
      sources = Match(table, impl->columns);
      impl->table_types = table.GetTypes();
    });
    if (!sources) return nullptr;
    impl->sources = std::move(*sources);
    auto& allocator = duckdb::Allocator::DefaultAllocator();
    impl->scanned.Initialize(allocator, impl->columns.GetTypes());
    impl->rows.InitializeEmpty(impl->table_types);
    return std::unique_ptr<DirectAppend>(new DirectAppend(std::move(impl)));
  });
}

arrow::Status DirectAppend::Run(
    const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) {
  return Catching([&]() -> arrow::Status {
    impl_->context.RunFunctionInTransaction([&] { impl_->Append(batches); });
    return {};
  });
}

}  // namespace arrowport::engine
