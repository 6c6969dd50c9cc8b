// JSON text to the binary form of VARIANT: a dictionary of member names (metadata) and a
// value that refers to it. Format: Variant Binary Encoding, version 1, of Apache Parquet
// (https://github.com/apache/parquet-format/blob/master/VariantEncoding.md).
#pragma once

#include <arrow/status.h>

#include <string>
#include <string_view>

namespace arrowport::zerobus::encode::internal {

/// Integers take the smallest width that holds them (beyond 64 bits signed: decimal),
/// other numbers are doubles. Errors: kBadData when `json` is no JSON text in UTF-8 or is
/// nested deeper than 100; kTooLarge above 128 MiB, the limit of the format's users.
arrow::Status VariantFromJson(std::string_view json, std::string* metadata,
                              std::string* value);

}  // namespace arrowport::zerobus::encode::internal
