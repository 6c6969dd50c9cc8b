#include "sink/ddl_table_sink.h"

#include <utility>

#include "base/error.h"

namespace arrowport::sink {

using schema::CastPlan;

std::vector<schema::TargetColumn> TargetColumns(const Table& table) {
  std::vector<schema::TargetColumn> columns;
  columns.reserve(table.columns.size());
  for (const Column& column : table.columns) {
    columns.push_back({column.name, column.type, column.nullable, column.has_default});
  }
  return columns;
}

arrow::Result<std::shared_ptr<const Table>> DdlTableSink::Plan(
    const schema::TableName& name, const std::shared_ptr<arrow::Schema>& incoming,
    const WriteOptions& options) {
  auto planned = std::make_shared<Table>();
  planned->name = name;
  arrow::FieldVector to_add;
  auto opened = Open(name);
  if (opened.ok()) {
    ARROW_ASSIGN_OR_RAISE(
        CastPlan plan,
        CastPlan::Make(incoming, TargetColumns(**opened), options.schema_mode));
    if (plan.columns_to_add().empty()) return opened;
    *planned = **opened;
    to_add = plan.columns_to_add();
  } else if (CodeOf(opened.status()) == ErrorCode::kTableNotFound) {
    to_add = incoming->fields();
  } else {
    return opened.status();
  }
  planned->standing = Standing::kToPrepare;
  for (const auto& field : to_add) {
    ARROW_ASSIGN_OR_RAISE(auto type, StoredType(*field));
    planned->columns.push_back({field->name(), std::move(type)});
  }
  return planned;
}

arrow::Result<std::shared_ptr<const Table>> DdlTableSink::Prepare(
    const schema::TableName& name, const std::shared_ptr<arrow::Schema>& incoming,
    const WriteOptions& options) {
  auto opened = Open(name);
  if (!opened.ok() && CodeOf(opened.status()) == ErrorCode::kTableNotFound) {
    opened = Create(name, *incoming);
  }
  ARROW_ASSIGN_OR_RAISE(auto table, std::move(opened));
  ARROW_ASSIGN_OR_RAISE(
      CastPlan plan, CastPlan::Make(incoming, TargetColumns(*table), options.schema_mode));
  if (plan.columns_to_add().empty()) return table;
  return AddColumns(name, plan.columns_to_add());
}

}  // namespace arrowport::sink
