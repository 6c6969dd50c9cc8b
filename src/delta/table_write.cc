#include "delta/table_write.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "delta/conflict.h"
#include "delta/json_text.h"
#include "delta/restore.h"

namespace arrowport::delta {
namespace {

std::string JsonList(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    if (out.size() > 1) out.push_back(',');
    AppendJsonString(text, &out);
  }
  return out + "]";
}

/// A filter as SQL, for people who read the history.
std::string PredicateText(const PartitionFilter& filter) {
  std::string out;
  for (const auto& [column, values] : filter.columns) {
    if (!out.empty()) out += " AND ";
    out += "`" + column + "` IN (";
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out += ", ";
      out += values[i] ? "'" + *values[i] + "'" : "NULL";
    }
    out += ")";
  }
  return JsonList({out});
}

arrow::Status Repartition(const std::vector<std::string>& columns, TableState* state) {
  state->metadata.partition_columns.clear();
  for (const std::string& name : columns) {
    const StructField* field = FindField(*state->schema, name);
    if (field == nullptr) {
      return Error(ErrorCode::kColumnNotFound,
                   "a partition column is not in the schema: ", name);
    }
    state->metadata.partition_columns.push_back(field->name);
  }
  return {};
}

/// The table's state with `schema` taken in.
arrow::Result<TableState> Evolve(const TableState& state, const arrow::Schema& schema,
                                 const WriteOptions& options) {
  const bool repartitions = options.schema_mode == SchemaMode::kOverwrite &&
                            options.create && !options.create->partition_by.empty();
  if (!repartitions) {
    return EvolveTable(state, schema, options.schema_mode, options.type_widening);
  }
  TableState unpartitioned = state;
  unpartitioned.metadata.partition_columns.clear();
  ARROW_ASSIGN_OR_RAISE(
      TableState next, EvolveTable(unpartitioned, schema, options.schema_mode,
                                   options.type_widening));
  ARROW_RETURN_NOT_OK(Repartition(options.create->partition_by, &next));
  return next;
}

}  // namespace

bool SameState(const TableState& a, const TableState& b) {
  return a.protocol == b.protocol && a.metadata.id == b.metadata.id &&
         a.metadata.schema_string == b.metadata.schema_string &&
         a.metadata.partition_columns == b.metadata.partition_columns &&
         a.metadata.configuration == b.metadata.configuration;
}

arrow::Result<WritePlan> PlanWrite(std::shared_ptr<const Snapshot> base,
                                   const arrow::Schema& schema,
                                   const WriteOptions& options) {
  WritePlan plan;
  if (base == nullptr) {
    if (!options.create) {
      return Error(ErrorCode::kTableNotFound, "there is no table in this folder");
    }
    ARROW_ASSIGN_OR_RAISE(plan.state, PlanTable(schema, *options.create));
  } else {
    ARROW_RETURN_NOT_OK(CheckWritable(base->state()));
    ARROW_ASSIGN_OR_RAISE(plan.state, Evolve(base->state(), schema, options));
  }
  plan.base = std::move(base);
  return plan;
}

arrow::Status ExtendPlan(const arrow::Schema& schema, const WriteOptions& options,
                         WritePlan* plan) {
  ARROW_ASSIGN_OR_RAISE(plan->state, EvolveTable(plan->state, schema, options.schema_mode,
                                                 options.type_widening));
  return {};
}

arrow::Result<std::unique_ptr<DataFileSet>> MakeFileSet(
    const WritePlan& plan, std::shared_ptr<store::Store> store,
    std::shared_ptr<EncoderPool> encoders, const DataFileOptions& options) {
  DataFileSet::Spec spec;
  spec.store = std::move(store);
  spec.encoders = std::move(encoders);
  spec.schema = plan.state.schema;
  spec.names = plan.state.column_names;
  spec.partition_columns = plan.state.metadata.partition_columns;
  spec.configuration = plan.state.metadata.configuration;
  spec.options = options;
  return DataFileSet::Make(std::move(spec));
}

StagedCommit::StagedCommit(WritePlan plan, StagedFiles files, Spec spec)
    : plan_(std::move(plan)), files_(std::move(files)), spec_(std::move(spec)) {}

