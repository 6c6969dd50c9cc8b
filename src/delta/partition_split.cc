#include "delta/partition_split.h"

#include <arrow/array.h>
#include <arrow/compute/api.h>
#include <arrow/compute/initialize.h>
#include <arrow/util/decimal.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_map>

#include "base/error.h"
#include "delta/code_point.h"
#include "delta/statistics.h"

namespace arrowport::delta {
namespace {

constexpr size_t kFolderPartBytesMax = 240;  // a name has 255 at most
constexpr int64_t kMicrosPerDay = 86'400'000'000;

/// As java.lang.Double.toString spells it: readers of other languages take it too.
template <typename T>
std::string FloatText(T value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  std::string out = text.starts_with('-') ? "-" : "";
  if (!out.empty()) text.remove_prefix(1);
  const size_t e = text.find('e');
  std::string digits(1, text[0]);
  if (e > 2) digits += text.substr(2, e - 2);
  const std::string_view exponent_text =
      text.substr(text[e + 1] == '+' ? e + 2 : e + 1);
  int exponent = 0;
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(),
                  exponent);
  const auto count = static_cast<int>(digits.size());
  if (value == 0) return out + "0.0";
  if (exponent < -3 || exponent >= 7) {
    return out + digits[0] + "." + (count > 1 ? digits.substr(1) : "0") +
           fmt::format("E{}", exponent);
  }
  if (exponent < 0) return out + "0." + std::string(-exponent - 1, '0') + digits;
  if (count <= exponent + 1) digits.append(exponent + 2 - count, '0');
  return out + digits.substr(0, exponent + 1) + "." + digits.substr(exponent + 1);
}

arrow::Result<std::string> TimestampText(const arrow::TimestampArray& array,
                                         int64_t row) {
  const auto& type = static_cast<const arrow::TimestampType&>(*array.type());
  const int64_t value = array.Value(row);
  int64_t day = value / kMicrosPerDay, of_day = value % kMicrosPerDay;
  if (of_day < 0) {
    of_day += kMicrosPerDay;
    --day;
  }
  const auto date = day >= INT32_MIN && day <= INT32_MAX
                        ? DateText(static_cast<int32_t>(day))
                        : std::nullopt;
  if (!date) {
    return Error(ErrorCode::kSchemaMismatch,
                 "a partition value must lie in the years 1 to 9999: ", value,
                 " microseconds since 1970");
  }
  const bool zoned = !type.timezone().empty();
  return fmt::format("{}{}{:02}:{:02}:{:02}.{:06}{}", *date, zoned ? 'T' : ' ',
                     of_day / 3'600'000'000, of_day / 60'000'000 % 60,
                     of_day / 1'000'000 % 60, of_day % 1'000'000, zoned ? "Z" : "");
}

std::string PlainDecimal(const arrow::Decimal128Array& array, int64_t row) {
  const int scale = static_cast<const arrow::DecimalType&>(*array.type()).scale();
  std::string text = arrow::Decimal128(array.GetValue(row)).ToIntegerString();
  const bool negative = text.starts_with('-');
  if (negative) text.erase(0, 1);
  if (scale > 0) {
    const auto places = static_cast<size_t>(scale);
    if (text.size() <= places) text.insert(0, places + 1 - text.size(), '0');
    text.insert(text.size() - places, 1, '.');
  }
  return negative ? "-" + text : text;
}

/// What Hive escapes in a folder's name.
bool IsEscapedByHive(unsigned char byte) {
  return byte < 0x20 || byte == 0x7F ||
         std::string_view("\"#%'*/:=?\\{[]^").find(static_cast<char>(byte)) !=
             std::string_view::npos;
}

/// Of values every byte but the plainest is escaped, so that no system takes offence at a
/// space or a letter; readers undo it all the same. Nobody undoes it in names.
std::string FolderPart(std::string_view name, std::string_view value) {
  std::string out;
  const auto put = [&](char c, bool escaped) {
    if (escaped) {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      out.push_back(c);
    }
  };
  for (const char c : name) put(c, IsEscapedByHive(static_cast<unsigned char>(c)));
  out.push_back('=');
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (std::isalnum(byte) || c == '_' || c == '-' || c == '.');
    put(c, !plain);
  }
  return out;
}

/// "2024-01-31T12:00:00.500000Z" as "2024-01-31 12:00:00.5".
std::string SparkTime(std::string text) {
  if (text.ends_with('Z')) text.pop_back();
  std::replace(text.begin(), text.end(), 'T', ' ');
  if (text.find('.') == std::string::npos) return text;
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text;
}

uint64_t Fnv1a(std::string_view text, uint64_t hash) {
  for (const unsigned char c : text) hash = (hash ^ c) * 0x100000001b3;
  return hash;
}

