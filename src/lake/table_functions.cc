#include "lake/table_functions.h"

#include <duckdb/common/exception/binder_exception.hpp>
#include <duckdb/function/function_set.hpp>
#include <duckdb/function/table_function.hpp>
#include <duckdb/planner/tableref/bound_at_clause.hpp>
#include <optional>

#include "base/error.h"
#include "engine/error.h"
#include "lake/catalog.h"
#include "lake/catalog_entries.h"
#include "lake/change_source.h"
#include "lake/scan_function.h"
#include "schema/names.h"

namespace arrowport::lake {
namespace {

using duckdb::LogicalType;
using duckdb::Value;

constexpr char kReadFunction[] = "delta_read";
constexpr char kChangesFunction[] = "delta_changes";
constexpr char kVersion[] = "version";
constexpr char kAsOf[] = "as_of";  // TIMESTAMP is a keyword

LakeCatalog& CatalogOf(duckdb::ClientContext& context) {
  auto& catalog = duckdb::Catalog::GetCatalog(context, kCatalogName);
  if (catalog.GetCatalogType() != "delta") {
    throw duckdb::BinderException("the catalog of Delta tables is not attached");
  }
  return static_cast<LakeCatalog&>(catalog);
}

schema::TableName NameOf(const Value& value) {
  if (value.IsNull()) throw duckdb::BinderException("the table's name is NULL");
  const std::string text = duckdb::StringValue::Get(value);
  const size_t dot = text.find('.');
  if (dot == std::string::npos) return {"main", text};
  return {text.substr(0, dot), text.substr(dot + 1)};
}

int64_t NumberOf(const Value& value, const char* what) {
  if (value.IsNull()) {
    throw duckdb::BinderException(duckdb::string(what) + " is NULL: give a version");
  }
  return value.GetValue<int64_t>();
}

std::shared_ptr<TableEntry> Found(arrow::Result<std::shared_ptr<TableEntry>> entry,
                                  const schema::TableName& name) {
  if (!entry.ok()) {
    engine::ThrowStatus(WithContext("Delta table " + name.ToString(), entry.status()));
  }
  return *std::move(entry);
}

duckdb::unique_ptr<duckdb::FunctionData> Scan(
    duckdb::ClientContext& context, std::shared_ptr<const ScanSource> source,
    duckdb::vector<LogicalType>& types, duckdb::vector<duckdb::string>& names) {
  BoundScan scan = BindScan(context, std::move(source), nullptr);
  types = std::move(scan.types);
  names = std::move(scan.names);
  return std::move(scan.data);
}

duckdb::unique_ptr<duckdb::FunctionData> BindRead(
    duckdb::ClientContext& context, duckdb::TableFunctionBindInput& input,
    duckdb::vector<LogicalType>& types, duckdb::vector<duckdb::string>& names) {
  const schema::TableName name = NameOf(input.inputs[0]);
  duckdb::unique_ptr<duckdb::BoundAtClause> at;
  for (const auto& [option, value] : input.named_parameters) {
    if (at) throw duckdb::BinderException("give version or as_of, not both");
    at = duckdb::make_uniq<duckdb::BoundAtClause>(
        option == kAsOf ? "timestamp" : option, value);
  }
  auto entry = Found(FindTable(context, CatalogOf(context), name, at.get()), name);
  return Scan(context, entry->source(), types, names);
}

duckdb::unique_ptr<duckdb::FunctionData> BindChanges(
    duckdb::ClientContext& context, duckdb::TableFunctionBindInput& input,
    duckdb::vector<LogicalType>& types, duckdb::vector<duckdb::string>& names) {
  const schema::TableName name = NameOf(input.inputs[0]);
  LakeCatalog& catalog = CatalogOf(context);
  auto& transaction = LakeTransaction::Get(context, catalog);
  const int64_t first = NumberOf(input.inputs[1], "from");
  auto entry = input.inputs.size() > 2
                   ? Found(transaction.TableAt(catalog, name,
                                               NumberOf(input.inputs[2], "to")),
                           name)
                   : Found(transaction.Table(catalog, name), name);
  const ScanSource& table = *entry->source();
  auto changes =
      ChangesOf(*catalog.log(), {table.name, table.store, table.snapshot}, first);
  if (!changes.ok()) engine::ThrowStatus(changes.status());
  return Scan(context, *changes, types, names);
}

duckdb::TableFunction FunctionLike(const duckdb::TableFunction& scan, const char* name,
                                   duckdb::vector<LogicalType> arguments,
                                   duckdb::table_function_bind_t bind) {
  duckdb::TableFunction function = scan;
  function.name = name;
  function.arguments = std::move(arguments);
  function.named_parameters.clear();
  function.bind = bind;
  return function;
}

}  // namespace

void RegisterTableFunctions(duckdb::ExtensionLoader& loader,
                            duckdb::ClientContext& context) {
  const duckdb::TableFunction scan = ScanFunction(context);
  auto read = FunctionLike(scan, kReadFunction, {LogicalType::VARCHAR}, BindRead);
  read.named_parameters[kVersion] = LogicalType::BIGINT;
  read.named_parameters[kAsOf] = LogicalType::TIMESTAMP_TZ;
  loader.RegisterFunction(std::move(read));

  duckdb::TableFunctionSet changes(kChangesFunction);
  changes.AddFunction(FunctionLike(scan, kChangesFunction,
                                   {LogicalType::VARCHAR, LogicalType::BIGINT},
                                   BindChanges));
  changes.AddFunction(
      FunctionLike(scan, kChangesFunction,
                   {LogicalType::VARCHAR, LogicalType::BIGINT, LogicalType::BIGINT},
                   BindChanges));
  loader.RegisterFunction(std::move(changes));
}

}  // namespace arrowport::lake
