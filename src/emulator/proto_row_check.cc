#include <google/protobuf/dynamic_message.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/error.h"
#include "emulator/row_check.h"
#include "emulator/value_rules.h"
#include "zerobus/encode/descriptor.h"

namespace arrowport::emulator {
namespace {

namespace pb = google::protobuf;
using pb::FieldDescriptor;
using zerobus::encode::CompiledDescriptor;
using zerobus::encode::TableField;
using zerobus::encode::TableType;
using zerobus::encode::TypeId;

/// One field of a message and what its values must be.
struct FieldRule {
  const FieldDescriptor* field = nullptr;
  const TableType* type = nullptr;  ///< of one element, for ARRAY and MAP
  bool is_map = false;
  std::string path;
  std::vector<FieldRule> members;  ///< STRUCT; MAP: key and value
};

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

arrow::Status Mismatch(const std::string& path, std::string_view what) {
  return Error(ErrorCode::kSchemaMismatch, "the descriptor does not fit the table: field ",
               path, " ", what);
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

/// The fields of `message` against columns or struct members.
template <typename Columns>
arrow::Status MakeRules(const pb::Descriptor& message, const Columns& columns,
                        const std::string& path, std::vector<FieldRule>* rules) {
  const std::string prefix = path.empty() ? "" : path + ".";
  int found = 0;
  for (const auto& column : columns) {
    const FieldDescriptor* field = message.FindFieldByName(column.name);
    if (!field) {
      if (column.nullable) continue;
      return Error(ErrorCode::kSchemaMismatch,
                   "the descriptor lacks the NOT NULL column ", prefix, column.name);
    }
    ++found;
    FieldRule& rule = rules->emplace_back();
    rule.path = prefix + column.name;
    ARROW_RETURN_NOT_OK(CheckLabel(*field, column, rule.path));
    ARROW_RETURN_NOT_OK(MakeRule(*field, column.type, &rule));
  }
  if (found == message.field_count()) return {};
  for (int i = 0; i < message.field_count(); ++i) {
    const std::string& name = message.field(i)->name();
    const bool known = std::any_of(columns.begin(), columns.end(),
                                   [&](const auto& column) { return column.name == name; });
    if (!known) return Mismatch(prefix + name, "is not in the table");
  }
  return {};
}

arrow::Status MakeRule(const FieldDescriptor& field, const TableType& type,
                       FieldRule* rule) {
  rule->field = &field;
  rule->type = &type;
  rule->is_map = type.id == TypeId::kMap;
  if (rule->is_map) {
    if (!field.is_map()) return Mismatch(rule->path, "must be a map");
    for (const int i : {0, 1}) {
      FieldRule& part = rule->members.emplace_back();
      part.path = rule->path + (i == 0 ? ".key" : ".value");
      const auto* entry_field = i == 0 ? field.message_type()->map_key()
                                       : field.message_type()->map_value();
      ARROW_RETURN_NOT_OK(
          MakeRule(*entry_field, type.children[static_cast<size_t>(i)].type, &part));
    }
    return {};
  }
  if (type.id == TypeId::kArray) rule->type = &type.children[0].type;
  if (field.type() != WantedType(rule->type->id) || field.is_map()) {
    return Mismatch(rule->path, "is " + std::string(field.type_name()) +
                                    ", the column is " + type.ToString());
  }
  if (rule->type->id != TypeId::kStruct) return {};
  return MakeRules(*field.message_type(), rule->type->children, rule->path,
                   &rule->members);
}

arrow::Status BadValue(const FieldRule& rule, std::string_view what) {
  return Error(ErrorCode::kBadData, "bad value in ", rule.path, ": ", what);
}

arrow::Status CheckText(const FieldRule& rule, const std::string& text) {
  if (!IsUtf8(text)) return BadValue(rule, "not UTF-8");
  if (rule.type->id == TypeId::kDecimal &&
      !IsDecimalText(text, rule.type->precision, rule.type->scale)) {
    return BadValue(rule, "not a value of " + rule.type->ToString());
  }
  if (rule.type->id == TypeId::kVariant && !nlohmann::json::accept(text)) {
    return BadValue(rule, "not a JSON document");
  }
  return {};
}

arrow::Status CheckMessage(const pb::Message& message, const std::vector<FieldRule>& rules);

/// The single value of a field, or element `index` of a repeated one.
arrow::Status CheckValue(const pb::Message& message, const FieldRule& rule, int index) {
  const pb::Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* field = rule.field;
  const bool repeated = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      const int32_t value = repeated ? reflection.GetRepeatedInt32(message, field, index)
                                     : reflection.GetInt32(message, field);
      if (FitsInteger(rule.type->id, value)) return {};
      return BadValue(rule, "out of the range of " + rule.type->ToString());
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      if (rule.type->id == TypeId::kBinary) return {};
      std::string scratch;
      return CheckText(rule, repeated ? reflection.GetRepeatedStringReference(
                                            message, field, index, &scratch)
                                      : reflection.GetStringReference(message, field,
                                                                      &scratch));
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return CheckMessage(repeated ? reflection.GetRepeatedMessage(message, field, index)
                                   : reflection.GetMessage(message, field),
                          rule.members);
    default:
      return {};
  }
}

arrow::Status CheckMessage(const pb::Message& message,
                           const std::vector<FieldRule>& rules) {
  const pb::Reflection& reflection = *message.GetReflection();
  if (!reflection.GetUnknownFields(message).empty()) {
    return Error(ErrorCode::kBadData, "the record has a field its descriptor lacks: number ",
                 reflection.GetUnknownFields(message).field(0).number());
  }
  for (const FieldRule& rule : rules) {
    if (rule.field->is_repeated()) {
      const int size = reflection.FieldSize(message, rule.field);
      for (int i = 0; i < size; ++i) ARROW_RETURN_NOT_OK(CheckValue(message, rule, i));
    } else if (reflection.HasField(message, rule.field)) {
      ARROW_RETURN_NOT_OK(CheckValue(message, rule, 0));
    }
  }
  return {};
}

void AppendId(const pb::Message& message, const FieldDescriptor* field, std::string* ids) {
  if (!field || field->is_repeated() ||
      !message.GetReflection()->HasField(message, field)) {
    *ids += "null";
    return;
  }
  const pb::Reflection& reflection = *message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      *ids += std::to_string(reflection.GetInt32(message, field));
      return;
    case FieldDescriptor::CPPTYPE_INT64:
      *ids += std::to_string(reflection.GetInt64(message, field));
      return;
    case FieldDescriptor::CPPTYPE_STRING:
      return AppendJsonText(reflection.GetString(message, field), ids);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      *ids += nlohmann::json(reflection.GetDouble(message, field)).dump();
      return;
    default:
      *ids += "null";
  }
}

class ProtoRowCheck : public RowCheck {
 public:
  ProtoRowCheck(std::shared_ptr<const CompiledDescriptor> descriptor,
                std::shared_ptr<const Table> table)
      : descriptor_(std::move(descriptor)), table_(std::move(table)) {}

