#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "emulator/plain_json.h"
#include "emulator/row_check.h"
#include "emulator/value_rules.h"

namespace arrowport::emulator {
namespace {

using nlohmann::json;
using zerobus::encode::TableType;
using zerobus::encode::TypeId;

arrow::Status BadValue(const std::string& path, const TableType& type) {
  return Error(ErrorCode::kBadData, "bad value in ", path, ": not a value of ",
               type.ToString());
}

bool IsInteger(const json& value, TypeId type) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return false;
  return FitsInteger(type, value.get<int64_t>());
}

bool IsFloat(const json& value) {
  if (value.is_number()) return true;
  if (!value.is_string()) return false;
  // What JSON numbers cannot say, in the words of protobuf's JSON form.
  const auto& text = value.get_ref<const std::string&>();
  return text == "NaN" || text == "Infinity" || text == "-Infinity";
}

bool IsScalar(const json& value, const TableType& type) {
  switch (type.id) {
    case TypeId::kBoolean:
      return value.is_boolean();
    case TypeId::kTinyInt:
    case TypeId::kSmallInt:
    case TypeId::kInt:
    case TypeId::kDate:
    case TypeId::kBigInt:
    case TypeId::kTimestamp:
    case TypeId::kTimestampNtz:
      return IsInteger(value, type.id);
    case TypeId::kFloat:
    case TypeId::kDouble:
      return IsFloat(value);
    case TypeId::kDecimal:
      return value.is_string() && IsDecimalText(value.get_ref<const std::string&>(),
                                                type.precision, type.scale);
    case TypeId::kString:
      return value.is_string();
    case TypeId::kVariant:
      return value.is_string() && json::accept(value.get_ref<const std::string&>());
    case TypeId::kBinary:
      return value.is_string() && IsBase64(value.get_ref<const std::string&>());
    default:
      return false;
  }
}

/// A MAP's key stands as a member name, whatever its type.
bool IsMapKey(const std::string& text, const TableType& type) {
  if (type.id == TypeId::kString) return true;
  if (type.id == TypeId::kDecimal) return IsDecimalText(text, type.precision, type.scale);
  return IsScalar(json::parse(text, nullptr, false), type);
}

arrow::Status CheckValue(const json& value, const TableType& type,
                         const std::string& path);

template <typename Columns>
arrow::Status CheckMembers(const json& object, const Columns& columns,
                           const std::string& path) {
  const std::string prefix = path.empty() ? "" : path + ".";
  size_t found = 0;
  for (const auto& column : columns) {
    const auto it = object.find(column.name);
    if (it != object.end()) ++found;
    if (it == object.end() || it->is_null()) {
      if (column.nullable) continue;
      return Error(ErrorCode::kBadData, "required field is missing: ", prefix,
                   column.name);
    }
    ARROW_RETURN_NOT_OK(CheckValue(*it, column.type, prefix + column.name));
  }
  if (found == object.size()) return {};
  for (const auto& [name, value] : object.items()) {
    const auto known = [&name = name](const auto& column) { return column.name == name; };
    if (std::none_of(columns.begin(), columns.end(), known)) {
      return Error(ErrorCode::kBadData,
                   "the record has a field the table lacks: ", prefix, name);
    }
  }
  return {};
}

arrow::Status CheckValue(const json& value, const TableType& type,
                         const std::string& path) {
  if (type.id == TypeId::kStruct) {
    if (!value.is_object()) return BadValue(path, type);
    return CheckMembers(value, type.children, path);
  }
  if (type.id == TypeId::kArray) {
    if (!value.is_array()) return BadValue(path, type);
    for (const auto& element : value) {
      ARROW_RETURN_NOT_OK(CheckValue(element, type.children[0].type, path + "[]"));
    }
    return {};
  }
  if (type.id == TypeId::kMap) {
    if (!value.is_object()) return BadValue(path, type);
    for (const auto& [key, entry] : value.items()) {
      if (!IsMapKey(key, type.children[0].type)) return BadValue(path + ".key", type);
      ARROW_RETURN_NOT_OK(CheckValue(entry, type.children[1].type, path + ".value"));
    }
    return {};
  }
  return IsScalar(value, type) ? arrow::Status::OK() : BadValue(path, type);
}

std::string IdColumnOf(const Table& table, const std::string& wanted) {
  const auto& columns = table.schema.columns();
  return wanted.empty() && !columns.empty() ? columns[0].name : wanted;
}

class JsonRowCheck : public RowCheck {
 public:
  JsonRowCheck(std::shared_ptr<const Table> table, const std::string& id_column)
      : table_(std::move(table)),
        id_column_(IdColumnOf(*table_, id_column)),
        plain_(table_, id_column_) {}

  arrow::Status Check(std::string_view row, std::string* ids) override {
    if (plain_.Accepts(row, ids)) return {};
    const json object = json::parse(row, nullptr, false);
    if (!object.is_object()) {
      return Error(ErrorCode::kBadData, "the record is not a JSON object");
    }
    ARROW_RETURN_NOT_OK(CheckMembers(object, table_->schema.columns(), ""));
    const auto id = object.find(id_column_);
    const bool scalar = id != object.end() && id->is_primitive();
    *ids += scalar ? id->dump(-1, ' ', false, json::error_handler_t::replace) : "null";
    return {};
  }

 private:
  const std::shared_ptr<const Table> table_;
  const std::string id_column_;
  const PlainJsonRows plain_;
};

}  // namespace

std::unique_ptr<RowCheck> MakeJsonRowCheck(std::shared_ptr<const Table> table,
                                           const std::string& id_column) {
  return std::make_unique<JsonRowCheck>(std::move(table), id_column);
}

}  // namespace arrowport::emulator
