#include "zerobus/encode/table_schema.h"

#include <arrow/extension_type.h>
#include <arrow/type.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "base/error.h"

namespace arrowport::zerobus::encode {
namespace {

using Json = nlohmann::json;

constexpr int32_t kSparkPrecisionMax = 38;
constexpr int32_t kArrowPrecisionMax = 76;

struct TypeName {
  TypeId id;
  std::string_view sql;
};
constexpr TypeName kTypeNames[] = {
    {TypeId::kBoolean, "BOOLEAN"},
    {TypeId::kTinyInt, "TINYINT"},
    {TypeId::kSmallInt, "SMALLINT"},
    {TypeId::kInt, "INT"},
    {TypeId::kBigInt, "BIGINT"},
    {TypeId::kFloat, "FLOAT"},
    {TypeId::kDouble, "DOUBLE"},
    {TypeId::kDecimal, "DECIMAL"},
    {TypeId::kString, "STRING"},
    {TypeId::kBinary, "BINARY"},
    {TypeId::kDate, "DATE"},
    {TypeId::kTimestamp, "TIMESTAMP"},
    {TypeId::kTimestampNtz, "TIMESTAMP_NTZ"},
    {TypeId::kVariant, "VARIANT"},
    {TypeId::kStruct, "STRUCT"},
    {TypeId::kArray, "ARRAY"},
    {TypeId::kMap, "MAP"},
};
/// Other names of scalar types, of the table API or of Spark's JSON.
constexpr TypeName kAliases[] = {
    {TypeId::kTinyInt, "BYTE"}, {TypeId::kSmallInt, "SHORT"},
    {TypeId::kInt, "INTEGER"},  {TypeId::kBigInt, "LONG"},
    {TypeId::kFloat, "REAL"},   {TypeId::kString, "VARCHAR"},
    {TypeId::kString, "CHAR"},  {TypeId::kDecimal, "NUMERIC"},
};

bool IsNested(TypeId id) {
  return id == TypeId::kStruct || id == TypeId::kArray || id == TypeId::kMap;
}

std::string Upper(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return upper;
}

/// At most 64 bytes of a foreign name, for a message.
std::string Shown(std::string_view text) {
  std::string shown(text.substr(0, 64));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20) c = '?';
  }
  return shown;
}

