// Arrow values as text for JSON and CSV results.
#pragma once

#include <arrow/array.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace arrowport::wire::http {

/// Appends the value as JSON (RFC 8259). Integers and finite floats are numbers, exact at
/// any size; decimals, dates, times and intervals (ISO 8601) strings; binary base64;
/// UUIDs in their usual form; NaN and infinities null; structs and maps objects, lists
/// arrays.
void AppendJsonValue(const arrow::Array& array, int64_t row, std::string* out);

/// Appends the value as one CSV field (RFC 4180): null is empty, an empty text is "",
/// nested values are JSON text, NaN and infinities nan, inf, -inf.
void AppendCsvValue(const arrow::Array& array, int64_t row, std::string* out);

/// `text` in double quotes, escaped.
void AppendJsonString(std::string_view text, std::string* out);
/// `text` as a CSV field, quoted when needed (empty text is quoted).
void AppendCsvString(std::string_view text, std::string* out);

}  // namespace arrowport::wire::http
