#include "wire/http/value_text.h"

#include <arrow/array/array_run_end.h>
#include <arrow/extension_type.h>
#include <arrow/util/base64.h>
#include <arrow/util/decimal.h>
#include <arrow/util/float16.h>

#include <charconv>
#include <cmath>
#include <cstdio>

namespace arrowport::wire::http {
namespace {

using arrow::Type;

template <typename Number>
void AppendNumber(Number value, std::string* out) {
  char text[40];
  auto [end, error] = std::to_chars(text, text + sizeof(text), value);
  out->append(text, end);
}

/// `value` with at least `digits` digits.
void AppendPadded(int64_t value, int digits, std::string* out) {
  char text[24];
  const int size =
      std::snprintf(text, sizeof(text), "%0*lld", digits, static_cast<long long>(value));
  out->append(text, static_cast<size_t>(size));
}

int64_t UnitsPerSecond(arrow::TimeUnit::type unit) {
  switch (unit) {
    case arrow::TimeUnit::SECOND:
      return 1;
    case arrow::TimeUnit::MILLI:
      return 1000;
    case arrow::TimeUnit::MICRO:
      return 1000000;
    case arrow::TimeUnit::NANO:
      break;
  }
  return 1000000000;
}

int64_t FloorDivide(int64_t value, int64_t by) {
  return value / by - (value % by < 0 ? 1 : 0);
}

/// Days since 1970-01-01 as year-month-day of the proleptic Gregorian calendar, counted
/// in 400-year eras of 146,097 days that begin on March 1st.
void AppendDate(int64_t days, std::string* out) {
  const int64_t shifted = days + 719468;  // from 0000-03-01
  const int64_t era = FloorDivide(shifted, 146097);
  const int64_t day_of_era = shifted - era * 146097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month_index = (5 * day_of_year + 2) / 153;  // 0 is March
  const int64_t day = day_of_year - (153 * month_index + 2) / 5 + 1;
  const int64_t month = month_index < 10 ? month_index + 3 : month_index - 9;
  const int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  if (year < 0) out->push_back('-');
  AppendPadded(std::abs(year), 4, out);
  out->push_back('-');
  AppendPadded(month, 2, out);
  out->push_back('-');
  AppendPadded(day, 2, out);
}

/// ".123" in the unit's digits; nothing for 0.
void AppendFraction(int64_t fraction, int64_t per_second, std::string* out) {
  if (fraction == 0) return;
  int digits = 0;
  for (int64_t n = per_second; n > 1; n /= 10) ++digits;
  out->push_back('.');
  AppendPadded(fraction, digits, out);
}

void AppendTime(int64_t value, int64_t per_second, std::string* out) {
  const int64_t seconds = value / per_second;
  AppendPadded(seconds / 3600, 2, out);
  out->push_back(':');
  AppendPadded(seconds / 60 % 60, 2, out);
  out->push_back(':');
  AppendPadded(seconds % 60, 2, out);
  AppendFraction(value % per_second, per_second, out);
}

void AppendTimestamp(int64_t value, const arrow::TimestampType& type, std::string* out) {
  const int64_t per_second = UnitsPerSecond(type.unit());
  const int64_t seconds = FloorDivide(value, per_second);
  const int64_t days = FloorDivide(seconds, 86400);
  const int64_t fraction = value - seconds * per_second;
  AppendDate(days, out);
  out->push_back('T');
  AppendTime(seconds - days * 86400, 1, out);
  AppendFraction(fraction, per_second, out);
  if (!type.timezone().empty()) out->push_back('Z');
}

/// ISO 8601 duration, each part with its own sign.
void AppendInterval(int64_t months, int64_t days, int64_t value, int64_t per_second,
                    std::string* out) {
  out->push_back('P');
  if (months != 0) {
    AppendNumber(months, out);
    out->push_back('M');
  }
  if (days != 0) {
    AppendNumber(days, out);
    out->push_back('D');
  }
  if (value != 0 || (months == 0 && days == 0)) {
    out->push_back('T');
    if (value < 0) out->push_back('-');
    const uint64_t magnitude =
        value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
    const auto unit = static_cast<uint64_t>(per_second);
    AppendNumber(magnitude / unit, out);
    AppendFraction(static_cast<int64_t>(magnitude % unit), per_second, out);
    out->push_back('S');
  }
}

/// Dates, times and intervals; false for any other type.
bool AppendTemporal(const arrow::Array& array, int64_t row, std::string* out) {
  switch (array.type_id()) {
    case Type::DATE32:
      AppendDate(static_cast<const arrow::Date32Array&>(array).Value(row), out);
      return true;
    case Type::DATE64:
      AppendDate(
          FloorDivide(static_cast<const arrow::Date64Array&>(array).Value(row), 86400000),
          out);
      return true;
    case Type::TIME32: {
      const auto& type = static_cast<const arrow::Time32Type&>(*array.type());
      AppendTime(static_cast<const arrow::Time32Array&>(array).Value(row),
                 UnitsPerSecond(type.unit()), out);
      return true;
    }
    case Type::TIME64: {
      const auto& type = static_cast<const arrow::Time64Type&>(*array.type());
      AppendTime(static_cast<const arrow::Time64Array&>(array).Value(row),
                 UnitsPerSecond(type.unit()), out);
      return true;
    }
    case Type::TIMESTAMP:
      AppendTimestamp(static_cast<const arrow::TimestampArray&>(array).Value(row),
                      static_cast<const arrow::TimestampType&>(*array.type()), out);
      return true;
    case Type::DURATION: {
      const auto& type = static_cast<const arrow::DurationType&>(*array.type());
      AppendInterval(0, 0, static_cast<const arrow::DurationArray&>(array).Value(row),
                     UnitsPerSecond(type.unit()), out);
      return true;
    }
    case Type::INTERVAL_MONTHS:
      AppendInterval(static_cast<const arrow::MonthIntervalArray&>(array).Value(row), 0,
                     0, 1, out);
      return true;
    case Type::INTERVAL_DAY_TIME: {
      auto value = static_cast<const arrow::DayTimeIntervalArray&>(array).GetValue(row);
      AppendInterval(0, value.days, value.milliseconds, 1000, out);
      return true;
    }
    case Type::INTERVAL_MONTH_DAY_NANO: {
      auto value =
          static_cast<const arrow::MonthDayNanoIntervalArray&>(array).GetValue(row);
      AppendInterval(value.months, value.days, value.nanoseconds, 1000000000, out);
      return true;
    }
    default:
      return false;
  }
}

/// Integers and booleans; false for any other type.
bool AppendIntegral(const arrow::Array& array, int64_t row, std::string* out) {
  switch (array.type_id()) {
    case Type::BOOL:
      out->append(static_cast<const arrow::BooleanArray&>(array).Value(row) ? "true"
                                                                            : "false");
      return true;
    case Type::INT8:
      AppendNumber<int>(static_cast<const arrow::Int8Array&>(array).Value(row), out);
      return true;
    case Type::INT16:
      AppendNumber(static_cast<const arrow::Int16Array&>(array).Value(row), out);
      return true;
    case Type::INT32:
      AppendNumber(static_cast<const arrow::Int32Array&>(array).Value(row), out);
      return true;
    case Type::INT64:
      AppendNumber(static_cast<const arrow::Int64Array&>(array).Value(row), out);
      return true;
    case Type::UINT8:
      AppendNumber<unsigned>(static_cast<const arrow::UInt8Array&>(array).Value(row),
                             out);
      return true;
    case Type::UINT16:
      AppendNumber(static_cast<const arrow::UInt16Array&>(array).Value(row), out);
      return true;
    case Type::UINT32:
      AppendNumber(static_cast<const arrow::UInt32Array&>(array).Value(row), out);
      return true;
    case Type::UINT64:
      AppendNumber(static_cast<const arrow::UInt64Array&>(array).Value(row), out);
      return true;
    default:
      return false;
  }
}

enum class Float { kNone, kFinite, kNotFinite };

/// Appends a finite float; `value` gets it in any case.
Float AppendFloat(const arrow::Array& array, int64_t row, double* value,
                  std::string* out) {
  switch (array.type_id()) {
    case Type::HALF_FLOAT: {
      const uint16_t bits = static_cast<const arrow::HalfFloatArray&>(array).Value(row);
      const float number = arrow::util::Float16::FromBits(bits).ToFloat();
      *value = number;
      if (std::isfinite(number)) AppendNumber(number, out);
      break;
    }
    case Type::FLOAT: {
      const float number = static_cast<const arrow::FloatArray&>(array).Value(row);
      *value = number;
      if (std::isfinite(number)) AppendNumber(number, out);
      break;
    }
    case Type::DOUBLE:
      *value = static_cast<const arrow::DoubleArray&>(array).Value(row);
      if (std::isfinite(*value)) AppendNumber(*value, out);
      break;
    default:
      return Float::kNone;
  }
  return std::isfinite(*value) ? Float::kFinite : Float::kNotFinite;
}

bool AppendDecimal(const arrow::Array& array, int64_t row, std::string* out) {
  switch (array.type_id()) {
    case Type::DECIMAL32:
      out->append(static_cast<const arrow::Decimal32Array&>(array).FormatValue(row));
      return true;
    case Type::DECIMAL64:
      out->append(static_cast<const arrow::Decimal64Array&>(array).FormatValue(row));
      return true;
    case Type::DECIMAL128:
      out->append(static_cast<const arrow::Decimal128Array&>(array).FormatValue(row));
      return true;
    case Type::DECIMAL256:
      out->append(static_cast<const arrow::Decimal256Array&>(array).FormatValue(row));
      return true;
    default:
      return false;
  }
}

/// The bytes of a text value; false for any other type.
bool TextOf(const arrow::Array& array, int64_t row, std::string_view* text) {
  switch (array.type_id()) {
    case Type::STRING:
      *text = static_cast<const arrow::StringArray&>(array).GetView(row);
      return true;
    case Type::LARGE_STRING:
      *text = static_cast<const arrow::LargeStringArray&>(array).GetView(row);
      return true;
    case Type::STRING_VIEW:
      *text = static_cast<const arrow::StringViewArray&>(array).GetView(row);
      return true;
    default:
      return false;
  }
}

bool AppendBinary(const arrow::Array& array, int64_t row, std::string* out) {
  std::string_view bytes;
  switch (array.type_id()) {
    case Type::BINARY:
      bytes = static_cast<const arrow::BinaryArray&>(array).GetView(row);
      break;
    case Type::LARGE_BINARY:
      bytes = static_cast<const arrow::LargeBinaryArray&>(array).GetView(row);
      break;
    case Type::BINARY_VIEW:
      bytes = static_cast<const arrow::BinaryViewArray&>(array).GetView(row);
      break;
    case Type::FIXED_SIZE_BINARY:
      bytes = static_cast<const arrow::FixedSizeBinaryArray&>(array).GetView(row);
      break;
    default:
      return false;
  }
  out->append(arrow::util::base64_encode(bytes));
  return true;
}

/// RFC 9562 text form.
void AppendUuid(const arrow::Array& storage, int64_t row, std::string* out) {
  const auto bytes =
      static_cast<const arrow::FixedSizeBinaryArray&>(storage).GetView(row);
  constexpr char kDigits[] = "0123456789abcdef";
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out->push_back('-');
    out->push_back(kDigits[static_cast<uint8_t>(bytes[i]) >> 4]);
    out->push_back(kDigits[static_cast<uint8_t>(bytes[i]) & 15]);
  }
}

/// Simple values that JSON writes as strings, without the quotes and with nothing in them
/// that needs escaping; false for other types.
bool AppendPlainText(const arrow::Array& array, int64_t row, std::string* out) {
  if (array.type_id() == Type::EXTENSION) {
    const auto& extension = static_cast<const arrow::ExtensionArray&>(array);
    const auto& type = static_cast<const arrow::ExtensionType&>(*array.type());
    if (type.extension_name() != "arrow.uuid") return false;
    AppendUuid(*extension.storage(), row, out);
    return true;
  }
  return AppendTemporal(array, row, out) || AppendDecimal(array, row, out) ||
         AppendBinary(array, row, out);
}

void AppendRange(const arrow::Array& values, int64_t from, int64_t count,
                 std::string* out) {
  out->push_back('[');
  for (int64_t i = 0; i < count; ++i) {
    if (i > 0) out->push_back(',');
    AppendJsonValue(values, from + i, out);
  }
  out->push_back(']');
}

template <typename ListArray>
void AppendList(const arrow::Array& array, int64_t row, std::string* out) {
  const auto& list = static_cast<const ListArray&>(array);
  AppendRange(*list.values(), list.value_offset(row), list.value_length(row), out);
}

void AppendStruct(const arrow::StructArray& array, int64_t row, std::string* out) {
  out->push_back('{');
  for (int i = 0; i < array.num_fields(); ++i) {
    if (i > 0) out->push_back(',');
    AppendJsonString(array.struct_type()->field(i)->name(), out);
    out->push_back(':');
    AppendJsonValue(*array.field(i), row, out);
  }
  out->push_back('}');
}

void AppendMap(const arrow::MapArray& array, int64_t row, std::string* out) {
  out->push_back('{');
  for (int64_t i = 0; i < array.value_length(row); ++i) {
    if (i > 0) out->push_back(',');
    const int64_t at = array.value_offset(row) + i;
    std::string_view text;
    if (TextOf(*array.keys(), at, &text)) {
      AppendJsonString(text, out);
    } else {
      std::string key;
      AppendJsonValue(*array.keys(), at, &key);
      if (key.starts_with('"')) {
        out->append(key);
      } else {
        AppendJsonString(key, out);
      }
    }
    out->push_back(':');
    AppendJsonValue(*array.items(), at, out);
  }
  out->push_back('}');
}

/// Types made of other arrays.
void AppendNested(const arrow::Array& array, int64_t row, std::string* out) {
  switch (array.type_id()) {
    case Type::LIST:
      return AppendList<arrow::ListArray>(array, row, out);
    case Type::LARGE_LIST:
      return AppendList<arrow::LargeListArray>(array, row, out);
    case Type::FIXED_SIZE_LIST:
      return AppendList<arrow::FixedSizeListArray>(array, row, out);
    case Type::LIST_VIEW:
      return AppendList<arrow::ListViewArray>(array, row, out);
    case Type::LARGE_LIST_VIEW:
      return AppendList<arrow::LargeListViewArray>(array, row, out);
    case Type::STRUCT:
      return AppendStruct(static_cast<const arrow::StructArray&>(array), row, out);
    case Type::MAP:
      return AppendMap(static_cast<const arrow::MapArray&>(array), row, out);
    case Type::DICTIONARY: {
      const auto& dictionary = static_cast<const arrow::DictionaryArray&>(array);
      return AppendJsonValue(*dictionary.dictionary(), dictionary.GetValueIndex(row),
                             out);
    }
    case Type::EXTENSION:
      return AppendJsonValue(*static_cast<const arrow::ExtensionArray&>(array).storage(),
                             row, out);
    case Type::RUN_END_ENCODED: {
      const auto& runs = static_cast<const arrow::RunEndEncodedArray&>(array);
      auto value = runs.GetScalar(row);
      auto one =
          value.ok()
              ? arrow::MakeArrayFromScalar(
                    *static_cast<const arrow::RunEndEncodedScalar&>(**value).value, 1)
              : arrow::Result<std::shared_ptr<arrow::Array>>(value.status());
      if (one.ok()) return AppendJsonValue(**one, 0, out);
      break;
    }
    case Type::DENSE_UNION: {
      const auto& all = static_cast<const arrow::DenseUnionArray&>(array);
      return AppendJsonValue(*all.field(all.child_id(row)), all.value_offset(row), out);
    }
    case Type::SPARSE_UNION: {
      const auto& all = static_cast<const arrow::SparseUnionArray&>(array);
      return AppendJsonValue(*all.field(all.child_id(row)), row, out);
    }
    default:
      break;
  }
  out->append("null");
}

/// The array and row that hold the value behind dictionaries and extension types.
std::pair<const arrow::Array*, int64_t> Unwrap(const arrow::Array& array, int64_t row) {
  if (array.type_id() == Type::DICTIONARY && !array.IsNull(row)) {
    const auto& dictionary = static_cast<const arrow::DictionaryArray&>(array);
    return Unwrap(*dictionary.dictionary(), dictionary.GetValueIndex(row));
  }
  return {&array, row};
}

}  // namespace