std::optional<TypeId> FindTypeName(std::string_view upper) {
  for (const TypeName& entry : kTypeNames) {
    if (entry.sql == upper) return entry.id;
  }
  for (const TypeName& entry : kAliases) {
    if (entry.sql == upper) return entry.id;
  }
  return std::nullopt;
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

bool ParseInt(std::string_view text, int32_t* value) {
  text = Trimmed(text);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size();
}

/// The parameters of "decimal(10,2)"; plain "decimal" is (10,0), as in Spark.
arrow::Status ParseDecimal(std::string_view text, TableType* type) {
  type->precision = 10;
  type->scale = 0;
  if (size_t open = text.find('('); open != std::string_view::npos) {
    size_t comma = text.find(',', open);
    size_t close = text.find(')', open);
    bool parsed = close != std::string_view::npos && close + 1 == text.size() &&
                  ParseInt(text.substr(open + 1, std::min(comma, close) - open - 1),
                           &type->precision) &&
                  (comma == std::string_view::npos ||
                   (comma < close &&
                    ParseInt(text.substr(comma + 1, close - comma - 1), &type->scale)));
    if (!parsed) {
      return Error(ErrorCode::kInvalidArgument,
                   "cannot read decimal type: ", Shown(text));
    }
  }
  if (type->precision < 1 || type->precision > kSparkPrecisionMax || type->scale < 0 ||
      type->scale > type->precision) {
    return Error(ErrorCode::kUnsupportedType,
                 "decimal precision must be 1..38 and scale 0..precision: ", Shown(text));
  }
  return arrow::Status::OK();
}

/// "long", "decimal(10,2)", "varchar(20)".
arrow::Result<TableType> ParseScalar(std::string_view text) {
  std::string upper = Upper(Trimmed(text));
  std::string_view name = std::string_view(upper).substr(0, upper.find_first_of("( "));
  std::optional<TypeId> id = FindTypeName(name);
  if (!id || IsNested(*id)) {
    return Error(ErrorCode::kUnsupportedType,
                 "column type cannot be written by Zerobus: ", Shown(text));
  }
  TableType type;
  type.id = *id;
  if (*id == TypeId::kDecimal) ARROW_RETURN_NOT_OK(ParseDecimal(upper, &type));
  return type;
}

const Json* Member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const std::string* TextMember(const Json& object, const char* key) {
  const Json* member = Member(object, key);
  return member ? member->get_ptr<const std::string*>() : nullptr;
}

bool FlagMember(const Json& object, const char* key, bool otherwise) {
  const Json* member = Member(object, key);
  const bool* flag = member ? member->get_ptr<const bool*>() : nullptr;
  return flag ? *flag : otherwise;
}

arrow::Result<TableType> ParseSparkType(const Json& json, int depth);

arrow::Result<TableField> ParseSparkChild(const Json& parent, const char* key,
                                          std::string name, bool nullable, int depth) {
  const Json* type = Member(parent, key);
  if (!type) {
    return Error(ErrorCode::kInvalidArgument, "column type JSON lacks a member: ", key);
  }
  TableField field;
  field.name = std::move(name);
  field.nullable = nullable;
  ARROW_ASSIGN_OR_RAISE(field.type, ParseSparkType(*type, depth + 1));
  return field;
}

arrow::Status CheckMemberNames(const std::vector<TableField>& members) {
  if (members.size() > static_cast<size_t>(kFieldsMax)) {
    return Error(ErrorCode::kSchemaMismatch, "struct has more than ", kFieldsMax,
                 " members: ", members.size());
  }
  std::set<std::string_view> names;
  for (const TableField& member : members) {
    if (!names.insert(member.name).second) {
      return Error(ErrorCode::kSchemaMismatch,
                   "struct has two members of one name: ", Shown(member.name));
    }
  }
  return arrow::Status::OK();
}

arrow::Status ParseSparkStruct(const Json& json, int depth, TableType* type) {
  const Json* fields = Member(json, "fields");
  if (!fields || !fields->is_array()) {
    return Error(ErrorCode::kInvalidArgument, "struct type JSON has no fields array");
  }
  for (const Json& field : *fields) {
    const std::string* name = TextMember(field, "name");
    if (!name) {
      return Error(ErrorCode::kInvalidArgument,
                   "struct type JSON has a field without name");
    }
    ARROW_ASSIGN_OR_RAISE(TableField member,
                          ParseSparkChild(field, "type", *name,
                                          FlagMember(field, "nullable", true), depth));
    type->children.push_back(std::move(member));
  }
  return CheckMemberNames(type->children);
}

/// A type in Spark's JSON form: a string for scalars, else an object.
arrow::Result<TableType> ParseSparkType(const Json& json, int depth) {
  if (depth > kTypeDepthMax) {
    return Error(ErrorCode::kUnsupportedType, "column type is nested deeper than ",
                 kTypeDepthMax);
  }
  if (const auto* scalar = json.get_ptr<const std::string*>())
    return ParseScalar(*scalar);
  const std::string* kind = TextMember(json, "type");
  if (!kind) {
    return Error(ErrorCode::kInvalidArgument,
                 "column type JSON is neither a name nor an object with a type");
  }
  TableType type;
  if (*kind == "struct") {
    type.id = TypeId::kStruct;
    ARROW_RETURN_NOT_OK(ParseSparkStruct(json, depth, &type));
  } else if (*kind == "array") {
    type.id = TypeId::kArray;
    ARROW_ASSIGN_OR_RAISE(TableField element,
                          ParseSparkChild(json, "elementType", "element",
                                          FlagMember(json, "containsNull", true), depth));
    type.children.push_back(std::move(element));
  } else if (*kind == "map") {
    type.id = TypeId::kMap;
    ARROW_ASSIGN_OR_RAISE(TableField key,
                          ParseSparkChild(json, "keyType", "key", false, depth));
    ARROW_ASSIGN_OR_RAISE(
        TableField value,
        ParseSparkChild(json, "valueType", "value",
                        FlagMember(json, "valueContainsNull", true), depth));
    type.children.push_back(std::move(key));
    type.children.push_back(std::move(value));
  } else {
    return Error(ErrorCode::kUnsupportedType,
                 "column type cannot be written by Zerobus: ", Shown(*kind));
  }
  return type;
}

/// `type_json`: JSON text (or JSON itself) of a type, bare or inside a field object.
arrow::Result<TableType> ParseTypeJson(const Json& member) {
  Json parsed;
  const Json* json = &member;
  if (const auto* text = member.get_ptr<const std::string*>()) {
    parsed = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
    if (parsed.is_discarded()) return ParseScalar(*text);
    json = &parsed;
  }
  if (Member(*json, "name") && Member(*json, "type")) json = Member(*json, "type");
  return ParseSparkType(*json, 1);
}

arrow::Result<TableType> ParseColumnType(const Json& column) {
  const std::string* type_name = TextMember(column, "type_name");
  const std::string* type_text = TextMember(column, "type_text");
  const Json* type_json = Member(column, "type_json");
  std::optional<TypeId> id;
  if (type_name) id = FindTypeName(Upper(Trimmed(*type_name)));
  if (id && *id != TypeId::kDecimal && !IsNested(*id)) {
    TableType type;
    type.id = *id;
    return type;
  }
  if (id == TypeId::kDecimal && type_text) return ParseScalar(*type_text);
  if (type_json) {
    ARROW_ASSIGN_OR_RAISE(TableType type, ParseTypeJson(*type_json));
    if (id && type.id != *id) {
      return Error(ErrorCode::kInvalidArgument,
                   "type_name and type_json disagree: ", NameOf(*id), " and ",
                   NameOf(type.id));
    }
    return type;
  }
  if (id && IsNested(*id)) {
    return Error(ErrorCode::kInvalidArgument,
                 "STRUCT, ARRAY and MAP columns need type_json");
  }
  if (type_name) return ParseScalar(*type_name);
  return Error(ErrorCode::kInvalidArgument, "column has neither type_name nor type_json");
}

arrow::Result<TableColumn> ParseColumn(const Json& json, size_t index) {
  const std::string* name = TextMember(json, "name");
  if (!name) {
    return Error(ErrorCode::kInvalidArgument, "table column without a name: number ",
                 index);
  }
  TableColumn column;
  column.name = *name;
  column.nullable = FlagMember(json, "nullable", true);
  column.position = static_cast<int32_t>(index);
  if (const Json* position = Member(json, "position")) {
    if (!position->is_number_integer() ||
        (position->is_number_unsigned() &&
         position->get<uint64_t>() > std::numeric_limits<int32_t>::max())) {
      return Error(ErrorCode::kInvalidArgument,
                   "position of a column is not an integer: ", Shown(*name));
    }
    column.position = static_cast<int32_t>(
        std::max<int64_t>(position->get<int64_t>(), std::numeric_limits<int32_t>::min()));
  }
  if (column.position < 0) return column;  // left out: its type does not matter
  arrow::Result<TableType> type = ParseColumnType(json);
  if (!type.ok()) return WithContext("column " + Shown(*name), type.status());
  column.type = std::move(type).ValueUnsafe();
  return column;
}

arrow::Result<TableType> FromArrowType(const arrow::DataType& arrow_type, int depth);

/// The members of an Arrow struct; nullable members of type null are left out.
arrow::Result<std::vector<TableField>> FromArrowFields(const arrow::FieldVector& fields,
                                                       int depth) {
  std::vector<TableField> members;
  for (const auto& field : fields) {
    if (field->nullable() && ValueTypeOf(*field->type()).id() == arrow::Type::NA) {
      continue;
    }
    TableField member;
    member.name = field->name();
    member.nullable = field->nullable();
    arrow::Result<TableType> type = FromArrowType(*field->type(), depth + 1);
    if (!type.ok()) return WithContext("member " + Shown(field->name()), type.status());
    member.type = std::move(type).ValueUnsafe();
    members.push_back(std::move(member));
  }
  ARROW_RETURN_NOT_OK(CheckMemberNames(members));
  return members;
}

arrow::Result<TableType> DecimalOf(const arrow::DecimalType& decimal) {
  if (decimal.scale() < -kArrowPrecisionMax || decimal.scale() > kArrowPrecisionMax) {
    return Error(ErrorCode::kUnsupportedType,
                 "decimal scale is out of range: ", decimal.scale());
  }
  TableType type;
  type.id = TypeId::kDecimal;
  type.precision = decimal.precision() + std::max(0, -decimal.scale());
  type.scale = std::max(0, decimal.scale());
  type.precision = std::max(type.precision, type.scale);
  if (type.precision > kArrowPrecisionMax) {
    return Error(ErrorCode::kUnsupportedType, "decimal has more than ",
                 kArrowPrecisionMax, " digits: ", type.precision);
  }
  return type;
}

std::optional<TypeId> ScalarIdOf(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::BOOL:
      return TypeId::kBoolean;
    case arrow::Type::INT8:
      return TypeId::kTinyInt;
    case arrow::Type::INT16:
    case arrow::Type::UINT8:
      return TypeId::kSmallInt;
    case arrow::Type::INT32:
    case arrow::Type::UINT16:
      return TypeId::kInt;
    case arrow::Type::INT64:
    case arrow::Type::UINT32:
      return TypeId::kBigInt;
    case arrow::Type::HALF_FLOAT:
    case arrow::Type::FLOAT:
      return TypeId::kFloat;
    case arrow::Type::DOUBLE:
      return TypeId::kDouble;
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
    case arrow::Type::STRING_VIEW:
      return TypeId::kString;
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_BINARY:
    case arrow::Type::BINARY_VIEW:
    case arrow::Type::FIXED_SIZE_BINARY:
      return TypeId::kBinary;
    case arrow::Type::DATE32:
    case arrow::Type::DATE64:
      return TypeId::kDate;
    case arrow::Type::TIMESTAMP:
      return static_cast<const arrow::TimestampType&>(type).timezone().empty()
                 ? TypeId::kTimestampNtz
                 : TypeId::kTimestamp;
    default:
      return std::nullopt;
  }
}

