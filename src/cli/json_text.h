// Arrow values as JSON text: what `--output-format json` writes, and CSV for types that
// have no CSV form.
#pragma once

#include <arrow/array.h>
#include <arrow/record_batch.h>

#include <cstdint>
#include <string>

namespace arrowport::cli {

/// Appends the value: numbers and booleans plain, NaN and infinities null, binary as
/// base64, dates and times as ISO text, decimals and anything else as text, lists as
/// arrays, structs and maps as objects.
void AppendJson(const arrow::Array& array, int64_t row, std::string* out);

/// One row as an object.
void AppendJsonRow(const arrow::RecordBatch& batch, int64_t row, std::string* out);

/// Text of a value for a table or a text file; not for nulls.
std::string PlainText(const arrow::Array& array, int64_t row);

}  // namespace arrowport::cli
