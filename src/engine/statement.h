// One SQL statement, parsed and sorted by what it may do, before it is planned or run.
#pragma once

#include <arrow/result.h>
#include <arrow/scalar.h>
#include <arrow/type.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/database.h"

namespace duckdb {
class LogicalType;
class SQLStatement;
}  // namespace duckdb

namespace arrowport::engine {

/// What running a statement may change. Decided by the grammar alone, so it errs towards
/// kWrite.
enum class StatementEffect {
  kRead,         ///< nothing: SELECT, VALUES, EXPLAIN, SHOW, DESCRIBE
  kWrite,        ///< data or catalog: INSERT, CREATE, COPY, CALL, EXPLAIN ANALYZE ...
  kSession,      ///< the connection it runs on: SET, USE, PREPARE, LOAD
  kTransaction,  ///< BEGIN, COMMIT, ROLLBACK
};

/// What a statement takes and gives, from the planner.
struct StatementShape {
  StatementEffect effect = StatementEffect::kRead;
  /// False for DML and DDL without RETURNING, whose schema is one Count column.
  bool has_rows = false;
  std::shared_ptr<arrow::Schema> schema;
  /// One field a parameter in order; its name is the placeholder's ("1", "name"), its
  /// type `null` where the planner could not tell.
  std::vector<std::shared_ptr<arrow::Field>> parameters;
};

/// Result schema of every statement without rows.
const std::shared_ptr<arrow::Schema>& CountSchema();

/// Caller-locked; independent of the connection it was parsed on.
class Statement {
 public:
  /// Errors: kBadQuery, also for no statement and for more than one.
  static arrow::Result<std::unique_ptr<Statement>> Parse(Connection& connection,
                                                         const std::string& sql);
  ~Statement();

  StatementEffect effect() const { return effect_; }
  /// True when a connection that ran this is as good as new afterwards.
  bool leaves_connection_clean() const { return leaves_connection_clean_; }

  /// The tables it names, unqualified, also those that do not exist.
  arrow::Result<std::vector<std::string>> TableNames(Connection& connection) const;

  /// Plans without running. Blocks on the catalog and on files the statement names.
  arrow::Result<StatementShape> Describe(Connection& connection) const;

 private:
  friend class ResultStream;
  struct Parts;
  arrow::Result<std::shared_ptr<arrow::Schema>> DescribeUnbound(
      Connection& connection) const;

  Statement(std::string sql, std::unique_ptr<Parts> parts);

  const std::string sql_;
  std::unique_ptr<Parts> parts_;
  StatementEffect effect_ = StatementEffect::kWrite;
  bool leaves_connection_clean_ = false;
};

}  // namespace arrowport::engine
