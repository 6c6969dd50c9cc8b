#include "lake/column_type.h"

#include <charconv>
#include <duckdb/common/string_util.hpp>
#include <duckdb/parser/expression/constant_expression.hpp>

#include "base/error.h"

namespace arrowport::lake {
namespace {

using delta::DataType;
using delta::StructField;
using delta::TypeKind;
using duckdb::LogicalType;
using duckdb::LogicalTypeId;
using duckdb::MultiFileColumnDefinition;

constexpr char kFieldIdKey[] = "delta.columnMapping.id";
// No file has a column of this name, so what carries it is absent.
constexpr char kAbsent[] = "\x01 absent";

bool HoldsStruct(const DataType& type) {
  switch (type.kind) {
    case TypeKind::kStruct:
      return true;
    case TypeKind::kArray:
      return HoldsStruct(*type.element);
    case TypeKind::kMap:
      return HoldsStruct(*type.key) || HoldsStruct(*type.element);
    default:
      return false;
  }
}

MultiFileColumnDefinition Define(const std::string& name, const std::string& physical,
                                 const DataType& type, const LogicalType& logical) {
  MultiFileColumnDefinition definition(name, logical);
  definition.identifier = duckdb::Value(physical);
  definition.default_expression =
      duckdb::make_uniq<duckdb::ConstantExpression>(duckdb::Value(logical));
  switch (type.kind) {
    case TypeKind::kStruct:
      for (size_t i = 0; i < type.fields.size(); ++i) {
        definition.children.push_back(DefinitionOf(
            type.fields[i], duckdb::StructType::GetChildType(logical, i)));
      }
      break;
    // Lists and maps without structs need no matching of members, and are read faster
    // without.
    case TypeKind::kArray:
      if (!HoldsStruct(type)) break;
      definition.children.push_back(Define("element", "element", *type.element,
                                           duckdb::ListType::GetChildType(logical)));
      break;
    case TypeKind::kMap:
      if (!HoldsStruct(type)) break;
      definition.children.push_back(
          Define("key", "key", *type.key, duckdb::MapType::KeyType(logical)));
      definition.children.push_back(
          Define("value", "value", *type.element, duckdb::MapType::ValueType(logical)));
      break;
    default:
      break;
  }
  return definition;
}

std::optional<int32_t> FieldIdOf(const StructField& field) {
  auto found = field.metadata.find(kFieldIdKey);
  if (found == field.metadata.end()) return std::nullopt;
  int32_t id = 0;
  const std::string& text = found->second;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

void MatchMembers(const DataType& type, MatchBy match, MultiFileColumnDefinition& local,
                  MultiFileColumnDefinition* definition) {
  for (size_t i = 0; i < type.fields.size(); ++i) {
    MultiFileColumnDefinition& member = definition->children[i];
    MultiFileColumnDefinition* found = FindLocal(type.fields[i], match, local.children);
    if (found == nullptr) {
      member.identifier = duckdb::Value(kAbsent);
      continue;
    }
    member.identifier = duckdb::Value(found->name);
    MatchDefinition(*type.fields[i].type, match, *found, &member);
  }
}

void MatchElement(const DataType& type, MatchBy match, MultiFileColumnDefinition& local,
                  MultiFileColumnDefinition* definition) {
  definition->identifier = duckdb::Value(local.name);
  MatchDefinition(type, match, local, definition);
}

LogicalType StructOf(const duckdb::vector<MultiFileColumnDefinition>& members) {
  duckdb::child_list_t<LogicalType> types;
  for (const auto& member : members) types.emplace_back(member.name, member.type);
  return LogicalType::STRUCT(std::move(types));
}

}  // namespace

arrow::Result<LogicalType> LogicalTypeOf(const DataType& type) {
  switch (type.kind) {
    case TypeKind::kString:
      return LogicalType::VARCHAR;
    case TypeKind::kLong:
      return LogicalType::BIGINT;
    case TypeKind::kInteger:
      return LogicalType::INTEGER;
    case TypeKind::kShort:
      return LogicalType::SMALLINT;
    case TypeKind::kByte:
      return LogicalType::TINYINT;
    case TypeKind::kFloat:
      return LogicalType::FLOAT;
    case TypeKind::kDouble:
      return LogicalType::DOUBLE;
    case TypeKind::kBoolean:
      return LogicalType::BOOLEAN;
    case TypeKind::kBinary:
      return LogicalType::BLOB;
    case TypeKind::kDate:
      return LogicalType::DATE;
    case TypeKind::kTimestamp:
      return LogicalType::TIMESTAMP_TZ;
    case TypeKind::kTimestampNtz:
      return LogicalType::TIMESTAMP;
    case TypeKind::kDecimal:
      if (type.precision < 1 || type.precision > 38 || type.scale < 0 ||
          type.scale > type.precision) {
        return Error(ErrorCode::kUnsupportedType, "a decimal out of range: ",
                     type.ToString());
      }
      return LogicalType::DECIMAL(static_cast<uint8_t>(type.precision),
                                  static_cast<uint8_t>(type.scale));
    case TypeKind::kArray: {
      ARROW_ASSIGN_OR_RAISE(LogicalType element, LogicalTypeOf(*type.element));
      return LogicalType::LIST(element);
    }
    case TypeKind::kMap: {
      ARROW_ASSIGN_OR_RAISE(LogicalType key, LogicalTypeOf(*type.key));
      ARROW_ASSIGN_OR_RAISE(LogicalType value, LogicalTypeOf(*type.element));
      return LogicalType::MAP(key, value);
    }
    case TypeKind::kVoid:  // always NULL; what CREATE TABLE ... AS SELECT NULL makes
      return LogicalType::INTEGER;
    case TypeKind::kStruct:
      break;
  }
  if (type.fields.empty()) {
    return Error(ErrorCode::kUnsupportedType, "DuckDB has no empty struct");
  }
  duckdb::child_list_t<LogicalType> members;
  for (const StructField& field : type.fields) {
    ARROW_ASSIGN_OR_RAISE(LogicalType member, LogicalTypeOf(*field.type));
    members.emplace_back(field.name, std::move(member));
  }
  return LogicalType::STRUCT(std::move(members));
}

MultiFileColumnDefinition DefinitionOf(const StructField& field,
                                       const LogicalType& type) {
  return Define(field.name, field.physical_name(), *field.type, type);
}

MultiFileColumnDefinition* FindLocal(const StructField& field, MatchBy match,
                                     duckdb::vector<MultiFileColumnDefinition>& local) {
  if (match == MatchBy::kName) {
    for (auto& column : local) {
      if (duckdb::StringUtil::CIEquals(column.name, field.physical_name())) {
        return &column;
      }
    }
    return nullptr;
  }
  const std::optional<int32_t> id = FieldIdOf(field);
  if (!id) return nullptr;
  for (auto& column : local) {
    if (!column.identifier.IsNull() &&
        column.identifier.type().id() == LogicalTypeId::INTEGER &&
        column.identifier.GetValue<int32_t>() == *id) {
      return &column;
    }
  }
  return nullptr;
}

void MatchDefinition(const DataType& type, MatchBy match,
                     MultiFileColumnDefinition& local,
                     MultiFileColumnDefinition* definition) {
  if (definition->children.empty()) return;
  if (type.kind == TypeKind::kStruct) {
    MatchMembers(type, match, local, definition);
    return;
  }
  if (local.children.size() != 1) return;  // another shape: the cast says so
  if (type.kind == TypeKind::kArray) {
    MatchElement(*type.element, match, local.children[0], &definition->children[0]);
    return;
  }
  auto& entry = local.children[0].children;
  if (type.kind != TypeKind::kMap || entry.size() != 2) return;
  MatchElement(*type.key, match, entry[0], &definition->children[0]);
  MatchElement(*type.element, match, entry[1], &definition->children[1]);
}

void TakeTimesAsDeclared(const DataType& type, MultiFileColumnDefinition* local) {
  const LogicalTypeId id = local->type.id();
  switch (type.kind) {
    case TypeKind::kTimestamp:
      if (id == LogicalTypeId::TIMESTAMP) local->type = LogicalType::TIMESTAMP_TZ;
      return;
    case TypeKind::kTimestampNtz:
      if (id == LogicalTypeId::TIMESTAMP_TZ) local->type = LogicalType::TIMESTAMP;
      return;
    case TypeKind::kArray:
      if (id != LogicalTypeId::LIST || local->children.size() != 1) return;
      TakeTimesAsDeclared(*type.element, &local->children[0]);
      local->type = LogicalType::LIST(local->children[0].type);
      return;
    case TypeKind::kMap: {
      if (id != LogicalTypeId::MAP || local->children.size() != 1) return;
      auto& entry = local->children[0].children;
      if (entry.size() != 2) return;
      TakeTimesAsDeclared(*type.key, &entry[0]);
      TakeTimesAsDeclared(*type.element, &entry[1]);
      local->type = LogicalType::MAP(entry[0].type, entry[1].type);
      local->children[0].type = duckdb::ListType::GetChildType(local->type);
      return;
    }
    case TypeKind::kStruct:
      if (id != LogicalTypeId::STRUCT || local->children.empty()) return;
      for (const StructField& field : type.fields) {
        auto* member = FindLocal(field, MatchBy::kName, local->children);
        if (member != nullptr) TakeTimesAsDeclared(*field.type, member);
      }
      local->type = StructOf(local->children);
      return;
    default:
      return;
  }
}

bool KeepsComparisons(const LogicalType& from, const LogicalType& to) {
  if (from == to) return true;
  return from.IsIntegral() && to.IsIntegral() &&
         from.id() != LogicalTypeId::UBIGINT && from.id() != LogicalTypeId::UHUGEINT;
}

}  // namespace arrowport::lake
