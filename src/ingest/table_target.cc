#include "ingest/table_target.h"

#include <utility>

#include "sink/ddl_table_sink.h"

namespace arrowport::ingest {

using schema::CastPlan;
using sink::TargetColumns;

arrow::Result<TableTarget::Look> TableTarget::LookFor(
    const std::shared_ptr<arrow::Schema>& incoming) const {
  ARROW_RETURN_NOT_OK(sink_->CheckRoom());
  ARROW_ASSIGN_OR_RAISE(auto table, sink_->Plan(name_, incoming, *options_));
  ARROW_ASSIGN_OR_RAISE(CastPlan plan, CastPlan::Make(incoming, TargetColumns(*table),
                                                      schema::SchemaMode::kStrict));
  return Look{std::move(table), std::move(plan)};
}

arrow::Result<std::shared_ptr<const sink::Table>> TableTarget::Prepare(
    const std::shared_ptr<arrow::Schema>& incoming) const {
  return sink_->Prepare(name_, incoming, *options_);
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
