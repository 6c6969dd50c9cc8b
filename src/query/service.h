// SQL and tables as protocols see them: run a statement, get its rows pushed batch by
// batch with back-pressure. No thread is held while a consumer pauses.
#pragma once

#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/scalar.h>
#include <arrow/type.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"

namespace arrowport::query {

/// `schema` empty: resolved by the search path. A `schema` that is the name of a catalog
/// stands for that catalog's default schema, as in SQL.
struct TableRef {
  std::string schema;
  std::string table;
  std::string catalog = {};  ///< with `schema` only
};

struct Request {
  std::variant<std::string, TableRef> source;  ///< SQL text, or a table to read whole
  std::vector<std::shared_ptr<arrow::Scalar>> parameters;
  std::string read_after;  ///< version token the snapshot must include, or empty
  std::string request_id;
};

enum class Flow { kContinue, kPause };

/// Takes a result. Called on query threads, one call at a time; must not block.
class ResultConsumer {
 public:
  virtual ~ResultConsumer() = default;
  virtual void OnSchema(const std::shared_ptr<arrow::Schema>& schema) = 0;
  /// kPause: nothing more comes until Cursor::Resume. First batches are small (first row
  /// in milliseconds), later ones up to 65,536 rows and about 8 MiB.
  virtual Flow OnBatch(std::shared_ptr<arrow::RecordBatch> batch) = 0;
  /// Last call, exactly once, also without OnSchema before it when the statement failed.
  virtual void OnEnd(const arrow::Status& status) = 0;
};

/// Handle on a running statement. Thread-safe. Destroying it cancels.
class Cursor {
 public:
  virtual ~Cursor() = default;
  virtual void Resume() = 0;
  /// Interrupts the statement; OnEnd(kCancelled) follows unless it had ended.
  virtual void Cancel() = 0;
};

struct TableInfo {
  std::string catalog;
  std::string schema;
  std::string table;
  std::string type;  ///< "BASE TABLE", "VIEW"
  std::shared_ptr<arrow::Schema> arrow_schema;
  std::optional<int64_t> estimated_rows;
};

/// What the planner says about a statement without running it.
struct StatementInfo {
  /// False for DML and DDL without RETURNING: `schema` is then the one Count column.
  bool has_rows = false;
  bool read_only = false;
  std::shared_ptr<arrow::Schema> schema;
  /// One a placeholder in order; type `null` where the planner could not tell.
  std::vector<std::shared_ptr<arrow::Field>> parameters;
};

struct ServiceOptions;  // query/service_options.h

/// Thread-safe. The destructor stops: whatever runs ends with kDraining.
class Service {
 public:
  /// Starts the threads. Errors: kInvalidArgument for options outside their range.
  static arrow::Result<std::shared_ptr<Service>> Make(ServiceOptions options);
  virtual ~Service() = default;

  /// Starts the statement on a query thread and returns at once. A statement without rows
  /// (DDL, DML) is run once and yields its Count row. Errors: kOverloaded, kDraining;
  /// those of the statement come by OnEnd: kBadQuery, kTableNotFound, kColumnNotFound,
  /// kConstraintViolation, kOutOfMemory, kTimeout ...
  virtual arrow::Result<std::unique_ptr<Cursor>> Execute(
      Request request, std::shared_ptr<ResultConsumer> consumer) = 0;

  /// Result schema without running anything; blocks for the planner.
  virtual arrow::Result<std::shared_ptr<arrow::Schema>> Describe(
      const Request& request) = 0;

  virtual arrow::Result<StatementInfo> Prepare(const Request& request) {
    return Error(ErrorCode::kUnimplemented, "this service prepares nothing");
  }

  /// Refuses new statements with kDraining; those that run go on.
  virtual void Drain() {}

  /// Tables and views of the default catalog, of the data sets and of catalog `delta`, ledger and internals
  /// hidden; blocks on the catalog.
  /// `arrow_schema` is without fields where a view cannot be bound now.
  virtual arrow::Result<std::vector<TableInfo>> ListTables() = 0;
  virtual arrow::Result<TableInfo> GetTable(const TableRef& table) = 0;
};

}  // namespace arrowport::query
