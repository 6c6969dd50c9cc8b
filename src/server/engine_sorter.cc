#include "server/engine_sorter.h"

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/arrow_insert.h"
#include "engine/result_stream.h"
#include "engine/statement.h"
#include "schema/duckdb_types.h"
#include "schema/names.h"

namespace arrowport::server {
namespace {

constexpr char kTable[] = "_arrowport_sort";
constexpr int64_t kInsertRows = 4 * engine::kRowGroupRows;

/// Rows of a statement in the schema they were put in with: the engine names the parts of
/// lists and maps its own way.
class SortedRows final : public arrow::RecordBatchReader {
 public:
  SortedRows(std::unique_ptr<engine::ResultStream> stream,
             std::unique_ptr<engine::Statement> statement,
             std::shared_ptr<arrow::Schema> schema)
      : statement_(std::move(statement)),
        stream_(std::move(stream)),
        schema_(std::move(schema)) {}

  std::shared_ptr<arrow::Schema> schema() const override { return schema_; }

  arrow::Status ReadNext(std::shared_ptr<arrow::RecordBatch>* batch) override {
    ARROW_ASSIGN_OR_RAISE(const auto next, stream_->Next());
    if (next == nullptr) {
      batch->reset();
      return {};
    }
    std::vector<std::shared_ptr<arrow::Array>> columns;
    for (int i = 0; i < next->num_columns(); ++i) {
      ARROW_ASSIGN_OR_RAISE(auto column, next->column(i)->View(schema_->field(i)->type()));
      columns.push_back(std::move(column));
    }
    *batch = arrow::RecordBatch::Make(schema_, next->num_rows(), std::move(columns));
    return {};
  }

 private:
  const std::unique_ptr<engine::Statement> statement_;
  const std::unique_ptr<engine::ResultStream> stream_;
  const std::shared_ptr<arrow::Schema> schema_;
};

arrow::Status MakeTable(engine::Connection& connection, const arrow::Schema& schema) {
  std::string sql = std::string("CREATE TEMP TABLE ") + kTable + " (";
  for (int i = 0; i < schema.num_fields(); ++i) {
    const arrow::Field& field = *schema.field(i);
    ARROW_ASSIGN_OR_RAISE(const auto type, schema::DuckDbTypeOf(field));
    if (i > 0) sql += ", ";
    sql += schema::QuoteIdentifier(field.name()) + " " + type.sql;
  }
  return connection.Run(sql + ")");
}

arrow::Status Fill(engine::Connection& connection, arrow::RecordBatchReader& rows) {
  ARROW_ASSIGN_OR_RAISE(
      auto insert,
      engine::ArrowInsert::Prepare(connection, {"temp", {"main", kTable}, rows.schema()},
                                   engine::InsertPlan::kRowGroups));
  std::vector<std::shared_ptr<arrow::RecordBatch>> waiting;
  int64_t waiting_rows = 0;
  for (bool ended = false; !ended;) {
    std::shared_ptr<arrow::RecordBatch> batch;
    ARROW_RETURN_NOT_OK(rows.ReadNext(&batch));
    ended = batch == nullptr;
    if (!ended) {
      waiting_rows += batch->num_rows();
      waiting.push_back(std::move(batch));
    }
    if (waiting_rows == 0 || (!ended && waiting_rows < kInsertRows)) continue;
    ARROW_RETURN_NOT_OK(insert->Run(waiting));
    waiting.clear();
    waiting_rows = 0;
  }
  return {};
}

class EngineSorter final : public delta::Sorter {
 public:
  explicit EngineSorter(std::shared_ptr<engine::Database> database)
      : database_(std::move(database)) {}

  arrow::Result<std::shared_ptr<arrow::RecordBatchReader>> Sort(
      std::shared_ptr<arrow::RecordBatchReader> rows, const std::string& key,
      int64_t) override {
    ARROW_ASSIGN_OR_RAISE(auto connection, database_->Connect());
    ARROW_RETURN_NOT_OK(connection->Run("SET TimeZone = 'UTC'"));
    ARROW_RETURN_NOT_OK(MakeTable(*connection, *rows->schema()));
    ARROW_RETURN_NOT_OK(Fill(*connection, *rows));
    ARROW_ASSIGN_OR_RAISE(
        auto statement,
        engine::Statement::Parse(*connection, std::string("SELECT * FROM temp.main.") +
                                                  kTable + " ORDER BY " +
                                                  schema::QuoteIdentifier(key)));
    auto stream = std::make_unique<engine::ResultStream>(std::move(connection),
                                                         engine::ResultStreamOptions{});
    ARROW_RETURN_NOT_OK(stream->Start(*statement, {}));
    return std::make_shared<SortedRows>(std::move(stream), std::move(statement),
                                        rows->schema());
  }

 private:
  const std::shared_ptr<engine::Database> database_;
};

}  // namespace

std::shared_ptr<delta::Sorter> MakeEngineSorter(
    std::shared_ptr<engine::Database> database) {
  return std::make_shared<EngineSorter>(std::move(database));
}

}  // namespace arrowport::server
