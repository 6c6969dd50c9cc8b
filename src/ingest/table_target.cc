#include "ingest/table_target.h"

#include <utility>
#include <vector>

#include "base/error.h"

namespace arrowport::ingest {
namespace {

using schema::CastPlan;
using schema::TargetColumn;

std::vector<TargetColumn> TargetColumns(const sink::Table& table) {
  std::vector<TargetColumn> columns;
  columns.reserve(table.columns.size());
  for (const sink::Column& column : table.columns) {
    columns.push_back({column.name, column.type, column.nullable, column.has_default});
  }
  return columns;
}

}  // namespace

arrow::Result<TableTarget::Plan> TableTarget::Look(
    const std::shared_ptr<arrow::Schema>& incoming) const {
  std::shared_ptr<const sink::Table> table;
  std::vector<TargetColumn> columns;
  arrow::FieldVector to_add;
  auto opened = sink_->Open(name_);
  if (opened.ok()) {
    table = *std::move(opened);
    columns = TargetColumns(*table);
    ARROW_ASSIGN_OR_RAISE(CastPlan plan, CastPlan::Make(incoming, columns, mode_));
    if (plan.columns_to_add().empty()) return Plan{std::move(table), std::move(plan)};
    to_add = plan.columns_to_add();
  } else if (CodeOf(opened.status()) == ErrorCode::kTableNotFound) {
    to_add = incoming->fields();
  } else {
    return opened.status();
  }
  for (const auto& field : to_add) {
    ARROW_ASSIGN_OR_RAISE(auto type, sink_->StoredType(*field));
    columns.push_back({field->name(), std::move(type)});
  }
  ARROW_ASSIGN_OR_RAISE(CastPlan plan, CastPlan::Make(incoming, std::move(columns),
                                                      schema::SchemaMode::kStrict));
  return Plan{std::move(table), std::move(plan), /*needs_change=*/true};
}

arrow::Result<std::shared_ptr<const sink::Table>> TableTarget::Change(
    const std::shared_ptr<arrow::Schema>& incoming) const {
  auto opened = sink_->Open(name_);
  if (!opened.ok() && CodeOf(opened.status()) == ErrorCode::kTableNotFound) {
    opened = sink_->Create(name_, *incoming);
  }
  ARROW_ASSIGN_OR_RAISE(auto table, std::move(opened));
  ARROW_ASSIGN_OR_RAISE(CastPlan plan,
                        CastPlan::Make(incoming, TargetColumns(*table), mode_));
  if (plan.columns_to_add().empty()) return table;
  return sink_->AddColumns(name_, plan.columns_to_add());
}

arrow::Result<Batches> TableTarget::Refit(const sink::Table& table, Batches batches,
                                          int64_t first_row) const {
  if (batches.empty()) return batches;
  ARROW_ASSIGN_OR_RAISE(CastPlan plan,
                        CastPlan::Make(batches.front()->schema(), TargetColumns(table),
                                       schema::SchemaMode::kStrict));
  if (plan.identity()) return batches;
  for (auto& batch : batches) {
    const int64_t rows = batch->num_rows();
    ARROW_ASSIGN_OR_RAISE(batch, plan.Apply(batch, first_row));
    first_row += rows;
  }
  return batches;
}

}  // namespace arrowport::ingest
