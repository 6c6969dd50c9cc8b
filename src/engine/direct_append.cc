#include "engine/direct_append.h"

#include <duckdb.hpp>
#include <duckdb/main/attached_database.hpp>
#include <duckdb/planner/binder.hpp>
#include <duckdb/planner/bound_constraint.hpp>
#include <duckdb/storage/data_table.hpp>
#include <duckdb/storage/table/append_state.hpp>
#include <duckdb/transaction/meta_transaction.hpp>

#include "base/error.h"
#include "engine/append_columns.h"
#include "engine/arrow_source.h"
#include "engine/error.h"

namespace arrowport::engine {

using duckdb::ClientContext;

struct DirectAppend::Impl {
  Impl(Connection& connection, const ArrowInsertTarget& target)
      : context(*connection.duckdb().context),
        target(target),
        scan(duckdb::make_uniq<duckdb::ArrowArrayWrapper>(), context) {}

  ClientContext& context;
  const ArrowInsertTarget target;
  AppendColumns columns;
  duckdb::ArrowScanLocalState scan;
  duckdb::DataChunk scanned;
  duckdb::DataChunk rows;

  void Append(const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches);
};

void DirectAppend::Impl::Append(
    const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) {
  duckdb::TableCatalogEntry& table = AppendColumns::Entry(context, target);
  if (table.GetTypes() != columns.table_types()) {
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
      if (!NextChunk(scan, columns.batch_columns(), scanned)) break;
      columns.Arrange(scanned, &rows);
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
    bool fits = false;
    impl->context.RunFunctionInTransaction(
        [&] { fits = impl->columns.Resolve(impl->context, target); });
    if (!fits) return nullptr;
    auto& allocator = duckdb::Allocator::DefaultAllocator();
    impl->scanned.Initialize(allocator, impl->columns.batch_types());
    impl->rows.InitializeEmpty(impl->columns.table_types());
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
