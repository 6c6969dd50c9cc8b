#include "zerobus/encode/descriptor.h"

#include <arrow/type.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "zerobus/encode/plan.h"

namespace arrowport::zerobus::encode {
namespace {

using google::protobuf::DescriptorProto;
using google::protobuf::FieldDescriptorProto;

constexpr int32_t kReservedFirst = 19000;
constexpr int32_t kReservedCount = 1000;
constexpr int32_t kFieldNumberMax = (1 << 29) - 1;
constexpr size_t kNameBytesMax = 255;

bool IsNested(TypeId id) {
  return id == TypeId::kStruct || id == TypeId::kArray || id == TypeId::kMap;
}

/// The `ordinal`-th allowed field number, from 1.
arrow::Result<int32_t> FieldNumber(int64_t ordinal) {
  int64_t number = ordinal < kReservedFirst ? ordinal : ordinal + kReservedCount;
  if (number > kFieldNumberMax) {
    return Error(ErrorCode::kTooLarge, "column position gives no field number: ",
                 ordinal - 1);
  }
  return static_cast<int32_t>(number);
}

arrow::Status CheckFieldName(std::string_view name) {
  bool good = !name.empty() && name.size() <= kNameBytesMax;
  for (size_t i = 0; good && i < name.size(); ++i) {
    char c = name[i];
    good = c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (i > 0 && c >= '0' && c <= '9');
  }
  if (good) return arrow::Status::OK();
  return Error(ErrorCode::kInvalidName,
               "column names of a record are 1-255 ASCII letters, digits and "
               "underscores, no digit first: ",
               name.substr(0, 64));
}

/// The words between underscores, each with a capital letter.
std::string PascalCase(std::string_view name) {
  std::string pascal;
  bool capital = true;
  for (char c : name) {
    if (c == '_') {
      capital = true;
      continue;
    }
    pascal += capital && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    capital = false;
  }
  return pascal;
}

/// What libprotobuf demands of a map entry's name.
std::string EntryName(const std::string& field_name) {
  return PascalCase(field_name) + "Entry";
}

/// One message under construction: its members and the names in its scope, where fields
/// and nested messages share one name space.
class MessageBuilder {
 public:
  /// `path` is the PascalCase path from the table's message down to this one.
  MessageBuilder(DescriptorProto* proto, std::string path, int depth)
      : proto_(proto), path_(std::move(path)), depth_(depth) {}

  /// Takes the names that cannot be chosen: those of fields and of map entries.
  arrow::Status Reserve(const std::string& name, const TableType& type) {
    ARROW_RETURN_NOT_OK(CheckFieldName(name));
    if (!names_.insert(name).second) {
      return Error(ErrorCode::kInvalidName,
                   "column name is taken in its message: ", name);
    }
    if (type.id == TypeId::kMap && !names_.insert(EntryName(name)).second) {
      return Error(ErrorCode::kInvalidName,
                   "map entry message of a column has a name that is taken; rename the "
                   "column: ",
                   name, " (", EntryName(name), ")");
    }
    return arrow::Status::OK();
  }

  arrow::Status AddField(const std::string& name, int32_t number, const TableType& type,
                         bool nullable) {
    FieldDescriptorProto* field = NewField(proto_, name, number, nullable);
    switch (type.id) {
      case TypeId::kArray: {
        const TableType& element = type.children[0].type;
        if (element.id == TypeId::kArray || element.id == TypeId::kMap) {
          return Unsupported(name, "ARRAY of ARRAY or MAP", type);
        }
        field->set_label(FieldDescriptorProto::LABEL_REPEATED);
        return SetElementType(name, element, field);
      }
      case TypeId::kMap:
        return AddMapEntry(name, type, field);
      default:
        return SetElementType(name, type, field);
    }
  }

 private:
  static FieldDescriptorProto* NewField(DescriptorProto* proto, const std::string& name,
                                        int32_t number, bool nullable) {
    FieldDescriptorProto* field = proto->add_field();
    field->set_name(name);
    field->set_number(number);
    field->set_label(nullable ? FieldDescriptorProto::LABEL_OPTIONAL
                              : FieldDescriptorProto::LABEL_REQUIRED);
    return field;
  }