arrow::Result<TableType> FromArrowType(const arrow::DataType& arrow_type, int depth) {
  if (depth > kTypeDepthMax) {
    return Error(ErrorCode::kUnsupportedType, "Arrow type is nested deeper than ",
                 kTypeDepthMax);
  }
  const arrow::DataType* value = &ValueTypeOf(arrow_type);
  TableType type;
  if (std::optional<TypeId> scalar = ScalarIdOf(*value)) {
    type.id = *scalar;
    return type;
  }
  switch (value->id()) {
    case arrow::Type::UINT64:
      type.id = TypeId::kDecimal;
      type.precision = 20;
      return type;
    case arrow::Type::DECIMAL32:
    case arrow::Type::DECIMAL64:
    case arrow::Type::DECIMAL128:
    case arrow::Type::DECIMAL256:
      return DecimalOf(static_cast<const arrow::DecimalType&>(*value));
    case arrow::Type::STRUCT: {
      type.id = TypeId::kStruct;
      ARROW_ASSIGN_OR_RAISE(type.children, FromArrowFields(value->fields(), depth));
      return type;
    }
    case arrow::Type::LIST:
    case arrow::Type::LARGE_LIST:
    case arrow::Type::FIXED_SIZE_LIST:
    case arrow::Type::LIST_VIEW:
    case arrow::Type::LARGE_LIST_VIEW: {
      type.id = TypeId::kArray;
      ARROW_ASSIGN_OR_RAISE(TableType element,
                            FromArrowType(*value->field(0)->type(), depth + 1));
      type.children.push_back({"element", std::move(element), true});
      return type;
    }
    case arrow::Type::MAP: {
      const auto& map = static_cast<const arrow::MapType&>(*value);
      type.id = TypeId::kMap;
      ARROW_ASSIGN_OR_RAISE(TableType key, FromArrowType(*map.key_type(), depth + 1));
      ARROW_ASSIGN_OR_RAISE(TableType item, FromArrowType(*map.item_type(), depth + 1));
      type.children.push_back({"key", std::move(key), false});
      type.children.push_back({"value", std::move(item), true});
      return type;
    }
    default:
      return Error(ErrorCode::kUnsupportedType,
                   "Arrow type has no table type; cast it to integers or text, or let "
                   "unsupported_types do it: ",
                   value->name());
  }
}

