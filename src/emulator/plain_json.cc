#include "emulator/plain_json.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "emulator/value_rules.h"

namespace arrowport::emulator {
namespace {

using zerobus::encode::TableColumn;
using zerobus::encode::TableType;
using zerobus::encode::TypeId;

constexpr size_t kDigitsMax = 18;    // always an int64
constexpr size_t kNumberMax = 40;    // with an exponent of two digits always a double
constexpr size_t kColumnsMax = 512;  // more: not plain

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

/// The tokens of one row. Each method is false when the next token is another.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : at_(text.data()), end_(at_ + text.size()) {}

  bool done() const { return at_ == end_; }
  /// `c`, and a space behind it.
  bool Take(char c) {
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    if (at_ != end_ && *at_ == ' ') ++at_;
    return true;
  }
  bool Word(std::string_view word) {
    if (!std::string_view(at_, static_cast<size_t>(end_ - at_)).starts_with(word)) {
      return false;
    }
    at_ += word.size();
    return true;
  }
  /// A string without escapes; without its quotes.
  bool Text(std::string_view* text) {
    if (at_ == end_ || *at_ != '"') return false;
    const char* begin = ++at_;
    while (at_ != end_ && *at_ != '"') {
      if (*at_ == '\\' || static_cast<unsigned char>(*at_) < 0x20) return false;
      ++at_;
    }
    if (at_ == end_) return false;
    *text = {begin, static_cast<size_t>(at_++ - begin)};
    return true;
  }
  /// An integer that is written as it would be written again.
  bool Integer(std::string_view* text) {
    const char* begin = at_;
    if (at_ != end_ && *at_ == '-') ++at_;
    const char* digits = at_;
    Digits();
    const auto count = static_cast<size_t>(at_ - digits);
    const bool negative = digits != begin;
    if (count == 0 || count > kDigitsMax) return false;
    if (*digits == '0' && (count > 1 || negative)) return false;
    *text = {begin, static_cast<size_t>(at_ - begin)};
    return true;
  }
  bool Number() {
    const char* begin = at_;
    if (at_ != end_ && *at_ == '-') ++at_;
    const char* digits = at_;
    Digits();
    if (at_ == digits || (*digits == '0' && at_ - digits > 1)) return false;
    if (at_ != end_ && *at_ == '.') {
      const char* fraction = ++at_;
      Digits();
      if (at_ == fraction) return false;
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (at_ != end_ && (*at_ == '-' || *at_ == '+')) ++at_;
      const char* exponent = at_;
      Digits();
      if (at_ == exponent || at_ - exponent > 2) return false;
    }
    return static_cast<size_t>(at_ - begin) <= kNumberMax;
  }

 private:
  void Digits() {
    while (at_ != end_ && IsDigit(*at_)) ++at_;
  }

  const char* at_;
  const char* end_;
};

bool IsGoodText(std::string_view text, const TableType& type) {
  switch (type.id) {
    case TypeId::kString:
      return IsUtf8(text);
    case TypeId::kDecimal:
      return IsDecimalText(text, type.precision, type.scale);
    case TypeId::kBinary:
      return IsBase64(text);
    default:
      return false;
  }
}

bool TakeInteger(Cursor* cursor, const TableType& type, std::string_view* text) {
  if (!cursor->Integer(text)) return false;
  int64_t value = 0;
  std::from_chars(text->data(), text->data() + text->size(), value);
  return FitsInteger(type.id, value);
}

/// `id` becomes the JSON text of the value; empty when it would have to be made.
bool TakeValue(Cursor* cursor, const TableType& type, std::string_view* id) {
  std::string_view text;
  *id = {};
  switch (type.id) {
    case TypeId::kTinyInt:
    case TypeId::kSmallInt:
    case TypeId::kInt:
    case TypeId::kDate:
    case TypeId::kBigInt:
    case TypeId::kTimestamp:
    case TypeId::kTimestampNtz:
      return TakeInteger(cursor, type, id);
    case TypeId::kFloat:
    case TypeId::kDouble:
      return cursor->Number();
    case TypeId::kBoolean:
      return cursor->Word("true") || cursor->Word("false");
    case TypeId::kDecimal:
    case TypeId::kString:
    case TypeId::kBinary:
      if (!cursor->Text(&text) || !IsGoodText(text, type)) return false;
      *id = {text.data() - 1, text.size() + 2};  // the quotes are there
      return true;
    default:
      return false;
  }
}

/// Columns mostly come in order, so the one behind the last is looked at first.
const TableColumn* Find(const std::vector<TableColumn>& columns, std::string_view name,
                        size_t* next) {
  if (*next < columns.size() && columns[*next].name == name) return &columns[(*next)++];
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name != name) continue;
    *next = i + 1;
    return &columns[i];
  }
  return nullptr;
}

}  // namespace

PlainJsonRows::PlainJsonRows(std::shared_ptr<const Table> table,
                             const std::string& id_column)
    : table_(std::move(table)), id_column_(id_column) {}

bool PlainJsonRows::Accepts(std::string_view row, std::string* ids) const {
  const std::vector<TableColumn>& columns = table_->schema.columns();
  if (columns.size() > kColumnsMax) return false;
  uint64_t seen[kColumnsMax / 64] = {};
  std::string_view row_id = "null";
  Cursor cursor(row);
  if (!cursor.Take('{')) return false;
  size_t next = 0;
  do {
    std::string_view name;
    if (!cursor.Text(&name) || !cursor.Take(':')) return false;
    const TableColumn* column = Find(columns, name, &next);
    if (!column) return false;
    const auto index = static_cast<size_t>(column - columns.data());
    uint64_t& word = seen[index / 64];
    const uint64_t bit = uint64_t{1} << (index % 64);
    if (word & bit) return false;
    word |= bit;
    std::string_view id = "null";
    if (cursor.Word("null")) {
      if (!column->nullable) return false;
    } else if (!TakeValue(&cursor, column->type, &id)) {
      return false;
    }
    if (name == id_column_) {
      if (id.empty()) return false;
      row_id = id;
    }
  } while (cursor.Take(','));
  if (!cursor.Take('}') || !cursor.done()) return false;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (!columns[i].nullable && (seen[i / 64] >> (i % 64) & 1) == 0) return false;
  }
  *ids += row_id;
  return true;
}

}  // namespace arrowport::emulator