  static arrow::Status Unsupported(const std::string& name, const char* what,
                                   const TableType& type) {
    return Error(ErrorCode::kUnsupportedType, "column type has no protobuf form, ", what,
                 ": ", name, ": ", type.ToString().substr(0, 200));
  }

  /// A scalar or a message in this scope.
  arrow::Status SetElementType(const std::string& name, const TableType& type,
                               FieldDescriptorProto* field) {
    field->set_type(ProtoTypeOf(type.id));
    if (type.id != TypeId::kStruct) return arrow::Status::OK();
    std::string path = path_ + PascalCase(name);
    std::string message_name = FreeName(path);
    field->set_type_name(message_name);
    DescriptorProto* nested = proto_->add_nested_type();
    nested->set_name(message_name);
    return AddMembers(type, path, depth_ + 1, nested);
  }

  /// Protobuf allows no messages inside a map entry, so a struct value lives in this scope.
  arrow::Status AddMapEntry(const std::string& name, const TableType& type,
                            FieldDescriptorProto* field) {
    const TableType& key = type.children[0].type;
    const TableType& value = type.children[1].type;
    if (value.id == TypeId::kArray || value.id == TypeId::kMap) {
      return Unsupported(name, "MAP with ARRAY or MAP values", type);
    }
    if (IsNested(key.id) || key.id == TypeId::kFloat || key.id == TypeId::kDouble ||
        key.id == TypeId::kBinary || key.id == TypeId::kVariant) {
      return Unsupported(name, "MAP with keys that are not integers, text or booleans",
                         type);
    }
    field->set_label(FieldDescriptorProto::LABEL_REPEATED);
    field->set_type(FieldDescriptorProto::TYPE_MESSAGE);
    field->set_type_name(EntryName(name));
    DescriptorProto* entry = proto_->add_nested_type();
    entry->set_name(EntryName(name));
    entry->mutable_options()->set_map_entry(true);
    NewField(entry, "key", 1, true)->set_type(ProtoTypeOf(key.id));
    return SetElementType(name, value, NewField(entry, "value", 2, true));
  }

  std::string FreeName(std::string base) {
    if (base.empty() || (base[0] >= '0' && base[0] <= '9')) base.insert(0, "Message");
    std::string name = base;
    for (int suffix = 2; !names_.insert(name).second; ++suffix) {
      name = base + std::to_string(suffix);
    }
    return name;
  }

  static arrow::Status AddMembers(const TableType& type, const std::string& path, int depth,
                                  DescriptorProto* proto) {
    if (depth > kTypeDepthMax) {
      return Error(ErrorCode::kTooLarge, "messages are nested deeper than ",
                   kTypeDepthMax);
    }
    if (type.children.size() > static_cast<size_t>(kFieldsMax)) {
      return Error(ErrorCode::kTooLarge, "struct has more than ", kFieldsMax,
                   " members: ", type.children.size());
    }
    MessageBuilder builder(proto, path, depth);
    for (const TableField& member : type.children) {
      ARROW_RETURN_NOT_OK(builder.Reserve(member.name, member.type));
    }
    for (size_t i = 0; i < type.children.size(); ++i) {
      const TableField& member = type.children[i];
      ARROW_ASSIGN_OR_RAISE(int32_t number, FieldNumber(static_cast<int64_t>(i) + 1));
      ARROW_RETURN_NOT_OK(
          builder.AddField(member.name, number, member.type, member.nullable));
    }
    return arrow::Status::OK();
  }

