#include "delta/partition_value.h"

#include <arrow/util/decimal.h>

#include <charconv>
#include <chrono>
#include <limits>
#include <utility>

#include "base/error.h"

namespace arrowport::delta {
namespace {

constexpr int64_t kMicrosPerSecond = 1000000;
constexpr int64_t kSecondsPerDay = 86400;

/// Reads a text from the front; the first mismatch fails it for good.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool done() const { return ok_ && text_.empty(); }
  bool ok() const { return ok_; }

  bool Accept(char c) {
    if (!ok_ || text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  void Expect(char c) { ok_ = Accept(c) && ok_; }
  /// `least` to `most` digits.
  int64_t Digits(size_t least, size_t most) {
    size_t count = 0;
    int64_t value = 0;
    while (count < most && count < text_.size() && text_[count] >= '0' &&
           text_[count] <= '9') {
      value = value * 10 + (text_[count++] - '0');
    }
    if (count < least) ok_ = false;
    text_.remove_prefix(count);
    return value;
  }
  /// Digits behind a decimal point as micros; finer ones are cut.
  int64_t Fraction() {
    int64_t micros = 0, unit = kMicrosPerSecond / 10;
    size_t count = 0;
    for (; !text_.empty() && text_[0] >= '0' && text_[0] <= '9'; ++count, unit /= 10) {
      micros += (text_[0] - '0') * unit;
      text_.remove_prefix(1);
    }
    if (count == 0) ok_ = false;
    return micros;
  }
  void Fail() { ok_ = false; }

 private:
  std::string_view text_;
  bool ok_ = true;
};

int64_t ScanDate(Scanner* scanner) {
  const bool negative = scanner->Accept('-');
  if (!negative) (void)scanner->Accept('+');
  const int64_t year = scanner->Digits(4, 6);
  scanner->Expect('-');
  const int64_t month = scanner->Digits(1, 2);
  scanner->Expect('-');
  const int64_t day = scanner->Digits(1, 2);
  // <chrono> stops at the year 32767; the calendar repeats every 400 years.
  const int64_t signed_year = negative ? -year : year;
  const int64_t cycles = signed_year >= 0 ? signed_year / 400 : -((399 - signed_year) / 400);
  const std::chrono::year_month_day date{
      std::chrono::year(static_cast<int>(signed_year - cycles * 400)),
      std::chrono::month(static_cast<unsigned>(month)),
      std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) {
    scanner->Fail();
    return 0;
  }
  constexpr int64_t kDaysPerCycle = 146097;
  return std::chrono::sys_days(date).time_since_epoch().count() + cycles * kDaysPerCycle;
}

/// Seconds east of UTC.
int64_t ScanOffset(Scanner* scanner) {
  if (scanner->Accept('Z') || scanner->done()) return 0;
  const bool west = scanner->Accept('-');
  if (!west) scanner->Expect('+');
  const int64_t hours = scanner->Digits(1, 2);
  (void)scanner->Accept(':');
  const int64_t minutes = scanner->done() ? 0 : scanner->Digits(2, 2);
  if (hours > 18 || minutes > 59) scanner->Fail();
  const int64_t seconds = hours * 3600 + minutes * 60;
  return west ? -seconds : seconds;
}

template <typename T>
std::optional<T> ParseInteger(std::string_view text) {
  T value{};
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <typename T>
std::optional<T> ParseFloat(std::string_view text) {
  if (text == "NaN") return std::numeric_limits<T>::quiet_NaN();
  if (text == "Infinity" || text == "+Infinity") return std::numeric_limits<T>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<T>::infinity();
  return ParseInteger<T>(text);
}

std::optional<bool> ParseBoolean(std::string_view text) {
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  return std::nullopt;
}

template <typename ScalarType, typename T>
std::shared_ptr<arrow::Scalar> Make(const std::optional<T>& value,
                                    const std::shared_ptr<arrow::DataType>& type) {
  if (!value) return nullptr;
  return std::make_shared<ScalarType>(static_cast<typename ScalarType::ValueType>(*value),
                                      type);
}

std::shared_ptr<arrow::Scalar> ParseDecimal(std::string_view text, const DataType& type,
                                            const std::shared_ptr<arrow::DataType>& arrow) {
  arrow::Decimal128 value;
  int32_t precision = 0, scale = 0;
  if (!arrow::Decimal128::FromString(text, &value, &precision, &scale).ok()) return nullptr;
  const auto rescaled = value.Rescale(scale, type.scale);
  if (!rescaled.ok() || !rescaled->FitsInPrecision(type.precision)) return nullptr;
  return std::make_shared<arrow::Decimal128Scalar>(*rescaled, arrow);
}

/// nullptr when the text is none of the type's.
std::shared_ptr<arrow::Scalar> Parse(const std::string& text, const DataType& type,
                                     const std::shared_ptr<arrow::DataType>& arrow) {
  switch (type.kind) {
    case TypeKind::kString: return std::make_shared<arrow::StringScalar>(text);
    case TypeKind::kBinary:
      return std::make_shared<arrow::BinaryScalar>(arrow::Buffer::FromString(text));
    case TypeKind::kLong:
      return Make<arrow::Int64Scalar>(ParseInteger<int64_t>(text), arrow);
    case TypeKind::kInteger:
      return Make<arrow::Int32Scalar>(ParseInteger<int32_t>(text), arrow);
    case TypeKind::kShort:
      return Make<arrow::Int16Scalar>(ParseInteger<int16_t>(text), arrow);
    case TypeKind::kByte: return Make<arrow::Int8Scalar>(ParseInteger<int8_t>(text), arrow);
    case TypeKind::kFloat: return Make<arrow::FloatScalar>(ParseFloat<float>(text), arrow);
    case TypeKind::kDouble:
      return Make<arrow::DoubleScalar>(ParseFloat<double>(text), arrow);
    case TypeKind::kBoolean: return Make<arrow::BooleanScalar>(ParseBoolean(text), arrow);
    case TypeKind::kDate: return Make<arrow::Date32Scalar>(ParseDateText(text), arrow);
    case TypeKind::kTimestamp:
    case TypeKind::kTimestampNtz:
      return Make<arrow::TimestampScalar>(ParseTimestampText(text), arrow);
    case TypeKind::kDecimal: return ParseDecimal(text, type, arrow);
    default: return nullptr;
  }
}

}  // namespace

std::optional<int64_t> ParseDateText(std::string_view text) {
  Scanner scanner(text);
  const int64_t days = ScanDate(&scanner);
  if (scanner.done()) return days;
  // A date written as the timestamp of its midnight.
  const auto micros = ParseTimestampText(text);
  constexpr int64_t kMicrosPerDay = kSecondsPerDay * kMicrosPerSecond;
  if (!micros || *micros % kMicrosPerDay != 0) return std::nullopt;
  return *micros / kMicrosPerDay;
}

std::optional<int64_t> ParseTimestampText(std::string_view text) {
  Scanner scanner(text);
  int64_t seconds = ScanDate(&scanner) * kSecondsPerDay, micros = 0;
  if (!scanner.done()) {
    if (!scanner.Accept('T')) scanner.Expect(' ');
    const int64_t hours = scanner.Digits(1, 2);
    scanner.Expect(':');
    const int64_t minutes = scanner.Digits(1, 2);
    int64_t second = 0;
    if (scanner.Accept(':')) second = scanner.Digits(1, 2);
    if (scanner.Accept('.')) micros = scanner.Fraction();
    if (hours > 23 || minutes > 59 || second > 59) scanner.Fail();
    seconds += hours * 3600 + minutes * 60 + second - ScanOffset(&scanner);
  }
  int64_t total = 0;
  if (!scanner.done() || __builtin_mul_overflow(seconds, kMicrosPerSecond, &total) ||
      __builtin_add_overflow(total, micros, &total)) {
    return std::nullopt;
  }
  return total;
}

arrow::Result<std::shared_ptr<arrow::Scalar>> ParsePartitionValue(
    const std::optional<std::string>& text, const DataType& type) {
  const auto arrow_type = ToArrowType(type, NameStyle::kLogical);
  if (!text || text->empty() || type.kind == TypeKind::kVoid) {
    return arrow::MakeNullScalar(arrow_type);
  }
  auto scalar = Parse(*text, type, arrow_type);
  if (scalar == nullptr) {
    return Error(ErrorCode::kStorageCorrupt, "malformed partition value: no ",
                 type.ToString(), ": ", text->substr(0, 200));
  }
  return scalar;
}

}  // namespace arrowport::delta
