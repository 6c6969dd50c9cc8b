#include <bit>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/error.h"
#include "emulator/record_rules.h"
#include "emulator/row_check.h"
#include "emulator/value_rules.h"

namespace arrowport::emulator {
namespace {

using zerobus::encode::CompiledDescriptor;
using zerobus::encode::TypeId;

constexpr size_t kFieldsMax = 2000;  // of a message, as CompiledDescriptor has it
constexpr size_t kSeenWords = (kFieldsMax + 63) / 64;

arrow::Status BadValue(const FieldRule& rule, std::string_view what) {
  return Error(ErrorCode::kBadData, "bad value in ", rule.path, ": ", what);
}

arrow::Status NotAMessage() {
  return Error(ErrorCode::kBadData, "the record is not a message of its descriptor");
}

arrow::Status CheckText(const FieldRule& rule, std::string_view text) {
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

/// The last value seen of the field that identifies the row; points into the row.
struct RowId {
  const FieldRule* rule = nullptr;  ///< null until there is one
  int64_t integer = 0;
  std::string_view bytes;  ///< of a text or a double
};

/// A field may come again: each value is judged, the last one counts, and a STRUCT must
/// be whole each time (protobuf would merge the parts, which no writer makes use of).
class RowWalk {
 public:
  RowWalk(const FieldRule* id_field, RowId* id) : id_field_(id_field), id_(id) {}

  arrow::Status CheckMessage(std::string_view bytes, const MessageRule& message) {
    uint64_t seen[kSeenWords];
    const size_t words = (message.fields.size() + 63) / 64;
    std::memset(seen, 0, words * sizeof(uint64_t));
    WireReader reader(bytes);
    size_t next = 0;
    while (!reader.done()) {
      uint32_t number = 0;
      WireType wire{};
      if (!reader.Tag(&number, &wire)) return NotAMessage();
      const FieldRule* rule = message.Find(number, &next);
      if (rule && wire == rule->wire) {
        ARROW_RETURN_NOT_OK(CheckValue(&reader, *rule));
      } else if (rule && rule->repeated && wire == WireType::kBytes) {
        ARROW_RETURN_NOT_OK(CheckPacked(&reader, *rule));
      } else {
        if (!reader.Skip(wire)) return NotAMessage();
        return Error(ErrorCode::kBadData,
                     "the record has a field its descriptor lacks: number ", number);
      }
      const auto index = static_cast<size_t>(rule - message.fields.data());
      seen[index / 64] |= uint64_t{1} << (index % 64);
    }
    return CheckRequired(message, seen);
  }

 private:
  static arrow::Status CheckRequired(const MessageRule& message, const uint64_t* seen) {
    for (size_t i = 0; i < message.fields.size(); ++i) {
      if (message.fields[i].required && (seen[i / 64] >> (i % 64) & 1) == 0) {
        return Error(ErrorCode::kBadData,
                     "required fields are missing: ", message.fields[i].path);
      }
    }
    return {};
  }

  arrow::Status CheckPacked(WireReader* reader, const FieldRule& rule) {
    std::string_view bytes;
    if (!reader->Bytes(&bytes)) return NotAMessage();
    WireReader values(bytes);
    while (!values.done()) ARROW_RETURN_NOT_OK(CheckValue(&values, rule));
    return {};
  }

  arrow::Status CheckValue(WireReader* reader, const FieldRule& rule) {
    uint64_t number = 0;
    std::string_view bytes;
    switch (rule.wire) {
      case WireType::kVarint:
        if (!reader->Varint(&number)) return NotAMessage();
        return CheckInteger(rule, number);
      case WireType::kFixed32:
        return reader->Fixed(&bytes, 4) ? arrow::Status::OK() : NotAMessage();
      case WireType::kFixed64:
        if (!reader->Fixed(&bytes, 8)) return NotAMessage();
        break;
      case WireType::kBytes:
        if (!reader->Bytes(&bytes)) return NotAMessage();
        if (rule.type == nullptr || rule.type->id == TypeId::kStruct) {
          return CheckMessage(bytes, rule.members);
        }
        if (rule.type->id != TypeId::kBinary) {
          ARROW_RETURN_NOT_OK(CheckText(rule, bytes));
        }
        break;
    }
    if (&rule == id_field_) *id_ = {&rule, 0, bytes};
    return {};
  }

  arrow::Status CheckInteger(const FieldRule& rule, uint64_t number) {
    auto value = static_cast<int64_t>(number);
    switch (rule.type->id) {
      case TypeId::kTinyInt:
      case TypeId::kSmallInt:
      case TypeId::kInt:
      case TypeId::kDate:
        value = static_cast<int32_t>(number);  // an int32: the lower half counts
        if (!FitsInteger(rule.type->id, value)) {
          return BadValue(rule, "out of the range of " + rule.type->ToString());
        }
        break;
      default:
        break;
    }
    if (&rule == id_field_) *id_ = {&rule, value, {}};
    return {};
  }

  const FieldRule* const id_field_;
  RowId* const id_;
};

void AppendId(const RowId& id, std::string* ids) {
  switch (id.rule ? id.rule->id_kind : IdKind::kNone) {
    case IdKind::kInteger: {
      char text[24];
      ids->append(text, std::to_chars(text, text + sizeof text, id.integer).ptr);
      return;
    }
    case IdKind::kText:
      return AppendJsonText(id.bytes, ids);
    case IdKind::kDouble: {
      double value = 0;
      static_assert(std::endian::native == std::endian::little);
      std::memcpy(&value, id.bytes.data(), sizeof value);
      *ids += nlohmann::json(value).dump();
      return;
    }
    case IdKind::kNone:
      *ids += "null";
  }
}

class ProtoRowCheck : public RowCheck {
 public:
  ProtoRowCheck(std::shared_ptr<const RecordRules> rules, const FieldRule* id_field)
      : rules_(std::move(rules)), id_field_(id_field) {}

  arrow::Status Check(std::string_view row, std::string* ids) override {
    RowId id;
    ARROW_RETURN_NOT_OK(RowWalk(id_field_, &id).CheckMessage(row, rules_->record()));
    AppendId(id, ids);
    return {};
  }

 private:
  const std::shared_ptr<const RecordRules> rules_;
  const FieldRule* const id_field_;  ///< null: rows have no id
};

/// `column`, or when it is empty the first of the table that the record has.
const FieldRule* FindIdField(const MessageRule& record, const Table& table,
                             const std::string& column) {
  for (const auto& candidate : table.schema.columns()) {
    if (!column.empty() && candidate.name != column) continue;
    for (const FieldRule& rule : record.fields) {
      if (rule.path == candidate.name) return &rule;
    }
  }
  return nullptr;
}

}  // namespace

arrow::Result<std::unique_ptr<RowCheck>> MakeProtoRowCheck(
    std::string_view descriptor_proto, std::shared_ptr<const Table> table,
    const std::string& id_column) {
  google::protobuf::DescriptorProto proto;
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
  ARROW_ASSIGN_OR_RAISE(auto rules, RecordRules::Make(**compiled, table));
  const FieldRule* id_field = FindIdField(rules->record(), *table, id_column);
  return std::make_unique<ProtoRowCheck>(std::move(rules), id_field);
}

}  // namespace arrowport::emulator