bool StagedCommit::IsReplayed(const TableLog& log) const {
  for (const KeyEntry& key : spec_.keys) {
    if (log.FindKey(key.key)) return true;
  }
  for (const ProducerSequence& producer : spec_.producers) {
    const auto last = log.LastSequence(producer.app_id);
    if (last && *last >= producer.First()) return true;
  }
  return false;
}

/// Whether the plan holds on `base`, adapted to it if need be.
arrow::Result<bool> StagedCommit::FollowTable(
    const std::shared_ptr<const Snapshot>& base) {
  const bool unchanged =
      base == nullptr ? plan_.base == nullptr
                      : plan_.base != nullptr &&
                            SameState(plan_.base->state(), base->state());
  if (unchanged) {
    plan_.base = base;
    return true;
  }
  if (spec_.when_stale == WhenStale::kReplan) return false;
  auto now = PlanWrite(base, *spec_.schema, spec_.options);
  if (!now.ok()) return WithCode(ErrorCode::kCommitConflict, now.status());
  ARROW_RETURN_NOT_OK(CheckFilesFit(plan_.state, now->state));
  plan_ = std::move(*now);
  return true;
}

arrow::Status StagedCommit::AddRemoves(const Snapshot& base, CommitDraft* draft) const {
  if (base.state().properties.append_only) {
    return Error(ErrorCode::kConstraintViolation,
                 "the table is append-only (delta.appendOnly): nothing can be replaced");
  }
  const int64_t now_ms = std::max<int64_t>(base.timestamp_ms(), draft->header.timestamp_ms);
  base.VisitFiles([&](int64_t, const AddFile& add) {
    if (Matches(spec_.replace_where, add.partition_values)) {
      draft->actions.push_back(RemovalOf(add, now_ms, /*data_change=*/true));
    }
  });
  return {};
}

void StagedCommit::Describe(CommitDraft* draft, int64_t files_removed) const {
  CommitHeader& header = draft->header;
  const bool append = spec_.kind == Kind::kAppend;
  header.operation = "WRITE";
  header.is_blind_append = append;
  header.parameters = {
      {"mode", append ? "Append" : "Overwrite"},
      {"partitionBy", JsonList(plan_.state.metadata.partition_columns)}};
  if (!spec_.replace_where.columns.empty()) {
    header.parameters.emplace_back("predicate", PredicateText(spec_.replace_where));
  }
  header.metrics = {{"numFiles", static_cast<int64_t>(files_.adds().size())},
                    {"numOutputRows", files_.rows()},
                    {"numOutputBytes", files_.size_bytes()}};
  if (!append) header.metrics.emplace_back("numRemovedFiles", files_removed);
}

arrow::Result<std::optional<CommitDraft>> StagedCommit::Prepare(
    const TableLog& log, const std::shared_ptr<const Snapshot>& base) {
  if (IsReplayed(log)) return std::nullopt;
  ARROW_ASSIGN_OR_RAISE(const bool follows, FollowTable(base));
  if (!follows) return std::nullopt;
  CommitDraft draft;
  draft.header.timestamp_ms = log.NowMs();
  const TableState& after = plan_.state;
  if (base == nullptr || !(base->state().protocol == after.protocol)) {
    ARROW_RETURN_NOT_OK(CheckWritable(after));
    draft.actions.push_back(after.protocol);
  }
  if (base == nullptr || !SameState(base->state(), after)) {
    Metadata metadata = after.metadata;
    if (!metadata.created_time_ms) metadata.created_time_ms = log.NowMs();
    draft.actions.push_back(std::move(metadata));
  }
  for (const ProducerSequence& producer : spec_.producers) {
    draft.actions.push_back(SetTransaction{producer.app_id, producer.version, log.NowMs()});
  }
  const size_t before_removes = draft.actions.size();
  if (spec_.kind == Kind::kOverwrite && base != nullptr) {
    ARROW_RETURN_NOT_OK(AddRemoves(*base, &draft));
  }
  Describe(&draft, static_cast<int64_t>(draft.actions.size() - before_removes));
  for (const AddFile& add : files_.adds()) draft.actions.push_back(add);
  draft.keys = spec_.keys;
  return draft;
}

}  // namespace arrowport::delta
