#include "sink/duckdb/writer.h"

#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace arrowport::sink {
namespace {

constexpr size_t kPlansMax = 64;

const Column* FindColumn(const Table& table, const std::string& name) {
  for (const Column& column : table.columns) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

// DuckDB would cast what it is given, losing what it likes: types must be exact here.
arrow::Status CheckSchema(const Table& table, const arrow::Schema& schema) {
  if (schema.num_fields() == 0) {
    return Error(ErrorCode::kSchemaMismatch, "a batch without columns for table ",
                 table.name.ToString());
  }
  for (const auto& field : schema.fields()) {
    const Column* column = FindColumn(table, field->name());
    if (column == nullptr) {
      return Error(ErrorCode::kSchemaMismatch,
                   "the table has no such column: ", field->name());
    }
    if (!column->type->Equals(*field->type())) {
      return Error(ErrorCode::kSchemaMismatch, "column ", field->name(), " needs ",
                   column->type->ToString(), " but the batch carries ",
                   field->type()->ToString());
    }
  }
  return {};
}

// A statement of ours that was planned is not a bad query: a value was refused.
arrow::Status AsInsertError(const arrow::Status& status) {
  if (status.ok() || CodeOf(status) != ErrorCode::kBadQuery) return status;
  return WithCode(ErrorCode::kSchemaMismatch, status);
}

}  // namespace

Writer::Writer(engine::Database& database, std::unique_ptr<engine::Connection> connection)
    : database_(database), connection_(std::move(connection)) {}

arrow::Result<std::unique_ptr<Writer>> Writer::Make(engine::Database& database) {
  ARROW_ASSIGN_OR_RAISE(auto connection, database.Connect());
  return std::unique_ptr<Writer>(new Writer(database, std::move(connection)));
}

// What DuckDB checks at the start of every statement; we go below statements.
arrow::Status Writer::CheckStorage() const {
  if (!database_.invalidated()) return {};
  return Error(ErrorCode::kStorageUnavailable,
               "the storage failed and is being reopened");
}

arrow::Status Writer::Begin() {
  ARROW_RETURN_NOT_OK(CheckStorage());
  return connection_->Begin();
}

void Writer::Rollback() {
  if (unsettled_ != nullptr) std::exchange(unsettled_, nullptr)->Drop();
  arrow::Status status = connection_->Rollback();
  if (!status.ok()) LogDebug("rollback failed", {{"error", status.message()}});
}

CommitResult Writer::Commit(arrow::Status* status) {
  *status = CheckStorage();
  if (!status->ok()) return CommitResult::kUnknown;
  engine::Connection::CommitOutcome outcome = connection_->Commit();
  *status = std::move(outcome.status);
  if (outcome.committed) {
    arrow::Status named = database_.SyncNames();
    if (!named.ok()) {
      *status = std::move(named);
      return CommitResult::kUnknown;
    }
    return status->ok() ? CommitResult::kCommitted
                        : CommitResult::kCommittedCheckpointFailed;
  }
  return database_.invalidated() ? CommitResult::kUnknown : CommitResult::kRolledBack;
}

arrow::Result<engine::ArrowInsert*> Writer::PlanFor(const Table& table,
                                                    const arrow::Schema& schema,
                                                    engine::InsertPlan shape) {
  PlanKey key{table.name, table.generation, schema.field_names(), shape};
  auto found = plans_.find(key);
  if (found != plans_.end()) return found->second.get();
  ARROW_RETURN_NOT_OK(Settle());
  if (plans_.size() >= kPlansMax) plans_.clear();
  ARROW_ASSIGN_OR_RAISE(
      auto plan,
      engine::ArrowInsert::Prepare(
          *connection_, {database_.catalog(), table.name, arrow::schema(schema.fields())},
          shape));
  return plans_.emplace(std::move(key), std::move(plan)).first->second.get();
}

arrow::Status Writer::CheckBatches(
    const Table& table,
    const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) const {
  const arrow::Schema* checked = nullptr;
  for (const auto& batch : batches) {
    if (batch->schema().get() == checked) continue;
    ARROW_RETURN_NOT_OK(CheckSchema(table, *batch->schema()));
    checked = batch->schema().get();
  }
  return {};
}

arrow::Status Writer::Insert(
    const Table& table, const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) {
  int64_t rows = 0;
  for (const auto& batch : batches) rows += batch->num_rows();
  if (rows >= engine::kRowGroupRows) {
    ARROW_RETURN_NOT_OK(InsertPart(table, batches));
    return Settle();
  }
  ARROW_RETURN_NOT_OK(CheckBatches(table, batches));
  ARROW_RETURN_NOT_OK(Settle());
  if (rows == 0) return {};
  ARROW_ASSIGN_OR_RAISE(
      engine::ArrowInsert * plan,
      PlanFor(table, *batches.front()->schema(), engine::InsertPlan::kRows));
  return AsInsertError(plan->Run(batches));
}

arrow::Status Writer::InsertPart(
    const Table& table, const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) {
  if (batches.empty()) return {};
  ARROW_RETURN_NOT_OK(CheckBatches(table, batches));
  ARROW_ASSIGN_OR_RAISE(
      engine::ArrowInsert * plan,
      PlanFor(table, *batches.front()->schema(), engine::InsertPlan::kRowGroups));
  if (unsettled_ != plan) ARROW_RETURN_NOT_OK(Settle());
  unsettled_ = plan;
  return AsInsertError(plan->Run(batches));
}

arrow::Status Writer::Settle() {
  if (unsettled_ == nullptr) return {};
  return AsInsertError(std::exchange(unsettled_, nullptr)->Settle());
}

}  // namespace arrowport::sink
