#include "zerobus/encode/variant_value.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "base/error.h"

namespace arrowport::zerobus::encode::internal {
namespace {

using Json = nlohmann::json;
using Names = std::map<std::string_view, uint32_t>;

constexpr int kDepthMax = 100;
constexpr size_t kBytesMax = size_t{128} << 20;
constexpr size_t kShortTextBytesMax = 63;
constexpr size_t kSmallCountMax = 255;

enum BasicType : uint8_t { kPrimitive = 0, kShortString = 1, kObject = 2, kArray = 3 };
enum PrimitiveType : uint8_t {
  kNull = 0,
  kTrue = 1,
  kFalse = 2,
  kInt8 = 3,
  kInt16 = 4,
  kInt32 = 5,
  kInt64 = 6,
  kDoubleType = 7,
  kDecimal16 = 10,
  kLongString = 16,
};

void PutHeader(uint8_t basic, uint8_t header, std::string* out) {
  out->push_back(static_cast<char>(header << 2 | basic));
}

void PutLittleEndian(uint64_t number, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) {
    out->push_back(static_cast<char>(i < 8 ? number >> (8 * i) : 0));
  }
}

/// Bytes that hold every number up to `largest`: 1..4.
int WidthOf(uint64_t largest) {
  return largest < 1 << 8 ? 1 : largest < 1 << 16 ? 2 : largest < 1 << 24 ? 3 : 4;
}

arrow::Status CollectNames(const Json& json, int depth, std::set<std::string_view>* names) {
  if (depth > kDepthMax) {
    return Error(ErrorCode::kBadData, "VARIANT is nested deeper than ", kDepthMax);
  }
  if (json.is_object()) {
    for (auto member = json.begin(); member != json.end(); ++member) {
      names->insert(member.key());  // the text lives in `json`
      ARROW_RETURN_NOT_OK(CollectNames(*member, depth + 1, names));
    }
  } else if (json.is_array()) {
    for (const Json& element : json) {
      ARROW_RETURN_NOT_OK(CollectNames(element, depth + 1, names));
    }
  }
  return arrow::Status::OK();
}

void PutInteger(int64_t number, std::string* out) {
  auto fits = [number]<typename T>(T) {
    return number >= std::numeric_limits<T>::min() &&
           number <= std::numeric_limits<T>::max();
  };
  const auto bits = static_cast<uint64_t>(number);
  if (fits(int8_t{})) {
    PutHeader(kPrimitive, kInt8, out);
    PutLittleEndian(bits, 1, out);
  } else if (fits(int16_t{})) {
    PutHeader(kPrimitive, kInt16, out);
    PutLittleEndian(bits, 2, out);
  } else if (fits(int32_t{})) {
    PutHeader(kPrimitive, kInt32, out);
    PutLittleEndian(bits, 4, out);
  } else {
    PutHeader(kPrimitive, kInt64, out);
    PutLittleEndian(bits, 8, out);
  }
}

void PutText(const std::string& text, std::string* out) {
  if (text.size() <= kShortTextBytesMax) {
    PutHeader(kShortString, static_cast<uint8_t>(text.size()), out);
  } else {
    PutHeader(kPrimitive, kLongString, out);
    PutLittleEndian(text.size(), 4, out);
  }
  *out += text;
}

void PutValue(const Json& json, const Names& names, std::string* out);

/// The end offsets of `values` and then the values themselves.
void PutElements(const std::vector<std::string>& values, int offset_width,
                 std::string* out) {
  uint64_t offset = 0;
  PutLittleEndian(offset, offset_width, out);
  for (const std::string& value : values) {
    PutLittleEndian(offset += value.size(), offset_width, out);
  }
  for (const std::string& value : values) *out += value;
}

uint64_t TotalSize(const std::vector<std::string>& values) {
  uint64_t total = 0;
  for (const std::string& value : values) total += value.size();
  return total;
}

void PutObject(const Json& json, const Names& names, std::string* out) {
  std::vector<uint32_t> ids;  // by name, as nlohmann keeps them and the format wants them
  std::vector<std::string> values;
  for (auto member = json.begin(); member != json.end(); ++member) {
    ids.push_back(names.at(member.key()));
    PutValue(*member, names, &values.emplace_back());
  }
  const bool large = ids.size() > kSmallCountMax;
  const int id_width = WidthOf(names.size());
  const int offset_width = WidthOf(TotalSize(values));
  PutHeader(kObject,
            static_cast<uint8_t>((large ? 1 << 4 : 0) | (id_width - 1) << 2 |
                                 (offset_width - 1)),
            out);
  PutLittleEndian(ids.size(), large ? 4 : 1, out);
  for (uint32_t id : ids) PutLittleEndian(id, id_width, out);
  PutElements(values, offset_width, out);
}

void PutArray(const Json& json, const Names& names, std::string* out) {
  std::vector<std::string> values;
  for (const Json& element : json) PutValue(element, names, &values.emplace_back());
  const bool large = values.size() > kSmallCountMax;
  const int offset_width = WidthOf(TotalSize(values));
  PutHeader(kArray, static_cast<uint8_t>((large ? 1 << 2 : 0) | (offset_width - 1)), out);
  PutLittleEndian(values.size(), large ? 4 : 1, out);
  PutElements(values, offset_width, out);
}

void PutNumber(const Json& json, std::string* out) {
  if (json.is_number_float()) {
    PutHeader(kPrimitive, kDoubleType, out);
    PutLittleEndian(std::bit_cast<uint64_t>(json.get<double>()), 8, out);
  } else if (json.is_number_unsigned() &&
             json.get<uint64_t>() > std::numeric_limits<int64_t>::max()) {
    PutHeader(kPrimitive, kDecimal16, out);
    PutLittleEndian(0, 1, out);  // scale
    PutLittleEndian(json.get<uint64_t>(), 16, out);
  } else {
    PutInteger(json.get<int64_t>(), out);
  }
}

/// REQUIRES: CollectNames went through `json`, so it is not too deep.
void PutValue(const Json& json, const Names& names, std::string* out) {
  switch (json.type()) {
    case Json::value_t::object:
      return PutObject(json, names, out);
    case Json::value_t::array:
      return PutArray(json, names, out);
    case Json::value_t::string:
      return PutText(json.get_ref<const std::string&>(), out);
    case Json::value_t::boolean:
      return PutHeader(kPrimitive, json.get<bool>() ? kTrue : kFalse, out);
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float:
      return PutNumber(json, out);
    default:
      return PutHeader(kPrimitive, kNull, out);
  }
}

/// `names` must be sorted: the metadata says so.
void PutMetadata(const std::set<std::string_view>& names, std::string* out) {
  uint64_t total = 0;
  for (std::string_view name : names) total += name.size();
  const int width = WidthOf(std::max<uint64_t>(total, names.size()));
  constexpr uint8_t kVersion = 1;
  constexpr uint8_t kSorted = 1 << 4;
  out->push_back(static_cast<char>((width - 1) << 6 | kSorted | kVersion));
  PutLittleEndian(names.size(), width, out);
  uint64_t offset = 0;
  PutLittleEndian(offset, width, out);
  for (std::string_view name : names) PutLittleEndian(offset += name.size(), width, out);
  for (std::string_view name : names) *out += name;
}

}  // namespace

arrow::Status VariantFromJson(std::string_view json, std::string* metadata,
                              std::string* value) {
  if (json.size() > kBytesMax) {
    return Error(ErrorCode::kTooLarge, "VARIANT is larger than the limit: ", json.size());
  }
  const Json parsed = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) {
    return Error(ErrorCode::kBadData, "value is not JSON text in UTF-8");
  }
  std::set<std::string_view> sorted;
  ARROW_RETURN_NOT_OK(CollectNames(parsed, 1, &sorted));
  Names names;
  for (std::string_view name : sorted) {
    names.emplace(name, static_cast<uint32_t>(names.size()));
  }
  metadata->clear();
  value->clear();
  PutMetadata(sorted, metadata);
  PutValue(parsed, names, value);
  return arrow::Status::OK();
}

}  // namespace arrowport::zerobus::encode::internal
