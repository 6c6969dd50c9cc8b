#include "emulator/tables.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "emulator/json_fields.h"

namespace arrowport::emulator {
namespace {

using nlohmann::json;
using zerobus::encode::TableSchema;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         c == '_';
}

arrow::Result<std::shared_ptr<Table>> MakeTable(const std::string& name,
                                                const std::string& columns_json) {
  ARROW_RETURN_NOT_OK(TableNameParts(name).status());
  auto table = std::make_shared<Table>();
  table->name = name;
  table->columns_json = columns_json;
  auto schema = TableSchema::FromUnityCatalogJson(columns_json);
  if (!schema.ok()) return WithContext("table " + name, schema.status());
  table->schema = std::move(*schema);
  return table;
}

}  // namespace

arrow::Result<std::vector<std::string>> TableNameParts(std::string_view name) {
  std::vector<std::string> parts(1);
  for (const char c : name) {
    if (c == '.') {
      parts.emplace_back();
    } else if (IsNameCharacter(c)) {
      parts.back() += c;
    } else {
      parts.clear();
      break;
    }
  }
  if (parts.size() != 3 || std::any_of(parts.begin(), parts.end(),
                                       [](const auto& part) { return part.empty(); })) {
    return Error(ErrorCode::kInvalidName,
                 "a table is named catalog.schema.table, of ASCII letters, digits and "
                 "underscores; given: ",
                 name);
  }
  return parts;
}

arrow::Status TableCatalog::Load(std::string_view tables_json) {
  ARROW_ASSIGN_OR_RAISE(const json document, ParseJson(tables_json, "the tables file"));
  if (!document.is_object()) {
    return Error(ErrorCode::kBadConfig,
                 "the tables file must be {\"catalog.schema.table\": {\"columns\": ...}}");
  }
  std::map<std::string, std::shared_ptr<const Table>> loaded;
  for (const auto& [name, value] : document.items()) {
    JsonFields fields(value, name);
    const json* columns = fields.Value("columns");
    if (!columns || !columns->is_array()) {
      fields.Fail("columns", "a list of Unity Catalog column objects");
    }
    ARROW_RETURN_NOT_OK(fields.Finish());
    ARROW_ASSIGN_OR_RAISE(loaded[name], MakeTable(name, columns->dump()));
  }
  MutexLock lock(mutex_);
  tables_ = std::move(loaded);
  return {};
}

arrow::Status TableCatalog::Put(const std::string& name,
                                const std::string& columns_json) {
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<Table> table, MakeTable(name, columns_json));
  MutexLock lock(mutex_);
  auto& place = tables_[name];
  if (place) table->version = place->version + 1;
  place = std::move(table);
  return {};
}

arrow::Status TableCatalog::Drop(const std::string& name) {
  MutexLock lock(mutex_);
  if (tables_.erase(name) > 0) return {};
  return Error(ErrorCode::kTableNotFound, "no such table: ", name);
}

std::shared_ptr<const Table> TableCatalog::Find(const std::string& name) const {
  MutexLock lock(mutex_);
  const auto it = tables_.find(name);
  return it == tables_.end() ? nullptr : it->second;
}

std::vector<std::string> TableCatalog::Names() const {
  MutexLock lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, table] : tables_) names.push_back(name);
  return names;
}

arrow::Result<std::string> TableCatalog::Describe(const std::string& name) const {
  const auto table = Find(name);
  if (!table) return Error(ErrorCode::kTableNotFound, "no such table: ", name);
  ARROW_ASSIGN_OR_RAISE(const auto parts, TableNameParts(name));
  ARROW_ASSIGN_OR_RAISE(const json columns, ParseJson(table->columns_json, "columns"));
  const nlohmann::ordered_json reply = {{"name", parts[2]},
                                        {"catalog_name", parts[0]},
                                        {"schema_name", parts[1]},
                                        {"full_name", name},
                                        {"table_type", "MANAGED"},
                                        {"data_source_format", "DELTA"},
                                        {"columns", columns}};
  return reply.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace arrowport::emulator
