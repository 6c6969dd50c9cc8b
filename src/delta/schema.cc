#include "delta/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "delta/json_text.h"

namespace arrowport::delta {
namespace {

using Json = nlohmann::json;

constexpr int kDepthMax = 64;
constexpr int kPrecisionMax = 38;
constexpr size_t kMessageTextMax = 200;

constexpr std::array<std::pair<std::string_view, TypeKind>, 13> kPrimitives = {{
    {"string", TypeKind::kString},       {"long", TypeKind::kLong},
    {"integer", TypeKind::kInteger},     {"short", TypeKind::kShort},
    {"byte", TypeKind::kByte},           {"float", TypeKind::kFloat},
    {"double", TypeKind::kDouble},       {"boolean", TypeKind::kBoolean},
    {"binary", TypeKind::kBinary},       {"date", TypeKind::kDate},
    {"timestamp", TypeKind::kTimestamp}, {"timestamp_ntz", TypeKind::kTimestampNtz},
    {"void", TypeKind::kVoid},
}};

std::string_view PrimitiveName(TypeKind kind) {
  for (const auto& [name, known] : kPrimitives) {
    if (known == kind) return name;
  }
  return "decimal";
}

std::string Shortened(std::string_view text) {
  return std::string(text.substr(0, kMessageTextMax));
}

arrow::Status Malformed(std::string_view what, const Json& found) {
  return Error(ErrorCode::kStorageCorrupt, "malformed table schema: ", what, ": ",
               Shortened(found.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

/// "decimal" or "decimal(p,s)"; nothing when it is something else.
std::optional<std::pair<int, int>> ParseDecimal(std::string_view text) {
  if (text == "decimal") return std::pair{10, 0};
  if (!text.starts_with("decimal(") || !text.ends_with(")")) return std::nullopt;
  text = text.substr(8, text.size() - 9);
  const auto number = [](std::string_view part, int* out) {
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), *out);
    return error == std::errc() && end == part.data() + part.size();
  };
  const size_t comma = text.find(',');
  int precision = 0, scale = 0;
  if (comma == std::string_view::npos || !number(text.substr(0, comma), &precision) ||
      !number(text.substr(comma + 1), &scale)) {
    return std::nullopt;
  }
  return std::pair{precision, scale};
}

class SchemaParser {
 public:
  arrow::Result<std::shared_ptr<const DataType>> Type(const Json& json, int depth) {
    if (depth > kDepthMax) {
      return Error(ErrorCode::kTooLarge, "the table's types are nested deeper than ",
                   kDepthMax);
    }
    if (json.is_string()) return Primitive(json.get_ref<const std::string&>());
    if (!json.is_object()) return Malformed("a type is neither text nor object", json);
    const auto kind = json.find("type");
    if (kind == json.end() || !kind->is_string()) return Malformed("no type", json);
    const auto& name = kind->get_ref<const std::string&>();
    if (name == "struct") return Struct(json, depth);
    if (name == "array") return Array(json, depth);
    if (name == "map") return Map(json, depth);
    return Error(ErrorCode::kUnsupportedType, "the table has a column of the unknown type ",
                 Shortened(name));
  }

 private:
  static arrow::Result<std::shared_ptr<const DataType>> Primitive(const std::string& name) {
    auto type = std::make_shared<DataType>();
    for (const auto& [known, kind] : kPrimitives) {
      if (known != name) continue;
      type->kind = kind;
      return type;
    }
    if (const auto decimal = ParseDecimal(name)) {
      const auto [precision, scale] = *decimal;
      if (precision < 1 || precision > kPrecisionMax || scale < 0 || scale > precision) {
        return Error(ErrorCode::kStorageCorrupt, "malformed table schema: ", name);
      }
      type->kind = TypeKind::kDecimal;
      type->precision = precision;
      type->scale = scale;
      return type;
    }
    if (name == "variant") {
      return Error(ErrorCode::kUnsupportedType,
                   "the table has a column of the unsupported type variant (feature "
                   "variantType)");
    }
    if (name.starts_with("geometry") || name.starts_with("geography")) {
      return Error(ErrorCode::kUnsupportedType, "the table has a column of the unsupported ",
                   "type ", Shortened(name), " (feature geospatial)");
    }
    return Error(ErrorCode::kUnsupportedType, "the table has a column of the unknown type ",
                 Shortened(name));
  }

  arrow::Result<std::shared_ptr<const DataType>> Struct(const Json& json, int depth) {
    const auto fields = json.find("fields");
    if (fields == json.end() || !fields->is_array()) return Malformed("no fields", json);
    auto type = std::make_shared<DataType>();
    type->kind = TypeKind::kStruct;
    type->fields.reserve(fields->size());
    for (const Json& field : *fields) {
      ARROW_ASSIGN_OR_RAISE(StructField parsed, Field(field, depth));
      type->fields.push_back(std::move(parsed));
    }
    ARROW_RETURN_NOT_OK(CheckNames(type->fields));
    return type;
  }

  static arrow::Status CheckNames(const std::vector<StructField>& fields) {
    std::vector<std::string_view> names;
    names.reserve(fields.size());
    for (const StructField& field : fields) names.push_back(field.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice == names.end()) return {};
    return Error(ErrorCode::kStorageCorrupt,
                 "malformed table schema: two columns have the name ", Shortened(*twice));
  }

  arrow::Result<StructField> Field(const Json& json, int depth) {
    if (!json.is_object()) return Malformed("a field is no object", json);
    const auto name = json.find("name");
    const auto type = json.find("type");
    if (name == json.end() || !name->is_string() || type == json.end()) {
      return Malformed("a field without name or type", json);
    }
    StructField field;
    field.name = name->get<std::string>();
    ARROW_ASSIGN_OR_RAISE(field.type, Type(*type, depth + 1));
    const auto nullable = json.find("nullable");
    field.nullable = nullable == json.end() || !nullable->is_boolean() || *nullable;
    const auto metadata = json.find("metadata");
    if (metadata == json.end() || !metadata->is_object()) return field;
    for (const auto& [key, value] : metadata->items()) {
      field.metadata[key] = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    const auto mapped = metadata->find("delta.columnMapping.physicalName");
    if (mapped != metadata->end() && mapped->is_string()) {
      field.mapped_name = mapped->get<std::string>();
    }
    const auto id = metadata->find("delta.columnMapping.id");
    if (id != metadata->end() && id->is_number_integer()) {
      const auto value = id->get<int64_t>();
      if (value < 0 || value > INT32_MAX) return Malformed("bad column id", json);
      field.field_id = static_cast<int32_t>(value);
    }
    return field;
  }

  arrow::Result<std::shared_ptr<const DataType>> Array(const Json& json, int depth) {
    const auto element = json.find("elementType");
    if (element == json.end()) return Malformed("an array without elementType", json);
    auto type = std::make_shared<DataType>();
    type->kind = TypeKind::kArray;
    ARROW_ASSIGN_OR_RAISE(type->element, Type(*element, depth + 1));
    type->contains_null = ContainsNull(json, "containsNull");
    return type;
  }

  arrow::Result<std::shared_ptr<const DataType>> Map(const Json& json, int depth) {
    const auto key = json.find("keyType");
    const auto value = json.find("valueType");
    if (key == json.end() || value == json.end()) {
      return Malformed("a map without keyType or valueType", json);
    }
    auto type = std::make_shared<DataType>();
    type->kind = TypeKind::kMap;
    ARROW_ASSIGN_OR_RAISE(type->key, Type(*key, depth + 1));
    ARROW_ASSIGN_OR_RAISE(type->element, Type(*value, depth + 1));
    type->contains_null = ContainsNull(json, "valueContainsNull");
    return type;
  }

  static bool ContainsNull(const Json& json, const char* name) {
    const auto found = json.find(name);
    return found == json.end() || !found->is_boolean() || *found;
  }
};

void AppendType(const DataType& type, std::string* out);

void AppendField(const StructField& field, std::string* out) {
  JsonObject object(out);
  object.String("name", field.name);
  object.Name("type");
  AppendType(*field.type, out);
  object.Boolean("nullable", field.nullable);
  object.Name("metadata");
  JsonObject metadata(out);
  for (const auto& [key, json] : field.metadata) metadata.Raw(key, json);
  metadata.Close();
  object.Close();
}

void AppendType(const DataType& type, std::string* out) {
  switch (type.kind) {
    case TypeKind::kStruct: {
      JsonObject object(out);
      object.String("type", "struct");
      object.Name("fields");
      out->push_back('[');
      for (size_t i = 0; i < type.fields.size(); ++i) {
        if (i > 0) out->push_back(',');
        AppendField(type.fields[i], out);
      }
      out->push_back(']');
      object.Close();
      return;
    }
    case TypeKind::kArray: {
      JsonObject object(out);
      object.String("type", "array");
      object.Name("elementType");
      AppendType(*type.element, out);
      object.Boolean("containsNull", type.contains_null);
      object.Close();
      return;
    }
    case TypeKind::kMap: {
      JsonObject object(out);
      object.String("type", "map");
      object.Name("keyType");
      AppendType(*type.key, out);
      object.Name("valueType");
      AppendType(*type.element, out);
      object.Boolean("valueContainsNull", type.contains_null);
      object.Close();
      return;
    }
    default:
      AppendJsonString(type.ToString(), out);
  }
}

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) {
    return lower(static_cast<unsigned char>(x)) == lower(static_cast<unsigned char>(y));
  });
}

}  // namespace

