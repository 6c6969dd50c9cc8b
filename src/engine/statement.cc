#include "engine/statement.h"

#include <duckdb.hpp>
#include <duckdb/parser/parsed_data/create_info.hpp>
#include <duckdb/parser/parser.hpp>
#include <duckdb/parser/statement/create_statement.hpp>
#include <duckdb/parser/statement/explain_statement.hpp>

#include "base/error.h"
#include "engine/batch_builder.h"
#include "engine/error.h"
#include "engine/statement_parts.h"

namespace arrowport::engine {
namespace {

using duckdb::SQLStatement;
using duckdb::StatementType;

StatementEffect EffectOf(const SQLStatement& statement) {
  switch (statement.type) {
    case StatementType::SELECT_STATEMENT:
    case StatementType::RELATION_STATEMENT:
    case StatementType::LOGICAL_PLAN_STATEMENT:
      return StatementEffect::kRead;
    case StatementType::EXPLAIN_STATEMENT: {
      const auto& explain = statement.Cast<duckdb::ExplainStatement>();
      return explain.explain_type == duckdb::ExplainType::EXPLAIN_ANALYZE
                 ? EffectOf(*explain.stmt)
                 : StatementEffect::kRead;
    }
    case StatementType::TRANSACTION_STATEMENT:
      return StatementEffect::kTransaction;
    case StatementType::PREPARE_STATEMENT:
    case StatementType::VARIABLE_SET_STATEMENT:
    case StatementType::SET_STATEMENT:
    case StatementType::LOAD_STATEMENT:
      return StatementEffect::kSession;
    default:
      return StatementEffect::kWrite;
  }
}

// PRAGMA, CALL and EXECUTE may set anything on a connection; temporary objects stay.
bool LeavesConnectionClean(const SQLStatement& statement) {
  switch (statement.type) {
    case StatementType::SELECT_STATEMENT:
    case StatementType::EXPLAIN_STATEMENT:
    case StatementType::INSERT_STATEMENT:
    case StatementType::UPDATE_STATEMENT:
    case StatementType::DELETE_STATEMENT:
    case StatementType::MERGE_INTO_STATEMENT:
    case StatementType::ALTER_STATEMENT:
    case StatementType::COPY_STATEMENT:
      return true;
    case StatementType::CREATE_STATEMENT:
      return !statement.Cast<duckdb::CreateStatement>().info->temporary;
    default:
      return false;
  }
}

bool OnlyCreatesTemporaryTypes(
    const std::vector<duckdb::unique_ptr<SQLStatement>>& statements) {
  for (const auto& statement : statements) {
    if (statement->type != StatementType::CREATE_STATEMENT) return false;
    const auto& info = *statement->Cast<duckdb::CreateStatement>().info;
    if (info.type != duckdb::CatalogType::TYPE_ENTRY || !info.temporary) return false;
  }
  return true;
}

}  // namespace

const std::shared_ptr<arrow::Schema>& CountSchema() {
  static const std::shared_ptr<arrow::Schema> schema =
      arrow::schema({arrow::field("Count", arrow::int64())});
  return schema;
}

Statement::Statement(std::string sql, std::unique_ptr<Parts> parts)
    : sql_(std::move(sql)), parts_(std::move(parts)) {
  effect_ = EffectOf(*parts_->last);
  leaves_connection_clean_ =
      parts_->before.empty() && LeavesConnectionClean(*parts_->last);
}

Statement::~Statement() = default;

arrow::Result<std::unique_ptr<Statement>> Statement::Parse(Connection& connection,
                                                           const std::string& sql) {
  return Catching([&]() -> arrow::Result<std::unique_ptr<Statement>> {
    if (sql.find('\0') != std::string::npos) {
      return Error(ErrorCode::kBadQuery, "the statement holds a NUL character");
    }
    auto& context = *connection.duckdb().context;
    duckdb::Parser parser(context.GetParserOptions());
    parser.ParseQuery(sql);
    if (parser.statements.empty()) {
      return Error(ErrorCode::kBadQuery, "there is no statement in the text");
    }
    if (parser.statements.size() > 1) {
      return Error(ErrorCode::kBadQuery, "one statement at a time, the text holds ",
                   parser.statements.size());
    }
    auto parts = std::make_unique<Parts>();
    const bool may_expand = parser.statements[0]->type == StatementType::MULTI_STATEMENT ||
                            parser.statements[0]->type == StatementType::PRAGMA_STATEMENT;
    if (may_expand) {
      auto expanded = connection.duckdb().ExtractStatements(sql);
      if (expanded.empty()) {
        return Error(ErrorCode::kBadQuery, "there is no statement in the text");
      }
      parts->last = std::move(expanded.back());
      expanded.pop_back();
      for (auto& one : expanded) parts->before.push_back(std::move(one));
    } else {
      parts->last = std::move(parser.statements[0]);
    }
    return std::unique_ptr<Statement>(new Statement(sql, std::move(parts)));
  });
}

arrow::Result<std::vector<std::string>> Statement::TableNames(
    Connection& connection) const {
  return Catching([&]() -> arrow::Result<std::vector<std::string>> {
    auto names = connection.duckdb().GetTableNames(sql_, /*qualified=*/false);
    return std::vector<std::string>(names.begin(), names.end());
  });
}

// With a placeholder of unknown type DuckDB plans nothing at all: ask it again with NULL
// for each of them.
arrow::Result<std::shared_ptr<arrow::Schema>> Statement::DescribeUnbound(
    Connection& connection) const {
  auto& duck = connection.duckdb();
  auto statements = duck.ExtractStatements("DESCRIBE " + sql_);
  if (statements.size() != 1) {
    return Error(ErrorCode::kBadQuery, "the statement cannot be described");
  }
  duckdb::case_insensitive_map_t<duckdb::BoundParameterData> values;
  for (const auto& [name, index] : statements[0]->named_param_map) {
    values.emplace(name, duckdb::BoundParameterData(duckdb::Value()));
  }
  auto pending = duck.PendingQuery(std::move(statements[0]), values, false);
  if (pending->HasError()) return TranslateError(pending->GetErrorObject());
  auto result = pending->Execute();
  if (result->HasError()) return TranslateError(result->GetErrorObject());
  duckdb::vector<std::string> names;
  duckdb::vector<duckdb::LogicalType> types;
  while (auto chunk = result->Fetch()) {
    if (chunk->size() == 0) break;
    for (duckdb::idx_t row = 0; row < chunk->size(); ++row) {
      names.push_back(chunk->GetValue(0, row).ToString());
      const std::string type = chunk->GetValue(1, row).ToString();
      types.push_back(type == "\"NULL\"" ? duckdb::LogicalType::SQLNULL
                                         : duck.context->ParseLogicalType(type));
    }
  }
  return OutputSchema(*duck.context, types, names);
}

arrow::Result<StatementShape> Statement::Describe(Connection& connection) const {
  return Catching([&]() -> arrow::Result<StatementShape> {
    StatementShape shape;
    shape.effect = effect_;
    shape.schema = CountSchema();
    if (!OnlyCreatesTemporaryTypes(parts_->before)) return shape;
    for (const auto& statement : parts_->before) {
      auto result = connection.duckdb().Query(statement->Copy());
      if (result->HasError()) return TranslateError(result->GetErrorObject());
    }
    auto prepared = connection.duckdb().Prepare(parts_->last->Copy());
    if (prepared->HasError()) return TranslateError(prepared->GetErrorObject());
    shape.has_rows = prepared->GetStatementProperties().return_type ==
                     duckdb::StatementReturnType::QUERY_RESULT;
    auto& context = *connection.duckdb().context;
    const bool all_bound = prepared->GetStatementProperties().bound_all_parameters;
    if (shape.has_rows && !all_bound && effect_ == StatementEffect::kRead) {
      ARROW_ASSIGN_OR_RAISE(shape.schema, DescribeUnbound(connection));
    } else if (shape.has_rows) {
      ARROW_ASSIGN_OR_RAISE(
          shape.schema, OutputSchema(context, prepared->GetTypes(), prepared->GetNames()));
    }
    auto expected = prepared->GetExpectedParameterTypes();
    shape.parameters.resize(prepared->named_param_map.size());
    for (const auto& [name, index] : prepared->named_param_map) {
      std::shared_ptr<arrow::DataType> type = arrow::null();
      auto found = expected.find(name);
      if (found != expected.end()) {
        auto schema = OutputSchema(context, {found->second}, {name});
        if (schema.ok()) type = (*schema)->field(0)->type();
      }
      shape.parameters.at(index - 1) = arrow::field(name, type);
    }
    return shape;
  });
}

}  // namespace arrowport::engine