  DescriptorProto* proto_;
  std::string path_;
  int depth_;
  std::set<std::string> names_;
};

}  // namespace

FieldDescriptorProto::Type ProtoTypeOf(TypeId id) {
  switch (id) {
    case TypeId::kBoolean:
      return FieldDescriptorProto::TYPE_BOOL;
    case TypeId::kTinyInt:
    case TypeId::kSmallInt:
    case TypeId::kInt:
    case TypeId::kDate:
      return FieldDescriptorProto::TYPE_INT32;
    case TypeId::kBigInt:
    case TypeId::kTimestamp:
    case TypeId::kTimestampNtz:
      return FieldDescriptorProto::TYPE_INT64;
    case TypeId::kFloat:
      return FieldDescriptorProto::TYPE_FLOAT;
    case TypeId::kDouble:
      return FieldDescriptorProto::TYPE_DOUBLE;
    case TypeId::kDecimal:
    case TypeId::kString:
    case TypeId::kVariant:
      return FieldDescriptorProto::TYPE_STRING;
    case TypeId::kBinary:
      return FieldDescriptorProto::TYPE_BYTES;
    case TypeId::kStruct:
    case TypeId::kArray:
    case TypeId::kMap:
      break;
  }
  return FieldDescriptorProto::TYPE_MESSAGE;
}

arrow::Result<DescriptorProto> MakeDescriptor(const TableSchema& table,
                                              const std::string& message_name) {
  ARROW_RETURN_NOT_OK(CheckFieldName(message_name));
  DescriptorProto proto;
  proto.set_name(message_name);
  MessageBuilder builder(&proto, "", 1);
  for (const TableColumn& column : table.columns()) {
    ARROW_RETURN_NOT_OK(builder.Reserve(column.name, column.type));
  }
  for (const TableColumn& column : table.columns()) {
    ARROW_ASSIGN_OR_RAISE(int32_t number, FieldNumber(int64_t{column.position} + 1));
    ARROW_RETURN_NOT_OK(
        builder.AddField(column.name, number, column.type, column.nullable));
  }
  return proto;
}

arrow::Status CheckDescriptor(const google::protobuf::DescriptorProto& proto,
                              const arrow::Schema& schema, const TableSchema* table) {
  ARROW_ASSIGN_OR_RAISE(auto compiled, CompiledDescriptor::Make(proto));
  return internal::CompilePlan(internal::RowFormat::kProtobuf, schema,
                               &compiled->message(), table, {})
      .status();
}

std::shared_ptr<arrow::DataType> FlightTypeOf(const TableType& type) {
  switch (type.id) {
    case TypeId::kBoolean:
      return arrow::boolean();
    case TypeId::kTinyInt:
      return arrow::int8();
    case TypeId::kSmallInt:
      return arrow::int16();
    case TypeId::kInt:
      return arrow::int32();
    case TypeId::kBigInt:
      return arrow::int64();
    case TypeId::kFloat:
      return arrow::float32();
    case TypeId::kDouble:
      return arrow::float64();
    case TypeId::kDecimal:
    case TypeId::kString:
      return arrow::large_utf8();
    case TypeId::kBinary:
      return arrow::large_binary();
    case TypeId::kDate:
      return arrow::date32();
    case TypeId::kTimestamp:
      return arrow::timestamp(arrow::TimeUnit::MICRO, "UTC");
    case TypeId::kTimestampNtz:
      return arrow::timestamp(arrow::TimeUnit::MICRO);
    case TypeId::kVariant:
      return arrow::struct_({arrow::field("metadata", arrow::large_binary(), false),
                             arrow::field("value", arrow::large_binary(), false)});
    case TypeId::kArray:
      return arrow::list(arrow::field("item", FlightTypeOf(type.children[0].type), true));
    case TypeId::kMap:
      return std::make_shared<arrow::MapType>(
          arrow::field("keys", FlightTypeOf(type.children[0].type), false),
          arrow::field("values", FlightTypeOf(type.children[1].type), true));
    case TypeId::kStruct:
      break;
  }
  arrow::FieldVector members;
  for (const TableField& member : type.children) {
    members.push_back(
        arrow::field(member.name, FlightTypeOf(member.type), member.nullable));
  }
  return arrow::struct_(std::move(members));
}

std::shared_ptr<arrow::Schema> FlightSchemaOf(const TableSchema& table) {
  arrow::FieldVector fields;
  for (const TableColumn& column : table.columns()) {
    fields.push_back(
        arrow::field(column.name, FlightTypeOf(column.type), column.nullable));
  }
  return arrow::schema(std::move(fields));
}

}  // namespace arrowport::zerobus::encode
