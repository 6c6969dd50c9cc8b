#include "delta/table_reader_shape.h"

#include <arrow/array/util.h>
#include <arrow/compute/cast.h>
#include <arrow/extension_type.h>
#include <arrow/util/bitmap_ops.h>
#include <arrow/util/key_value_metadata.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"

namespace arrowport::delta {
namespace {

using ArrayPtr = std::shared_ptr<arrow::Array>;

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

std::optional<std::string> FieldId(const arrow::Field& field) {
  if (field.metadata() == nullptr) return std::nullopt;
  auto id = field.metadata()->Get("PARQUET:field_id");
  return id.ok() ? std::optional(*id) : std::nullopt;
}

arrow::Status WrongType(const arrow::DataType& found, const DataType& wanted) {
  return Error(ErrorCode::kStorageCorrupt, "a data file has a column of type ",
               found.ToString(), " where the table has ", wanted.ToString());
}

/// The same bits under a timestamp type of the same unit.
ArrayPtr Relabel(const ArrayPtr& array, const std::shared_ptr<arrow::DataType>& type) {
  auto data = array->data()->Copy();
  data->type = type;
  return arrow::MakeArray(std::move(data));
}

arrow::Result<ArrayPtr> CastExactly(const ArrayPtr& array,
                                    const std::shared_ptr<arrow::DataType>& target,
                                    const DataType& wanted) {
  if (array->type()->Equals(*target)) return array;
  auto cast = arrow::compute::Cast(*array, target, arrow::compute::CastOptions::Safe());
  if (!cast.ok()) return WrongType(*array->type(), wanted);
  return cast;
}

bool IsTextLike(arrow::Type::type id) {
  return arrow::is_base_binary_like(id) || arrow::is_binary_view_like(id) ||
         id == arrow::Type::FIXED_SIZE_BINARY;
}

/// Whether values of a file's type may stand for values of the table's type: the same, a
/// narrower one it was widened from, or another encoding of it.
bool MayBecome(const arrow::DataType& from, const DataType& to) {
  const auto id = from.id();
  switch (to.kind) {
    case TypeKind::kString:
    case TypeKind::kBinary: return IsTextLike(id);
    case TypeKind::kBoolean: return id == arrow::Type::BOOL;
    case TypeKind::kByte:
    case TypeKind::kShort:
    case TypeKind::kInteger:
    case TypeKind::kLong: return arrow::is_integer(id);
    case TypeKind::kFloat: return id == arrow::Type::HALF_FLOAT || id == arrow::Type::FLOAT;
    case TypeKind::kDouble: return arrow::is_floating(id) || arrow::is_integer(id);
    case TypeKind::kDecimal: return arrow::is_decimal(id) || arrow::is_integer(id);
    case TypeKind::kDate: return id == arrow::Type::DATE32 || id == arrow::Type::DATE64;
    case TypeKind::kTimestamp: return id == arrow::Type::TIMESTAMP;
    case TypeKind::kTimestampNtz:
      return id == arrow::Type::TIMESTAMP || id == arrow::Type::DATE32;
    default: return false;
  }
}

arrow::Result<ArrayPtr> ShapePrimitive(ArrayPtr array, const DataType& type) {
  const auto target = ToArrowType(type, NameStyle::kLogical);
  if (array->type()->Equals(*target)) return array;
  if (array->type_id() == arrow::Type::DICTIONARY) {
    const auto& values = static_cast<const arrow::DictionaryType&>(*array->type());
    ARROW_ASSIGN_OR_RAISE(array, CastExactly(array, values.value_type(), type));
  }
  if (!MayBecome(*array->type(), type)) return WrongType(*array->type(), type);
  if (array->type_id() == arrow::Type::TIMESTAMP) {
    // Zones are labels here: what the table says counts.
    const auto unit = static_cast<const arrow::TimestampType&>(*array->type()).unit();
    const auto& zone = static_cast<const arrow::TimestampType&>(*target).timezone();
    return CastExactly(Relabel(array, arrow::timestamp(unit, zone)), target, type);
  }
  if (arrow::is_integer(array->type_id()) && type.kind == TypeKind::kDecimal) {
    // The cast wants room for every integer of the type, not only for those there are.
    const auto roomy = arrow::decimal128(38, type.scale);
    ARROW_ASSIGN_OR_RAISE(array, CastExactly(array, roomy, type));
  }
  return CastExactly(array, target, type);
}

arrow::Result<ArrayPtr> ShapeStruct(const ArrayPtr& array, const DataType& type,
                                    const ColumnMatch& match) {
  if (array->type_id() != arrow::Type::STRUCT) return WrongType(*array->type(), type);
  const auto& source = static_cast<const arrow::StructArray&>(*array);
  const auto target = ToArrowType(type, NameStyle::kLogical);
  std::vector<ArrayPtr> children;
  for (const StructField& field : type.fields) {
    const int index = FindInFile(source.struct_type()->fields(), field, match);
    if (index < 0) {
      ARROW_ASSIGN_OR_RAISE(
          auto nulls, arrow::MakeArrayOfNull(ToArrowType(*field.type, NameStyle::kLogical),
                                             array->length()));
      children.push_back(std::move(nulls));
      continue;
    }
    ARROW_ASSIGN_OR_RAISE(auto child, ShapeArray(source.field(index), *field.type, match));
    children.push_back(std::move(child));
  }
  // field() has taken the offset off the children; the validity needs the same.
  std::shared_ptr<arrow::Buffer> validity;
  if (array->null_count() > 0) {
    ARROW_ASSIGN_OR_RAISE(
        validity, arrow::internal::CopyBitmap(arrow::default_memory_pool(),
                                              array->null_bitmap_data(), array->offset(),
                                              array->length()));
  }
  return std::make_shared<arrow::StructArray>(target, array->length(), std::move(children),
                                              std::move(validity), array->null_count());
}

arrow::Result<ArrayPtr> ShapeList(ArrayPtr array, const DataType& type,
                                  const ColumnMatch& match) {
  if (array->type_id() != arrow::Type::LIST && array->type_id() != arrow::Type::MAP) {
    if (!arrow::is_list_like(array->type_id())) return WrongType(*array->type(), type);
    const auto plain = arrow::list(array->type()->field(0));
    ARROW_ASSIGN_OR_RAISE(array, CastExactly(array, plain, type));
  }
  const auto& source = static_cast<const arrow::ListArray&>(*array);
  ARROW_ASSIGN_OR_RAISE(auto values, ShapeArray(source.values(), *type.element, match));
  return std::make_shared<arrow::ListArray>(
      ToArrowType(type, NameStyle::kLogical), source.length(), source.value_offsets(),
      std::move(values), source.null_bitmap(), source.null_count(), source.offset());
}

arrow::Result<ArrayPtr> ShapeMap(const ArrayPtr& array, const DataType& type,
                                 const ColumnMatch& match) {
  if (array->type_id() != arrow::Type::MAP) return WrongType(*array->type(), type);
  const auto& source = static_cast<const arrow::MapArray&>(*array);
  ARROW_ASSIGN_OR_RAISE(auto keys, ShapeArray(source.keys(), *type.key, match));
  ARROW_ASSIGN_OR_RAISE(auto items, ShapeArray(source.items(), *type.element, match));
  return std::make_shared<arrow::MapArray>(
      ToArrowType(type, NameStyle::kLogical), source.length(), source.value_offsets(),
      std::move(keys), std::move(items), source.null_bitmap(), source.null_count(),
      source.offset());
}

}  // namespace

int FindInFile(const arrow::FieldVector& fields, const StructField& field,
               const ColumnMatch& match) {
  if (match.by_field_id && field.field_id) {
    bool any = false;
    const std::string wanted = std::to_string(*field.field_id);
    for (size_t i = 0; i < fields.size(); ++i) {
      const auto id = FieldId(*fields[i]);
      if (id == wanted) return static_cast<int>(i);
      any = any || id.has_value();
    }
    if (any) return -1;
  }
  const std::string& name =
      match.names == NameStyle::kPhysical ? field.physical_name() : field.name;
  int similar = -1;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i]->name() == name) return static_cast<int>(i);
    if (similar < 0 && EqualIgnoringCase(fields[i]->name(), name)) {
      similar = static_cast<int>(i);
    }
  }
  return similar;
}

arrow::Result<std::shared_ptr<arrow::Array>> ShapeArray(
    const std::shared_ptr<arrow::Array>& array, const DataType& type,
    const ColumnMatch& match) {
  if (array->type_id() == arrow::Type::EXTENSION) {
    return ShapeArray(static_cast<const arrow::ExtensionArray&>(*array).storage(), type,
                      match);
  }
  if (array->type_id() == arrow::Type::NA || type.kind == TypeKind::kVoid) {
    return arrow::MakeArrayOfNull(ToArrowType(type, NameStyle::kLogical), array->length());
  }
  switch (type.kind) {
    case TypeKind::kStruct: return ShapeStruct(array, type, match);
    case TypeKind::kArray: return ShapeList(array, type, match);
    case TypeKind::kMap: return ShapeMap(array, type, match);
    default: return ShapePrimitive(array, type);
  }
}

}  // namespace arrowport::delta
