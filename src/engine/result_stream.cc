#include "engine/result_stream.h"

#include <arrow/array/builder_primitive.h>

#include <algorithm>
#include <chrono>
#include <duckdb.hpp>

#include "base/error.h"
#include "engine/await_result.h"
#include "engine/batch_builder.h"
#include "engine/error.h"
#include "engine/parameter.h"
#include "engine/statement_parts.h"

namespace arrowport::engine {
namespace {

using Clock = std::chrono::steady_clock;

arrow::Status CancelledError() {
  return Error(ErrorCode::kCancelled, "the statement was cancelled");
}

arrow::Result<duckdb::case_insensitive_map_t<duckdb::BoundParameterData>> BindParameters(
    const duckdb::SQLStatement& statement,
    const std::vector<std::shared_ptr<arrow::Scalar>>& parameters) {
  duckdb::case_insensitive_map_t<duckdb::BoundParameterData> values;
  if (statement.named_param_map.size() != parameters.size()) {
    return Error(ErrorCode::kInvalidArgument,
                 "the number of parameters does not fit: the statement takes ",
                 statement.named_param_map.size(), ", given ", parameters.size());
  }
  for (const auto& [name, index] : statement.named_param_map) {
    if (index < 1 || index > parameters.size() || !parameters[index - 1]) {
      return Error(ErrorCode::kInvalidArgument, "no value for parameter ", name);
    }
    ARROW_ASSIGN_OR_RAISE(duckdb::Value value, ToDuckValue(*parameters[index - 1]));
    values.emplace(name, duckdb::BoundParameterData(std::move(value)));
  }
  return values;
}

}  // namespace

// DuckDB gives this one no type of its own.
bool IsPassingDefect(const arrow::Status& status) {
  return !status.ok() &&
         status.message().find("Perfect hash aggregate: aggregate group") !=
             std::string::npos;
}

struct ResultStream::Run {
  duckdb::unique_ptr<duckdb::PendingQueryResult> pending;
  duckdb::unique_ptr<duckdb::QueryResult> result;
  std::unique_ptr<BatchBuilder> builder;
  std::shared_ptr<arrow::RecordBatch> count;
  bool exhausted = false;
};

ResultStream::ResultStream(std::unique_ptr<Connection> connection,
                           ResultStreamOptions options)
    : options_(options),
      connection_(std::move(connection)),
      run_(std::make_unique<Run>()),
      batch_rows_target_(std::min(options.first_batch_rows, options.batch_rows_max)) {}

ResultStream::~ResultStream() { (void)Finish(arrow::Status::OK()); }

arrow::Status ResultStream::Start(
    const Statement& statement,
    const std::vector<std::shared_ptr<arrow::Scalar>>& parameters) {
  clean_ = statement.leaves_connection_clean();
  auto status = Catching([&]() -> arrow::Status {
    ARROW_RETURN_NOT_OK(Plan(statement, parameters));
    planned_ = true;
    return Execute();
  });
  return status.ok() ? status : Finish(Checked(status));
}

arrow::Status ResultStream::Plan(
    const Statement& statement,
    const std::vector<std::shared_ptr<arrow::Scalar>>& parameters) {
  auto& connection = connection_->duckdb();
  for (const auto& before : statement.parts_->before) {
    auto result = connection.Query(before->Copy());
    if (result->HasError()) return TranslateError(result->GetErrorObject());
  }
  ARROW_ASSIGN_OR_RAISE(auto values, BindParameters(*statement.parts_->last, parameters));
  // What writes is to be done when Start returns.
  const auto output = statement.effect() == StatementEffect::kRead
                          ? duckdb::QueryResultOutputType::ALLOW_STREAMING
                          : duckdb::QueryResultOutputType::FORCE_MATERIALIZED;
  // DuckDB plans with the values known and forgets an earlier interrupt.
  run_->pending = connection.context->PendingQuery(statement.parts_->last->Copy(), values,
                                                   duckdb::QueryParameters(output));
  if (run_->pending->HasError()) {
    return TranslateError(run_->pending->GetErrorObject());
  }
  if (interrupted_.load()) return CancelledError();
  return {};
}

// Helps with the statement until its first rows are ready.
arrow::Status ResultStream::AwaitRows() {
  if (AwaitResult(*run_->pending, [this] { return interrupted_.load(); })) return {};
  return CancelledError();
}

arrow::Status ResultStream::Execute() {
  ARROW_RETURN_NOT_OK(AwaitRows());
  if (run_->pending->HasError()) {
    return TranslateError(run_->pending->GetErrorObject());
  }
  run_->result = run_->pending->Execute();
  run_->pending.reset();
  duckdb::QueryResult& result = *run_->result;
  if (result.HasError()) return TranslateError(result.GetErrorObject());
  if (result.properties.return_type != duckdb::StatementReturnType::QUERY_RESULT) {
    return CollectCount();
  }
  duckdb::ClientContext& context = *connection_->duckdb().context;
  ARROW_ASSIGN_OR_RAISE(schema_, OutputSchema(context, result.types, result.names));
  run_->builder = std::make_unique<BatchBuilder>(context, result.types, schema_,
                                                 options_.batch_bytes_max);
  return {};
}

arrow::Status ResultStream::CollectCount() {
  int64_t count = 0;
  while (auto chunk = run_->result->Fetch()) {
    if (chunk->size() == 0) break;
    if (chunk->ColumnCount() != 1) continue;
    for (duckdb::idx_t row = 0; row < chunk->size(); ++row) {
      duckdb::Value value = chunk->GetValue(0, row);
      if (!value.IsNull() && value.type().IsNumeric()) {
        count += value.GetValue<int64_t>();
      }
    }
  }
  if (run_->result->HasError()) return TranslateError(run_->result->GetErrorObject());
  run_->exhausted = true;
  arrow::Int64Builder builder;
  ARROW_RETURN_NOT_OK(builder.Append(count));
  ARROW_ASSIGN_OR_RAISE(auto column, builder.Finish());
  schema_ = CountSchema();
  run_->count = arrow::RecordBatch::Make(schema_, 1, {std::move(column)});
  return {};
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> ResultStream::Next() {
  if (ended_) return std::shared_ptr<arrow::RecordBatch>();
  if (run_->count) return std::exchange(run_->count, nullptr);
  auto batch = Catching([&] { return FillBatch(); });
  if (!batch.ok()) return Finish(Checked(batch.status()));
  if (*batch == nullptr) ARROW_RETURN_NOT_OK(Finish(arrow::Status::OK()));
  return batch;
}

arrow::Result<bool> ResultStream::FetchChunk() {
  if (run_->exhausted) return false;
  if (interrupted_.load()) return CancelledError();
  auto chunk = run_->result->FetchRaw();
  if (run_->result->HasError()) return TranslateError(run_->result->GetErrorObject());
  if (!chunk || chunk->size() == 0) {
    // A closed stream ends like a finished one.
    if (interrupted_.load()) return CancelledError();
    run_->exhausted = true;
    return false;
  }
  run_->builder->SetChunk(std::unique_ptr<duckdb::DataChunk>(chunk.release()));
  return true;
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> ResultStream::FillBatch() {
  if (run_->exhausted && !run_->builder) return std::shared_ptr<arrow::RecordBatch>();
  BatchBuilder& builder = *run_->builder;
  Clock::time_point started = Clock::now();
  for (;;) {
    if (builder.chunk_used_up()) {
      ARROW_ASSIGN_OR_RAISE(bool more, FetchChunk());
      if (!more) break;
    }
    ARROW_ASSIGN_OR_RAISE(bool room, builder.Append(batch_rows_target_));
    if (!room || builder.rows() >= batch_rows_target_) break;
    const auto waited = Clock::now() - started;
    if (waited >= std::chrono::milliseconds(options_.linger_ms)) break;
  }
  if (builder.rows() == 0) return std::shared_ptr<arrow::RecordBatch>();
  batch_rows_target_ = std::min(batch_rows_target_ * 4, options_.batch_rows_max);
  return builder.Finish();
}

arrow::Status ResultStream::Checked(arrow::Status status) const {
  if (interrupted_.load() && CodeOf(status) == ErrorCode::kCancelled) {
    return CancelledError();
  }
  return status;
}

// Ends the transaction: DuckDB ends that of a half-read result only with the next
// statement or with the connection.
arrow::Status ResultStream::Finish(arrow::Status status) {
  if (ended_) return status;
  {
    MutexLock lock(mutex_);
    interruptible_ = false;
  }
  ended_ = true;
  const bool whole = status.ok() && run_->exhausted;
  try {
    // Planning forgets an interrupt that came before it; without one, tearing down waits
    // for workers that have no reason to stop.
    if (!whole && connection_) connection_->duckdb().Interrupt();
    run_->builder.reset();
    run_->pending.reset();
    run_->result.reset();
    if (!whole || !clean_) connection_.reset();
  } catch (const std::exception& exception) {
    connection_.reset();
    if (status.ok()) return TranslateException(exception);
  }
  return status;
}

void ResultStream::Interrupt() {
  interrupted_.store(true);
  MutexLock lock(mutex_);
  if (interruptible_) connection_->duckdb().Interrupt();
}

std::unique_ptr<Connection> ResultStream::TakeConnection() {
  return ended_ ? std::move(connection_) : nullptr;
}

}  // namespace arrowport::engine
