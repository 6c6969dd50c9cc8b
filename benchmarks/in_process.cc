#include "in_process.h"

#include <arrow/api.h>
#include <arrow/c/bridge.h>

#include <duckdb.h>

#include <duckdb.hpp>
#include <duckdb/common/arrow/result_arrow_wrapper.hpp>
#include <duckdb/function/table/arrow.hpp>

#include "statistics.h"

namespace arrowport::bench {

namespace {

using arrow::Result;
using arrow::Status;

constexpr int64_t kRowGroupRows = 122'880;

// What arrow_scan calls back: the stream of one insert, its schema as the first question.
struct Factory {
  std::shared_ptr<arrow::Schema> schema;
  Batches batches;

  static duckdb::unique_ptr<duckdb::ArrowArrayStreamWrapper> Produce(
      uintptr_t self, duckdb::ArrowStreamParameters&) {
    auto* factory = reinterpret_cast<Factory*>(self);
    auto wrapper = duckdb::make_uniq<duckdb::ArrowArrayStreamWrapper>();
    auto reader = arrow::RecordBatchReader::Make(factory->batches, factory->schema);
    auto status = reader.ok() ? arrow::ExportRecordBatchReader(
                                    *reader, reinterpret_cast<struct ArrowArrayStream*>(
                                                 &wrapper->arrow_array_stream))
                              : reader.status();
    if (!status.ok()) throw duckdb::InvalidInputException(status.ToString());
    return wrapper;
  }

  static void GetSchema(::ArrowArrayStream* self, ::ArrowSchema& schema) {
    auto* factory = reinterpret_cast<Factory*>(self);
    auto status = arrow::ExportSchema(*factory->schema, &schema);
    if (!status.ok()) throw duckdb::InvalidInputException(status.ToString());
  }
};

Batches Slice(const Batches& batches) {
  Batches slices;
  for (const auto& batch : batches) {
    for (int64_t first = 0; first < batch->num_rows(); first += kRowGroupRows) {
      slices.push_back(batch->Slice(first, kRowGroupRows));
    }
  }
  return slices;
}

Status Check(const duckdb::QueryResult& result) {
  // The result interface of DuckDB has no const HasError.
  auto& open = const_cast<duckdb::QueryResult&>(result);
  return open.HasError() ? Status::Invalid(open.GetError()) : Status::OK();
}

Status Check(duckdb_error_data error) {
  if (error == nullptr) return Status::OK();
  Status status = duckdb_error_data_has_error(error)
                      ? Status::Invalid(duckdb_error_data_message(error))
                      : Status::OK();
  duckdb_destroy_error_data(&error);
  return status;
}

}  // namespace

struct InProcess::Impl {
  std::unique_ptr<duckdb::DuckDB> database;
  std::unique_ptr<duckdb::Connection> connection;

