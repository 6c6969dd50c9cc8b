#include "sink/delta/open_table.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "delta/schema.h"
#include "sink/ddl_table_sink.h"

namespace arrowport::sink {
namespace {

constexpr size_t kPlansKept = 8;

/// Columns are made nullable: what a later upload lacks becomes NULL.
std::shared_ptr<arrow::Schema> AllNullable(const arrow::Schema& schema) {
  arrow::FieldVector fields;
  for (const auto& field : schema.fields()) {
    fields.push_back(arrow::field(field->name(), field->type(), /*nullable=*/true));
  }
  return arrow::schema(std::move(fields));
}

std::vector<Column> ColumnsOf(const delta::TableState& state) {
  std::vector<Column> columns;
  const auto arrow_schema = ToArrowSchema(*state.schema, delta::NameStyle::kLogical);
  for (const auto& field : arrow_schema->fields()) {
    columns.push_back({field->name(), field->type(), field->nullable()});
  }
  return columns;
}

/// Fills in what follows from the columns.
arrow::Result<std::shared_ptr<const DeltaPlan>> Finish(
    std::shared_ptr<DeltaPlan> plan, const std::shared_ptr<arrow::Schema>& incoming) {
  ARROW_ASSIGN_OR_RAISE(
      auto cast, schema::CastPlan::Make(incoming, TargetColumns(*plan),
                                        schema::SchemaMode::kStrict));
  plan->written = AllNullable(*cast.output_schema());
  return plan;
}

}  // namespace

delta::WriteOptions DeltaOptionsOf(const WriteOptions& options,
                                   const NewTableRules& rules) {
  delta::WriteOptions to;
  const bool strict = options.schema_mode == schema::SchemaMode::kStrict;
  to.schema_mode = strict ? delta::SchemaMode::kStrict : delta::SchemaMode::kMerge;
  if (options.schema_mode == schema::SchemaMode::kWiden && options.type_widening) {
    to.type_widening = delta::TypeWidening::kEnable;
  }
  to.files.compression = options.compression;
  to.files.target_file_bytes = options.target_file_bytes;
  to.create = delta::TableDefinition{.partition_by = options.partition_by};
  if (rules.enable_change_feed) {
    to.create->configuration["delta.enableChangeDataFeed"] = "true";
  }
  return to;
}

std::string VersionToken(const schema::TableName& name, int64_t version) {
  return "delta:" + name.ToString() + ":" + std::to_string(version);
}

arrow::Result<std::shared_ptr<const DeltaPlan>> PlanNewTable(
    const schema::TableName& name, const arrow::Schema& incoming,
    const WriteOptions& options, const NewTableRules& rules) {
  const auto wanted = AllNullable(incoming);
  ARROW_ASSIGN_OR_RAISE(
      const delta::TableState state,
      delta::PlanTable(*wanted, *DeltaOptionsOf(options, rules).create));
  auto plan = std::make_shared<DeltaPlan>();
  plan->name = name;
  plan->columns = ColumnsOf(state);
  plan->standing = Standing::kInCommit;
  return Finish(std::move(plan), wanted);
}

uint64_t OpenTable::GenerationOf(const delta::Snapshot* snapshot) {
  if (snapshot == nullptr) return 0;
  const delta::TableState& state = snapshot->state();
  const bool same = generation_ > 0 && metadata_.id == state.metadata.id &&
                    metadata_.schema_string == state.metadata.schema_string &&
                    metadata_.partition_columns == state.metadata.partition_columns &&
                    metadata_.configuration == state.metadata.configuration &&
                    protocol_ == state.protocol;
  if (!same) {
    ++generation_;
    metadata_ = state.metadata;
    protocol_ = state.protocol;
    made_.clear();
  }
  return generation_;
}

uint64_t OpenTable::Generation() {
  auto snapshot = table_->snapshot();
  MutexLock lock(mutex_);
  return GenerationOf(snapshot.get());
}

arrow::Result<std::shared_ptr<const DeltaPlan>> OpenTable::MakePlan(
    const delta::Snapshot* snapshot, uint64_t generation,
    const std::shared_ptr<arrow::Schema>& incoming, const WriteOptions& options) const {
  if (snapshot == nullptr) return PlanNewTable(name_, *incoming, options, rules_);
  const delta::TableState& now = snapshot->state();
  ARROW_RETURN_NOT_OK(delta::CheckWritable(now));
  const delta::WriteOptions wanted = DeltaOptionsOf(options, rules_);
  ARROW_ASSIGN_OR_RAISE(const delta::TableState next,
                        delta::EvolveTable(now, *AllNullable(*incoming),
                                           wanted.schema_mode, wanted.type_widening));
  auto plan = std::make_shared<DeltaPlan>();
  plan->name = name_;
  plan->columns = ColumnsOf(next);
  plan->generation = generation;
  const bool changes = next.metadata.schema_string != now.metadata.schema_string ||
                       next.metadata.configuration != now.metadata.configuration;
  plan->standing = changes ? Standing::kInCommit : Standing::kPresent;
  return Finish(std::move(plan), incoming);
}

arrow::Result<std::shared_ptr<const DeltaPlan>> OpenTable::Plan(
    const std::shared_ptr<arrow::Schema>& incoming, const WriteOptions& options) {
  const auto snapshot = table_->snapshot();
  uint64_t generation = 0;
  {
    MutexLock lock(mutex_);
    generation = GenerationOf(snapshot.get());
    for (const Made& made : made_) {
      const bool same = made.plan->generation == generation && made.options == options &&
                        (made.incoming == incoming ||
                         made.incoming->Equals(*incoming, /*check_metadata=*/false));
      if (same) return made.plan;
    }
  }
  ARROW_ASSIGN_OR_RAISE(auto plan,
                        MakePlan(snapshot.get(), generation, incoming, options));
  if (snapshot == nullptr || plan->standing != Standing::kPresent) return plan;
  MutexLock lock(mutex_);
  if (generation_ == generation) {
    if (made_.size() >= kPlansKept) made_.erase(made_.begin());
    made_.push_back({incoming, options, plan});
  }
  return plan;
}

arrow::Result<std::shared_ptr<const DeltaPlan>> OpenTable::Present() {
  const auto snapshot = table_->snapshot();
  if (snapshot == nullptr) {
    return Error(ErrorCode::kTableNotFound, "no such Delta table: ", name_.ToString());
  }
  auto plan = std::make_shared<DeltaPlan>();
  plan->name = name_;
  plan->columns = ColumnsOf(snapshot->state());
  plan->written =
      ToArrowSchema(*snapshot->state().schema, delta::NameStyle::kLogical);
  MutexLock lock(mutex_);
  plan->generation = GenerationOf(snapshot.get());
  return plan;
}

}  // namespace arrowport::sink
