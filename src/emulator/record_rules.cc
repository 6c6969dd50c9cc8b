#include "emulator/record_rules.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace arrowport::emulator {
namespace {

namespace pb = google::protobuf;
using pb::FieldDescriptor;
using zerobus::encode::TableType;
using zerobus::encode::TypeId;

FieldDescriptor::Type WantedType(TypeId id) {
  switch (id) {
    case TypeId::kBoolean:
      return FieldDescriptor::TYPE_BOOL;
    case TypeId::kTinyInt:
    case TypeId::kSmallInt:
    case TypeId::kInt:
    case TypeId::kDate:
      return FieldDescriptor::TYPE_INT32;
    case TypeId::kBigInt:
    case TypeId::kTimestamp:
    case TypeId::kTimestampNtz:
      return FieldDescriptor::TYPE_INT64;
    case TypeId::kFloat:
      return FieldDescriptor::TYPE_FLOAT;
    case TypeId::kDouble:
      return FieldDescriptor::TYPE_DOUBLE;
    case TypeId::kDecimal:
    case TypeId::kString:
    case TypeId::kVariant:
      return FieldDescriptor::TYPE_STRING;
    case TypeId::kBinary:
      return FieldDescriptor::TYPE_BYTES;
    default:
      return FieldDescriptor::TYPE_MESSAGE;
  }
}

WireType WireTypeOf(FieldDescriptor::Type type) {
  switch (type) {
    case FieldDescriptor::TYPE_FLOAT:
      return WireType::kFixed32;
    case FieldDescriptor::TYPE_DOUBLE:
      return WireType::kFixed64;
    case FieldDescriptor::TYPE_STRING:
    case FieldDescriptor::TYPE_BYTES:
    case FieldDescriptor::TYPE_MESSAGE:
      return WireType::kBytes;
    default:
      return WireType::kVarint;
  }
}

IdKind IdKindOf(const FieldDescriptor& field) {
  if (field.is_repeated()) return IdKind::kNone;
  switch (field.type()) {
    case FieldDescriptor::TYPE_INT32:
    case FieldDescriptor::TYPE_INT64:
      return IdKind::kInteger;
    case FieldDescriptor::TYPE_STRING:
    case FieldDescriptor::TYPE_BYTES:
      return IdKind::kText;
    case FieldDescriptor::TYPE_DOUBLE:
      return IdKind::kDouble;
    default:
      return IdKind::kNone;
  }
}

arrow::Status Mismatch(const std::string& path, std::string_view what) {
  return Error(ErrorCode::kSchemaMismatch,
               "the descriptor does not fit the table: field ", path, " ", what);
}

arrow::Status MakeRule(const FieldDescriptor& field, const TableType& type,
                       FieldRule* rule);

template <typename Column>
arrow::Status CheckLabel(const FieldDescriptor& field, const Column& column,
                         const std::string& path) {
  const bool repeated =
      column.type.id == TypeId::kArray || column.type.id == TypeId::kMap;
  if (repeated != field.is_repeated()) {
    return Mismatch(path, repeated ? "must be repeated" : "must not be repeated");
  }
  if (!repeated && field.is_required() == column.nullable) {
    return Mismatch(path, column.nullable ? "must be optional: the column is nullable"
                                          : "must be required: the column is NOT NULL");
  }
  return {};
}

void SortByNumber(MessageRule* rule) {
  std::sort(rule->fields.begin(), rule->fields.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
}

/// The fields of `message` against columns or struct members.
template <typename Columns>
arrow::Status MakeRules(const pb::Descriptor& message, const Columns& columns,
                        const std::string& path, MessageRule* rules) {
  const std::string prefix = path.empty() ? "" : path + ".";
  for (const auto& column : columns) {
    const FieldDescriptor* field = message.FindFieldByName(column.name);
    if (!field) {
      if (column.nullable) continue;
      return Error(ErrorCode::kSchemaMismatch,
                   "the descriptor lacks the NOT NULL column ", prefix, column.name);
    }
    FieldRule& rule = rules->fields.emplace_back();
    rule.path = prefix + column.name;
    ARROW_RETURN_NOT_OK(CheckLabel(*field, column, rule.path));
    ARROW_RETURN_NOT_OK(MakeRule(*field, column.type, &rule));
  }
  SortByNumber(rules);
  if (static_cast<int>(rules->fields.size()) == message.field_count()) return {};
  for (int i = 0; i < message.field_count(); ++i) {
    const std::string& name = message.field(i)->name();
    const bool known =
        std::any_of(columns.begin(), columns.end(),
                    [&](const auto& column) { return column.name == name; });
    if (!known) return Mismatch(prefix + name, "is not in the table");
  }
  return {};
}

arrow::Status MakeMapRule(const FieldDescriptor& field, const TableType& type,
                          FieldRule* rule) {
  if (!field.is_map()) return Mismatch(rule->path, "must be a map");
  for (const int i : {0, 1}) {
    FieldRule& part = rule->members.fields.emplace_back();
    part.path = rule->path + (i == 0 ? ".key" : ".value");
    const auto* entry_field =
        i == 0 ? field.message_type()->map_key() : field.message_type()->map_value();
    ARROW_RETURN_NOT_OK(
        MakeRule(*entry_field, type.children[static_cast<size_t>(i)].type, &part));
  }
  SortByNumber(&rule->members);
  return {};
}

arrow::Status MakeRule(const FieldDescriptor& field, const TableType& type,
                       FieldRule* rule) {
  rule->number = static_cast<uint32_t>(field.number());
  rule->wire = WireTypeOf(field.type());
  rule->repeated = field.is_repeated();
  rule->required = field.is_required();
  rule->id_kind = IdKindOf(field);
  if (type.id == TypeId::kMap) return MakeMapRule(field, type, rule);
  rule->type = type.id == TypeId::kArray ? &type.children[0].type : &type;
  if (field.type() != WantedType(rule->type->id) || field.is_map()) {
    return Mismatch(rule->path, "is " + std::string(field.type_name()) +
                                    ", the column is " + type.ToString());
  }
  if (rule->type->id != TypeId::kStruct) return {};
  return MakeRules(*field.message_type(), rule->type->children, rule->path,
                   &rule->members);
}

}  // namespace

const FieldRule* MessageRule::Find(uint32_t number, size_t* next) const {
  if (*next < fields.size() && fields[*next].number == number) return &fields[(*next)++];
  const auto it = std::lower_bound(
      fields.begin(), fields.end(), number,
      [](const FieldRule& rule, uint32_t wanted) { return rule.number < wanted; });
  if (it == fields.end() || it->number != number) return nullptr;
  *next = static_cast<size_t>(it - fields.begin()) + 1;
  return &*it;
}

arrow::Result<std::shared_ptr<const RecordRules>> RecordRules::Make(
    const zerobus::encode::CompiledDescriptor& descriptor,
    std::shared_ptr<const Table> table) {
  std::shared_ptr<RecordRules> rules(new RecordRules());
  rules->table_ = std::move(table);
  ARROW_RETURN_NOT_OK(MakeRules(descriptor.message(), rules->table_->schema.columns(), "",
                                &rules->record_));
  return rules;
}

}  // namespace arrowport::emulator