  duckdb::shared_ptr<duckdb::Relation> Scan(Factory* factory) {
    duckdb::vector<duckdb::Value> arguments = {
        duckdb::Value::POINTER(reinterpret_cast<uintptr_t>(factory)),
        duckdb::Value::POINTER(reinterpret_cast<uintptr_t>(&Factory::Produce)),
        duckdb::Value::POINTER(reinterpret_cast<uintptr_t>(&Factory::GetSchema))};
    return connection->TableFunction("arrow_scan", arguments);
  }
};

InProcess::InProcess(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
InProcess::~InProcess() = default;

Result<std::unique_ptr<InProcess>> InProcess::Open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  try {
    impl->database =
        std::make_unique<duckdb::DuckDB>(path.empty() ? nullptr : path.c_str());
    impl->connection = std::make_unique<duckdb::Connection>(*impl->database);
  } catch (const std::exception& error) {
    return Status::IOError(error.what());
  }
  std::unique_ptr<InProcess> opened(new InProcess(std::move(impl)));
  ARROW_RETURN_NOT_OK(opened->Run("SET checkpoint_threshold = '1TB'"));
  return opened;
}

Status InProcess::Run(const std::string& sql) {
  return Check(*impl_->connection->Query(sql));
}

Status InProcess::Insert(const std::string& table, const Batches& batches,
                         InsertOrder order) {
  Factory factory{batches.front()->schema(), Slice(batches)};
  ARROW_RETURN_NOT_OK(Run(std::string("SET preserve_insertion_order = ") +
                          (order == InsertOrder::kKept ? "true" : "false")));
  try {
    auto scan = impl_->Scan(&factory);
    if (!impl_->connection->TableInfo(table)) {
      scan->Limit(0)->Create(table);
    }
    scan->Insert(table);
  } catch (const std::exception& error) {
    return Status::Invalid(error.what());
  }
  return Status::OK();
}

Result<double> InProcess::CommitRateByScan(
    const std::string& table, const std::shared_ptr<arrow::RecordBatch>& batch,
    double seconds) {
  Factory factory{batch->schema(), {batch}};
  int64_t commits = 0;
  double start = Now();
  try {
    while (Now() - start < seconds) {
      impl_->Scan(&factory)->Insert(table);
      ++commits;
    }
  } catch (const std::exception& error) {
    return Status::Invalid(error.what());
  }
  return commits / (Now() - start);
}

Result<double> InProcess::CommitRateByAppender(
    const std::string& table, const std::shared_ptr<arrow::RecordBatch>& batch,
    double seconds) {
  auto* connection = reinterpret_cast<duckdb_connection>(impl_->connection.get());
  struct ArrowSchema schema;
  ARROW_RETURN_NOT_OK(arrow::ExportSchema(*batch->schema(), &schema));
  duckdb_arrow_converted_schema converted = nullptr;
  ARROW_RETURN_NOT_OK(Check(duckdb_schema_from_arrow(
      connection, reinterpret_cast<::ArrowSchema*>(&schema), &converted)));
  int64_t commits = 0;
  Status status;
  double start = Now();
  while (status.ok() && Now() - start < seconds) {
    struct ArrowArray array;
    ARROW_RETURN_NOT_OK(arrow::ExportRecordBatch(*batch, &array));
    duckdb_data_chunk chunk = nullptr;
    status =
        Check(duckdb_data_chunk_from_arrow(connection, &array, converted, &chunk));
    if (!status.ok()) break;
    ARROW_RETURN_NOT_OK(Run("BEGIN"));
    duckdb_appender appender = nullptr;
    if (duckdb_appender_create(connection, nullptr, table.c_str(), &appender) !=
            DuckDBSuccess ||
        duckdb_append_data_chunk(appender, chunk) != DuckDBSuccess ||
        duckdb_appender_flush(appender) != DuckDBSuccess) {
      status = Status::Invalid(duckdb_appender_error(appender));
    }
    duckdb_appender_destroy(&appender);
    duckdb_destroy_data_chunk(&chunk);
    ARROW_RETURN_NOT_OK(Run("COMMIT"));
    ++commits;
  }
  double rate = commits / (Now() - start);
  duckdb_destroy_arrow_converted_schema(&converted);
  ARROW_RETURN_NOT_OK(status);
  return rate;
}

Result<ExportTimes> InProcess::Export(const std::string& sql, int64_t batch_rows) {
  ExportTimes times;
  double start = Now();
  auto result = impl_->connection->SendQuery(sql);
  ARROW_RETURN_NOT_OK(Check(*result));
  auto* wrapper = new duckdb::ResultArrowArrayStreamWrapper(
      std::move(result), static_cast<duckdb::idx_t>(batch_rows));
  ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ImportRecordBatchReader(&wrapper->stream));
  while (true) {
    ARROW_ASSIGN_OR_RAISE(auto batch, reader->Next());
    if (!batch) break;
    if (times.rows == 0) times.first_batch_seconds = Now() - start;
    times.rows += batch->num_rows();
  }
  times.seconds = Now() - start;
  return times;
}

}  // namespace arrowport::bench