  arrow::Status Prepare(const std::string& id_column) {
    const pb::Descriptor& message = descriptor_->message();
    ARROW_RETURN_NOT_OK(MakeRules(message, table_->schema.columns(), "", &rules_));
    if (!id_column.empty()) {
      id_field_ = message.FindFieldByName(id_column);
    } else if (!rules_.empty()) {
      id_field_ = rules_[0].field;
    }
    message_.reset(factory_.GetPrototype(&message)->New());
    return {};
  }

  arrow::Status Check(std::string_view row, std::string* ids) override {
    message_->Clear();
    if (!message_->ParsePartialFromArray(row.data(), static_cast<int>(row.size()))) {
      return Error(ErrorCode::kBadData, "the record is not a message of its descriptor");
    }
    if (!message_->IsInitialized()) {
      return Error(ErrorCode::kBadData, "required fields are missing: ",
                   message_->InitializationErrorString());
    }
    ARROW_RETURN_NOT_OK(CheckMessage(*message_, rules_));
    AppendId(*message_, id_field_, ids);
    return {};
  }

 private:
  const std::shared_ptr<const CompiledDescriptor> descriptor_;
  const std::shared_ptr<const Table> table_;
  pb::DynamicMessageFactory factory_;
  std::vector<FieldRule> rules_;
  const FieldDescriptor* id_field_ = nullptr;
  std::unique_ptr<pb::Message> message_;
};

}  // namespace

arrow::Result<std::unique_ptr<RowCheck>> MakeProtoRowCheck(
    std::string_view descriptor_proto, std::shared_ptr<const Table> table,
    const std::string& id_column) {
  pb::DescriptorProto proto;
  if (descriptor_proto.empty() ||
      !proto.ParseFromArray(descriptor_proto.data(),
                            static_cast<int>(descriptor_proto.size())) ||
      proto.name().empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 "descriptor_proto is not a serialized DescriptorProto");
  }
  auto compiled = CompiledDescriptor::Make(proto);
  if (!compiled.ok()) {
    return Error(ErrorCode::kInvalidArgument,
                 "the descriptor is not self-contained (Error Code: 4033): ",
                 compiled.status().message());
  }
  auto check = std::make_unique<ProtoRowCheck>(std::move(*compiled), std::move(table));
  ARROW_RETURN_NOT_OK(check->Prepare(id_column));
  return check;
}

}  // namespace arrowport::emulator
