#include "cli/json_text.h"

#include <arrow/array/array_dict.h>
#include <arrow/array/array_nested.h>
#include <arrow/array/array_run_end.h>
#include <arrow/scalar.h>
#include <arrow/util/base64.h>

#include <cmath>
#include <charconv>
#include <nlohmann/json.hpp>

namespace arrowport::cli {
namespace {

using arrow::internal::checked_cast;

void AppendText(std::string_view text, std::string* out) {
  out->append(nlohmann::json(text).dump(-1, ' ', false,
                                        nlohmann::json::error_handler_t::replace));
}

void AppendNumber(double number, std::string* out) {
  if (!std::isfinite(number)) {
    out->append("null");
    return;
  }
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, number).ptr;
  out->append(text, end - text);
}

template <typename ListArray>
void AppendList(const ListArray& list, int64_t row, std::string* out) {
  *out += '[';
  const int64_t start = list.value_offset(row);
  for (int64_t i = 0; i < list.value_length(row); ++i) {
    if (i) *out += ',';
    AppendJson(*list.values(), start + i, out);
  }
  *out += ']';
}

void AppendStruct(const arrow::StructArray& array, int64_t row, std::string* out) {
  *out += '{';
  for (int i = 0; i < array.num_fields(); ++i) {
    if (i) *out += ',';
    AppendText(array.struct_type()->field(i)->name(), out);
    *out += ':';
    AppendJson(*array.field(i), row, out);
  }
  *out += '}';
}

void AppendMap(const arrow::MapArray& map, int64_t row, std::string* out) {
  *out += '{';
  const int64_t start = map.value_offset(row);
  for (int64_t i = start; i < start + map.value_length(row); ++i) {
    if (i > start) *out += ',';
    AppendText(PlainText(*map.keys(), i), out);
    *out += ':';
    AppendJson(*map.items(), i, out);
  }
  *out += '}';
}

bool IsBinary(arrow::Type::type id) {
  return id == arrow::Type::BINARY || id == arrow::Type::LARGE_BINARY ||
         id == arrow::Type::BINARY_VIEW || id == arrow::Type::FIXED_SIZE_BINARY;
}

}  // namespace

std::string PlainText(const arrow::Array& array, int64_t row) {
  const arrow::Type::type id = array.type_id();
  if (id == arrow::Type::STRING)
    return std::string(checked_cast<const arrow::StringArray&>(array).GetView(row));
  if (id == arrow::Type::DICTIONARY) {
    const auto& dictionary = checked_cast<const arrow::DictionaryArray&>(array);
    const int64_t value = dictionary.GetValueIndex(row);
    return dictionary.dictionary()->IsNull(value)
               ? "null"
               : PlainText(*dictionary.dictionary(), value);
  }
  if (id == arrow::Type::DOUBLE || id == arrow::Type::FLOAT) {
    char text[40];
    const auto end =
        id == arrow::Type::DOUBLE
            ? std::to_chars(text, text + sizeof text,
                            checked_cast<const arrow::DoubleArray&>(array).Value(row))
            : std::to_chars(text, text + sizeof text,
                            checked_cast<const arrow::FloatArray&>(array).Value(row));
    return std::string(text, end.ptr);
  }
  if (arrow::is_nested(id)) {
    std::string text;
    AppendJson(array, row, &text);
    return text;
  }
  const auto scalar = array.GetScalar(row);
  if (!scalar.ok()) return "?";
  return (*scalar)->ToString();
}

void AppendJson(const arrow::Array& array, int64_t row, std::string* out) {
  if (array.IsNull(row)) {
    out->append("null");
    return;
  }
  const arrow::Type::type id = array.type_id();
  switch (id) {
    case arrow::Type::BOOL:
    case arrow::Type::INT8:
    case arrow::Type::INT16:
    case arrow::Type::INT32:
    case arrow::Type::INT64:
    case arrow::Type::UINT8:
    case arrow::Type::UINT16:
    case arrow::Type::UINT32:
    case arrow::Type::UINT64:
      out->append(PlainText(array, row));
      return;
    case arrow::Type::FLOAT:
    case arrow::Type::DOUBLE: {
      const bool is_finite =
          id == arrow::Type::DOUBLE
              ? std::isfinite(checked_cast<const arrow::DoubleArray&>(array).Value(row))
              : std::isfinite(checked_cast<const arrow::FloatArray&>(array).Value(row));
      out->append(is_finite ? PlainText(array, row) : "null");
      return;
    }
    case arrow::Type::HALF_FLOAT: {
      const auto& half = checked_cast<const arrow::HalfFloatArray&>(array);
      AppendNumber(arrow::util::Float16::FromBits(half.Value(row)).ToDouble(), out);
      return;
    }
    case arrow::Type::LIST:
      return AppendList(checked_cast<const arrow::ListArray&>(array), row, out);
    case arrow::Type::LARGE_LIST:
      return AppendList(checked_cast<const arrow::LargeListArray&>(array), row, out);
    case arrow::Type::LIST_VIEW:
      return AppendList(checked_cast<const arrow::ListViewArray&>(array), row, out);
    case arrow::Type::FIXED_SIZE_LIST:
      return AppendList(checked_cast<const arrow::FixedSizeListArray&>(array), row, out);
    case arrow::Type::MAP:
      return AppendMap(checked_cast<const arrow::MapArray&>(array), row, out);
    case arrow::Type::STRUCT:
      return AppendStruct(checked_cast<const arrow::StructArray&>(array), row, out);
    case arrow::Type::DICTIONARY: {
      const auto& dictionary = checked_cast<const arrow::DictionaryArray&>(array);
      return AppendJson(*dictionary.dictionary(), dictionary.GetValueIndex(row), out);
    }
    default:
      break;
  }
  if (IsBinary(id)) {
    const auto scalar = array.GetScalar(row);
    const auto& value = checked_cast<const arrow::BaseBinaryScalar&>(**scalar).value;
    AppendText(arrow::util::base64_encode(std::string_view(*value)), out);
    return;
  }
  // Unions and the like: the scalar's own text, never through PlainText, which would
  // come back here.
  const auto scalar = array.GetScalar(row);
  AppendText(scalar.ok() ? (*scalar)->ToString() : "?", out);
}

void AppendJsonRow(const arrow::RecordBatch& batch, int64_t row, std::string* out) {
  *out += '{';
  for (int i = 0; i < batch.num_columns(); ++i) {
    if (i) *out += ',';
    AppendText(batch.column_name(i), out);
    *out += ':';
    AppendJson(*batch.column(i), row, out);
  }
  *out += '}';
}

}  // namespace arrowport::cli