bool DataType::Equals(const DataType& other) const {
  if (kind != other.kind || precision != other.precision || scale != other.scale ||
      contains_null != other.contains_null || fields.size() != other.fields.size()) {
    return false;
  }
  for (size_t i = 0; i < fields.size(); ++i) {
    const StructField &a = fields[i], &b = other.fields[i];
    if (a.name != b.name || a.nullable != b.nullable || !a.type->Equals(*b.type)) {
      return false;
    }
  }
  const auto same = [](const auto& a, const auto& b) {
    return (a == nullptr) == (b == nullptr) && (a == nullptr || a->Equals(*b));
  };
  return same(element, other.element) && same(key, other.key);
}

std::string DataType::ToString() const {
  switch (kind) {
    case TypeKind::kDecimal:
      return fmt::format("decimal({},{})", precision, scale);
    case TypeKind::kArray:
      return fmt::format("array<{}>", element->ToString());
    case TypeKind::kMap:
      return fmt::format("map<{},{}>", key->ToString(), element->ToString());
    case TypeKind::kStruct: {
      std::string text = "struct<";
      for (const StructField& field : fields) {
        if (text.back() != '<') text += ',';
        text += field.name + ":" + field.type->ToString();
      }
      return text + ">";
    }
    default:
      return std::string(PrimitiveName(kind));
  }
}