/// The distinct values of one column as texts, and each row's number among them.
struct CodedColumn {
  std::vector<std::optional<std::string>> texts;
  std::vector<int32_t> codes;
};

arrow::Result<CodedColumn> CodeColumn(const std::shared_ptr<arrow::Array>& column) {
  static const arrow::Status ready = arrow::compute::Initialize();
  ARROW_RETURN_NOT_OK(ready);
  ARROW_ASSIGN_OR_RAISE(
      auto encoded,
      arrow::compute::DictionaryEncode(
          column, arrow::compute::DictionaryEncodeOptions(
                      arrow::compute::DictionaryEncodeOptions::MASK)));
  const auto held = encoded.make_array();
  const auto& dictionary = static_cast<const arrow::DictionaryArray&>(*held);
  CodedColumn coded;
  coded.texts.push_back(std::nullopt);
  // Different values may share a text ("" and NULL): the text decides.
  std::unordered_map<std::string, int32_t> numbers;
  std::vector<int32_t> code_of(static_cast<size_t>(dictionary.dictionary()->length()));
  for (size_t i = 0; i < code_of.size(); ++i) {
    ARROW_ASSIGN_OR_RAISE(
        auto text, PartitionText(*dictionary.dictionary(), static_cast<int64_t>(i)));
    if (!text) continue;
    auto [at, added] =
        numbers.emplace(*text, static_cast<int32_t>(coded.texts.size()));
    if (added) coded.texts.push_back(std::move(text));
    code_of[i] = at->second;
  }
  coded.codes.resize(static_cast<size_t>(column->length()));
  for (int64_t row = 0; row < column->length(); ++row) {
    if (dictionary.indices()->IsValid(row)) {
      coded.codes[static_cast<size_t>(row)] =
          code_of[static_cast<size_t>(dictionary.GetValueIndex(row))];
    }
  }
  return coded;
}

arrow::Status CheckPartitionType(const StructField& field) {
  switch (field.type->kind) {
    case TypeKind::kBinary:
    case TypeKind::kStruct:
    case TypeKind::kArray:
    case TypeKind::kMap:
      return Error(ErrorCode::kUnsupportedType, "a table cannot be partitioned by ",
                   field.type->ToString(), ": ", field.name);
    default:
      return {};
  }
}

}  // namespace

arrow::Result<std::optional<std::string>> PartitionText(const arrow::Array& array,
                                                        int64_t row) {
  using arrow::Type;
  if (array.IsNull(row)) return std::nullopt;
  switch (array.type_id()) {
    case Type::STRING: {
      const auto text = static_cast<const arrow::StringArray&>(array).GetView(row);
      if (text.empty()) return std::nullopt;
      if (!IsUtf8(text)) {
        return Error(ErrorCode::kBadData, "a partition value is not UTF-8");
      }
      return std::string(text);
    }
    case Type::INT8:
      return fmt::format("{}", static_cast<const arrow::Int8Array&>(array).Value(row));
    case Type::INT16:
      return fmt::format("{}", static_cast<const arrow::Int16Array&>(array).Value(row));
    case Type::INT32:
      return fmt::format("{}", static_cast<const arrow::Int32Array&>(array).Value(row));
    case Type::INT64:
      return fmt::format("{}", static_cast<const arrow::Int64Array&>(array).Value(row));
    case Type::BOOL:
      return static_cast<const arrow::BooleanArray&>(array).Value(row) ? "true" : "false";
    case Type::FLOAT:
      return FloatText(static_cast<const arrow::FloatArray&>(array).Value(row));
    case Type::DOUBLE:
      return FloatText(static_cast<const arrow::DoubleArray&>(array).Value(row));
    case Type::DECIMAL128:
      return PlainDecimal(static_cast<const arrow::Decimal128Array&>(array), row);
    case Type::DATE32: {
      const int32_t days = static_cast<const arrow::Date32Array&>(array).Value(row);
      const auto date = DateText(days);
      if (date) return date;
      return Error(ErrorCode::kSchemaMismatch,
                   "a partition value must lie in the years 1 to 9999: ", days,
                   " days since 1970");
    }
    case Type::TIMESTAMP:
      return TimestampText(static_cast<const arrow::TimestampArray&>(array), row);
    default:
      return Error(ErrorCode::kUnsupportedType, "a table cannot be partitioned by ",
                   array.type()->ToString());
  }
}