/// What later code relies on: the right children, bounded depth and decimals.
arrow::Status CheckType(const TableType& type, int depth) {
  if (depth > kTypeDepthMax) {
    return Error(ErrorCode::kUnsupportedType, "column type is nested deeper than ",
                 kTypeDepthMax);
  }
  const size_t count = type.children.size();
  const bool children_fit = type.id == TypeId::kStruct  ? true
                            : type.id == TypeId::kArray ? count == 1
                            : type.id == TypeId::kMap   ? count == 2
                                                        : count == 0;
  if (!children_fit) {
    return Error(ErrorCode::kInvalidArgument,
                 "column type has a wrong number of children: ", NameOf(type.id),
                 " with ", count);
  }
  if (type.id == TypeId::kDecimal &&
      (type.precision < 1 || type.precision > kArrowPrecisionMax || type.scale < 0 ||
       type.scale > type.precision)) {
    return Error(ErrorCode::kUnsupportedType, "decimal precision must be 1..",
                 kArrowPrecisionMax, " and scale 0..precision: ", type.precision, ",",
                 type.scale);
  }
  for (const TableField& child : type.children) {
    ARROW_RETURN_NOT_OK(CheckType(child.type, depth + 1));
  }
  return type.id == TypeId::kStruct ? CheckMemberNames(type.children)
                                    : arrow::Status::OK();
}

}  // namespace