const std::string& StructField::physical_name() const {
  return mapped_name.empty() ? name : mapped_name;
}

arrow::Result<std::shared_ptr<const TableSchema>> ParseSchema(std::string_view json) {
  if (IsNestedTooDeeply(json)) {
    return Error(ErrorCode::kStorageCorrupt, "malformed table schema: nested too deeply");
  }
  const Json parsed = Json::parse(json.begin(), json.end(), nullptr, false);
  if (parsed.is_discarded()) {
    return Error(ErrorCode::kStorageCorrupt, "malformed table schema: not JSON: ",
                 Shortened(json));
  }
  ARROW_ASSIGN_OR_RAISE(auto type, SchemaParser().Type(parsed, 0));
  if (type->kind != TypeKind::kStruct) return Malformed("not a struct", parsed);
  return type;
}

std::string SchemaToJson(const TableSchema& schema) {
  std::string out;
  AppendType(schema, &out);
  return out;
}

const StructField* FindField(const TableSchema& schema, std::string_view name) {
  const StructField* similar = nullptr;
  bool ambiguous = false;
  for (const StructField& field : schema.fields) {
    if (field.name == name) return &field;
    if (EqualIgnoringCase(field.name, name)) {
      ambiguous = similar != nullptr;
      similar = &field;
    }
  }
  return ambiguous ? nullptr : similar;
}

}  // namespace arrowport::delta
