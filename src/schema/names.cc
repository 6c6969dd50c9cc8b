#include "schema/names.h"

#include <arrow/util/utf8.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"

namespace arrowport::schema {
namespace {

constexpr std::array<std::string_view, 2> kReservedSchemas = {"delta", "_arrowport"};
constexpr size_t kShownBytesMax = 64;

/// `name` as it may stand in a message or a log line: short, no control bytes.
std::string Shown(std::string_view name) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string shown = "\"";
  for (unsigned char c : name.substr(0, kShownBytesMax)) {
    if (c < 0x20 || c >= 0x7f) {
      shown += "\\x";
      shown += kHex[c >> 4];
      shown += kHex[c & 15];
    } else {
      shown += static_cast<char>(c);
    }
  }
  shown += name.size() > kShownBytesMax ? "...\"" : "\"";
  return shown;
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

/// Unicode category Cc: U+0000-U+001F, U+007F-U+009F. REQUIRES: valid UTF-8.
bool HasControlCharacter(std::string_view name) {
  for (size_t i = 0; i < name.size(); ++i) {
    auto c = static_cast<unsigned char>(name[i]);
    if (c < 0x20 || c == 0x7f) return true;
    if (c == 0xc2 && static_cast<unsigned char>(name[i + 1]) < 0xa0) return true;
  }
  return false;
}

arrow::Status CheckName(std::string_view kind, std::string_view name, int64_t bytes_max) {
  if (name.empty()) {
    return Error(ErrorCode::kInvalidName, "name is empty: ", kind);
  }
  if (static_cast<int64_t>(name.size()) > bytes_max) {
    return Error(ErrorCode::kInvalidName, "name is longer than ", bytes_max,
                 " bytes: ", kind, " ", Shown(name), " has ", name.size());
  }
  if (name.find('\0') != name.npos) {
    return Error(ErrorCode::kInvalidName, "name contains NUL: ", kind, " ", Shown(name));
  }
  arrow::util::InitializeUTF8();
  if (!arrow::util::ValidateUTF8(name)) {
    return Error(ErrorCode::kInvalidName, "name is not valid UTF-8: ", kind, " ",
                 Shown(name));
  }
  return {};
}

/// The further rules of stream names and routed tables.
arrow::Status CheckRoutedName(std::string_view kind, std::string_view name,
                              int64_t bytes_max) {
  ARROW_RETURN_NOT_OK(CheckName(kind, name, bytes_max));
  if (HasControlCharacter(name)) {
    return Error(ErrorCode::kInvalidName, "name contains a control character: ", kind,
                 " ", Shown(name));
  }
  if (name.find_first_of("/\\") != name.npos) {
    return Error(ErrorCode::kInvalidName, "name contains '/' or '\\': ", kind, " ",
                 Shown(name));
  }
  size_t dot = name.find('.');
  if (dot == name.npos) return {};
  if (name.find('.', dot + 1) != name.npos) {
    return Error(ErrorCode::kInvalidName,
                 "name has more than one dot (one splits schema and table): ", kind, " ",
                 Shown(name));
  }
  if (dot == 0 || dot + 1 == name.size()) {
    return Error(ErrorCode::kInvalidName,
                 "name has nothing on one side of its dot: ", kind, " ", Shown(name));
  }
  return {};
}

std::string Quote(std::string_view text, char quote) {
  std::string quoted;
  quoted.reserve(text.size() + 2);
  quoted += quote;
  for (char c : text) {
    if (c == quote) quoted += quote;
    quoted += c;
  }
  quoted += quote;
  return quoted;
}

}  // namespace

std::string TableName::ToString() const {
  return schema == "main" ? table : schema + "." + table;
}

std::string TableName::Quoted() const {
  return QuoteIdentifier(schema) + "." + QuoteIdentifier(table);
}

arrow::Result<TableName> ParseRoutedTable(std::string_view name, int64_t bytes_max) {
  ARROW_RETURN_NOT_OK(CheckRoutedName("table", name, bytes_max));
  TableName parsed;
  size_t dot = name.find('.');
  if (dot == name.npos) {
    parsed.table = name;
    return parsed;
  }
  parsed.schema = name.substr(0, dot);
  parsed.table = name.substr(dot + 1);
  // The engine ignores ASCII case in names; "Main.t" and "t" must be one table here too.
  if (EqualsIgnoringCase(parsed.schema, "main")) parsed.schema = "main";
  for (std::string_view reserved : kReservedSchemas) {
    if (EqualsIgnoringCase(parsed.schema, reserved)) {
      return Error(ErrorCode::kInvalidName, "schema name is reserved: ", reserved);
    }
  }
  return parsed;
}

arrow::Status CheckStreamName(std::string_view name, int64_t bytes_max) {
  return CheckRoutedName("stream", name, bytes_max);
}

arrow::Status CheckColumnName(std::string_view name, int64_t bytes_max) {
  return CheckName("column", name, bytes_max);
}

std::string QuoteIdentifier(std::string_view name) { return Quote(name, '"'); }

std::string QuoteLiteral(std::string_view text) { return Quote(text, '\''); }

}  // namespace arrowport::schema
