#include "emulator/value_rules.h"

#include <arrow/util/utf8.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace arrowport::emulator {
namespace {

using zerobus::encode::TypeId;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

size_t CountDigits(std::string_view text) {
  return static_cast<size_t>(std::find_if_not(text.begin(), text.end(), IsDigit) -
                             text.begin());
}

template <typename Integer>
bool Within(int64_t value) {
  return value >= std::numeric_limits<Integer>::min() &&
         value <= std::numeric_limits<Integer>::max();
}

bool IsBase64Character(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
         c == '/';
}

}  // namespace

bool IsDecimalText(std::string_view text, int32_t precision, int32_t scale) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  const size_t whole = CountDigits(text);
  if (whole == 0) return false;
  std::string_view digits = text.substr(0, whole);
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  text.remove_prefix(whole);
  size_t fraction = 0;
  if (!text.empty()) {
    if (text[0] != '.') return false;
    text.remove_prefix(1);
    fraction = CountDigits(text);
    if (fraction == 0 || fraction != text.size()) return false;
  }
  return fraction <= static_cast<size_t>(scale) &&
         digits.size() <= static_cast<size_t>(precision - scale);
}

bool IsUtf8(std::string_view text) {
  static const bool kInitialised = [] {
    arrow::util::InitializeUTF8();
    return true;
  }();
  return kInitialised && arrow::util::ValidateUTF8(text);
}

bool IsBase64(std::string_view text) {
  if (text.size() % 4 != 0) return false;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return std::all_of(text.begin(), text.end(), IsBase64Character);
}

bool FitsInteger(TypeId type, int64_t value) {
  switch (type) {
    case TypeId::kTinyInt:
      return Within<int8_t>(value);
    case TypeId::kSmallInt:
      return Within<int16_t>(value);
    case TypeId::kInt:
    case TypeId::kDate:
      return Within<int32_t>(value);
    default:
      return true;
  }
}

void AppendJsonText(std::string_view text, std::string* out) {
  *out += nlohmann::json(text).dump(-1, ' ', false,
                                    nlohmann::json::error_handler_t::replace);
}

}  // namespace arrowport::emulator