std::string_view NameOf(TypeId id) { return kTypeNames[static_cast<size_t>(id)].sql; }

bool TableType::operator==(const TableType& other) const {
  return id == other.id && precision == other.precision && scale == other.scale &&
         children == other.children;
}

std::string TableType::ToString() const {
  std::string text(NameOf(id));
  if (id == TypeId::kDecimal) {
    return text + "(" + std::to_string(precision) + "," + std::to_string(scale) + ")";
  }
  if (!IsNested(id)) return text;
  text += "<";
  for (size_t i = 0; i < children.size(); ++i) {
    if (i > 0) text += ", ";
    if (id == TypeId::kStruct) text += children[i].name + ": ";
    text += children[i].type.ToString();
    if (id == TypeId::kStruct && !children[i].nullable) text += " NOT NULL";
  }
  return text + ">";
}

arrow::Result<TableSchema> TableSchema::Make(std::vector<TableColumn> columns) {
  if (columns.size() > static_cast<size_t>(kFieldsMax)) {
    return Error(ErrorCode::kSchemaMismatch, "table has more than ", kFieldsMax,
                 " columns: ", columns.size());
  }
  std::stable_sort(columns.begin(), columns.end(),
                   [](const auto& a, const auto& b) { return a.position < b.position; });
  std::set<std::string_view> names;
  for (size_t i = 0; i < columns.size(); ++i) {
    const TableColumn& column = columns[i];
    if (column.position < 0) {
      return Error(ErrorCode::kSchemaMismatch,
                   "column has a negative position: ", Shown(column.name));
    }
    if (i > 0 && columns[i - 1].position == column.position) {
      return Error(ErrorCode::kSchemaMismatch,
                   "two columns have one position: ", Shown(columns[i - 1].name), " and ",
                   Shown(column.name));
    }
    if (!names.insert(column.name).second) {
      return Error(ErrorCode::kSchemaMismatch,
                   "two columns have one name: ", Shown(column.name));
    }
    if (arrow::Status status = CheckType(column.type, 1); !status.ok()) {
      return WithContext("column " + Shown(column.name), status);
    }
  }
  return TableSchema(std::move(columns));
}

arrow::Result<TableSchema> TableSchema::FromUnityCatalogJson(
    std::string_view columns_json) {
  Json json = Json::parse(columns_json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) {
    return Error(ErrorCode::kInvalidArgument, "table columns are not a JSON array");
  }
  std::vector<TableColumn> columns;
  for (size_t i = 0; i < json.size(); ++i) {
    ARROW_ASSIGN_OR_RAISE(TableColumn column, ParseColumn(json[i], i));
    if (column.position >= 0) columns.push_back(std::move(column));
  }
  return Make(std::move(columns));
}

arrow::Result<TableSchema> TableSchema::FromArrow(const arrow::Schema& schema) {
  std::vector<TableColumn> columns;
  for (int i = 0; i < schema.num_fields(); ++i) {
    const arrow::Field& field = *schema.field(i);
    if (field.nullable() && ValueTypeOf(*field.type()).id() == arrow::Type::NA) {
      continue;
    }
    arrow::Result<TableType> type = FromArrowType(*field.type(), 1);
    if (!type.ok()) return WithContext("column " + Shown(field.name()), type.status());
    columns.push_back({field.name(), std::move(type).ValueUnsafe(), field.nullable(), i});
  }
  return Make(std::move(columns));
}

const TableColumn* TableSchema::Find(std::string_view name) const {
  for (const TableColumn& column : columns_) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

const arrow::DataType& ValueTypeOf(const arrow::DataType& type) {
  const arrow::DataType* value = &type;
  while (true) {
    switch (value->id()) {
      case arrow::Type::EXTENSION:
        value = static_cast<const arrow::ExtensionType*>(value)->storage_type().get();
        break;
      case arrow::Type::DICTIONARY:
        value = static_cast<const arrow::DictionaryType*>(value)->value_type().get();
        break;
      case arrow::Type::RUN_END_ENCODED:
        value = static_cast<const arrow::RunEndEncodedType*>(value)->value_type().get();
        break;
      default:
        return *value;
    }
  }
}

arrow::Result<TableType> TableTypeOf(const arrow::DataType& type) {
  return FromArrowType(type, 1);
}

}  // namespace arrowport::zerobus::encode