std::string PartitionFolder(const TableSchema& schema, const std::vector<std::string>& order,
                            const PartitionValues& values) {
  std::string folder;
  bool fits = true;
  uint64_t hash = 0xcbf29ce484222325;
  for (const std::string& name : order) {
    const auto found = values.find(name);
    const bool is_null = found == values.end() || !found->second;
    std::string text = is_null ? "__HIVE_DEFAULT_PARTITION__" : *found->second;
    hash = Fnv1a(text, Fnv1a(name, hash) * 31 + 1) * 31 + 1;
    const StructField* field = FindField(schema, name);
    const TypeKind kind = field == nullptr ? TypeKind::kString : field->type->kind;
    const bool is_time = kind == TypeKind::kTimestamp || kind == TypeKind::kTimestampNtz;
    if (is_time && !is_null) text = SparkTime(std::move(text));
    const std::string part = FolderPart(name, text);
    fits = fits && part.size() <= kFolderPartBytesMax;
    folder += part + "/";
  }
  return fits ? folder : fmt::format("partition-{:016x}/", hash);
}

arrow::Result<PartitionSplitter> PartitionSplitter::Make(
    const TableSchema& schema, NameStyle names,
    const std::vector<std::string>& partition_columns) {
  PartitionSplitter splitter;
  for (size_t i = 0; i < schema.fields.size(); ++i) {
    if (std::find(partition_columns.begin(), partition_columns.end(),
                  schema.fields[i].name) == partition_columns.end()) {
      splitter.kept_columns_.push_back(static_cast<int>(i));
    }
  }
  for (const std::string& name : partition_columns) {
    auto field = std::find_if(schema.fields.begin(), schema.fields.end(),
                              [&](const StructField& f) { return f.name == name; });
    if (field == schema.fields.end()) {
      return Error(ErrorCode::kColumnNotFound,
                   "a partition column is not in the schema: ", name);
    }
    ARROW_RETURN_NOT_OK(CheckPartitionType(*field));
    splitter.keys_.push_back(
        {static_cast<int>(field - schema.fields.begin()),
         names == NameStyle::kPhysical ? field->physical_name() : field->name,
         field->nullable});
  }
  return splitter;
}

arrow::Result<std::vector<PartitionRows>> PartitionSplitter::Split(
    const std::shared_ptr<arrow::RecordBatch>& batch, int64_t partitions_max) const {
  ARROW_ASSIGN_OR_RAISE(auto kept, batch->SelectColumns(kept_columns_));
  std::vector<CodedColumn> columns;
  for (const Key& key : keys_) {
    ARROW_ASSIGN_OR_RAISE(auto coded, CodeColumn(batch->column(key.column)));
    columns.push_back(std::move(coded));
  }
  const auto rows = static_cast<size_t>(batch->num_rows());
  // Rows are numbered column by column: the group so far and the next code make a group.
  std::vector<int32_t> group_of(rows, 0);
  std::vector<std::vector<int32_t>> codes_of(1);
  for (const CodedColumn& column : columns) {
    std::unordered_map<int64_t, int32_t> numbers;
    std::vector<std::vector<int32_t>> next_codes;
    for (size_t row = 0; row < rows; ++row) {
      const int64_t pair = (int64_t{group_of[row]} << 32) | column.codes[row];
      auto [at, added] = numbers.emplace(pair, static_cast<int32_t>(next_codes.size()));
      if (added) {
        next_codes.push_back(codes_of[static_cast<size_t>(group_of[row])]);
        next_codes.back().push_back(column.codes[row]);
        if (static_cast<int64_t>(next_codes.size()) > partitions_max) {
          return Error(ErrorCode::kTooLarge,
                       "too many partitions in one write: send fewer values of the "
                       "partition columns at a time, at most ",
                       partitions_max);
        }
      }
      group_of[row] = at->second;
    }
    codes_of = std::move(next_codes);
  }
  std::vector<PartitionRows> parts(rows == 0 ? 0 : codes_of.size());
  for (size_t part = 0; part < parts.size(); ++part) {
    for (size_t i = 0; i < keys_.size(); ++i) {
      const auto code = static_cast<size_t>(codes_of[part][i]);
      if (code == 0 && !keys_[i].nullable) {
        return Error(ErrorCode::kConstraintViolation,
                     "NULL or an empty text in a partition column that is not nullable: ",
                     keys_[i].name);
      }
      parts[part].values[keys_[i].name] = columns[i].texts[code];
    }
  }
  if (parts.size() == 1) {
    parts[0].rows = std::move(kept);
    return parts;
  }
  std::vector<arrow::Int64Builder> indices(parts.size());
  for (size_t row = 0; row < rows; ++row) {
    ARROW_RETURN_NOT_OK(
        indices[static_cast<size_t>(group_of[row])].Append(static_cast<int64_t>(row)));
  }
  for (size_t part = 0; part < parts.size(); ++part) {
    ARROW_ASSIGN_OR_RAISE(auto taken, indices[part].Finish());
    ARROW_ASSIGN_OR_RAISE(auto datum, arrow::compute::Take(kept, taken));
    parts[part].rows = datum.record_batch();
  }
  return parts;
}

}  // namespace arrowport::delta
