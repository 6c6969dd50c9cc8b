// Names of streams, tables and columns: what is allowed and how they are written in SQL.
// Rules: any UTF-8 without NUL, 1-255 bytes. Stream names and routed tables besides: no
// control characters, '/' or '\'; at most one dot, which splits schema and table.
#pragma once

#include <arrow/result.h>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace arrowport::schema {

/// A table of one catalog; `schema` is never empty ("main" is the default one).
struct TableName {
  std::string schema = "main";
  std::string table;

  auto operator<=>(const TableName&) const = default;
  bool operator==(const TableName&) const = default;

  /// "table" in the default schema, else "schema.table": for people, logs and replies.
  std::string ToString() const;
  /// "\"schema\".\"table\"": for SQL.
  std::string Quoted() const;
};

/// A routed name: one dot splits. Errors: kInvalidName (with what is wrong), also for the
/// reserved schemas `delta` and `_arrowport`.
arrow::Result<TableName> ParseRoutedTable(std::string_view name, int64_t bytes_max = 255);

/// Errors: kInvalidName.
arrow::Status CheckStreamName(std::string_view name, int64_t bytes_max = 255);
arrow::Status CheckColumnName(std::string_view name, int64_t bytes_max = 255);

/// `name` in double quotes, inner quotes doubled. REQUIRES: a checked name.
std::string QuoteIdentifier(std::string_view name);
/// `text` in single quotes, inner quotes doubled.
std::string QuoteLiteral(std::string_view text);

}  // namespace arrowport::schema