void AppendJsonString(std::string_view text, std::string* out) {
  out->push_back('"');
  size_t from = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out->append(text, from, i - from);
    from = i + 1;
    switch (c) {
      case '"':
        out->append("\\\"");
        break;
      case '\\':
        out->append("\\\\");
        break;
      case '\n':
        out->append("\\n");
        break;
      case '\r':
        out->append("\\r");
        break;
      case '\t':
        out->append("\\t");
        break;
      default: {
        char code[8];
        std::snprintf(code, sizeof(code), "\\u%04x", static_cast<unsigned>(c));
        out->append(code);
      }
    }
  }
  out->append(text, from, text.size() - from);
  out->push_back('"');
}

void AppendCsvString(std::string_view text, std::string* out) {
  if (!text.empty() && text.find_first_of("\",\r\n") == std::string_view::npos) {
    out->append(text);
    return;
  }
  out->push_back('"');
  for (char c : text) {
    if (c == '"') out->push_back('"');
    out->push_back(c);
  }
  out->push_back('"');
}

void AppendJsonValue(const arrow::Array& array, int64_t row, std::string* out) {
  if (array.type_id() == Type::NA || array.IsNull(row)) {
    out->append("null");
    return;
  }
  if (AppendIntegral(array, row, out)) return;
  double number = 0;
  const Float kind = AppendFloat(array, row, &number, out);
  if (kind == Float::kNotFinite) out->append("null");
  if (kind != Float::kNone) return;
  std::string_view text;
  if (TextOf(array, row, &text)) return AppendJsonString(text, out);
  const size_t before = out->size();
  out->push_back('"');
  if (AppendPlainText(array, row, out)) {
    out->push_back('"');
    return;
  }
  out->resize(before);
  AppendNested(array, row, out);
}

void AppendCsvValue(const arrow::Array& outer, int64_t outer_row, std::string* out) {
  const auto [inner, row] = Unwrap(outer, outer_row);
  const arrow::Array& array = *inner;
  if (array.type_id() == Type::NA || array.IsNull(row)) return;
  if (AppendIntegral(array, row, out)) return;
  double number = 0;
  const Float kind = AppendFloat(array, row, &number, out);
  if (kind == Float::kNotFinite) {
    out->append(std::isnan(number) ? "nan" : number > 0 ? "inf" : "-inf");
  }
  if (kind != Float::kNone) return;
  std::string_view text;
  if (TextOf(array, row, &text)) return AppendCsvString(text, out);
  if (AppendPlainText(array, row, out)) return;
  if (array.type_id() == Type::EXTENSION) {
    return AppendCsvValue(*static_cast<const arrow::ExtensionArray&>(array).storage(),
                          row, out);
  }
  std::string json;
  AppendNested(array, row, &json);
  if (json != "null") AppendCsvString(json, out);
}

}  // namespace arrowport::wire::http
