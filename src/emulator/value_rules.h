// Rules of single values that protobuf and Arrow do not check themselves.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "zerobus/encode/table_schema.h"

namespace arrowport::emulator {

/// Plain decimal text (sign, digits, point, digits; no exponent) with at most `scale`
/// digits behind the point and `precision - scale` significant ones before it.
bool IsDecimalText(std::string_view text, int32_t precision, int32_t scale);

bool IsUtf8(std::string_view text);

/// Strict base64 (RFC 4648, 4), padded.
bool IsBase64(std::string_view text);

/// Whether an integer fits a TINYINT, SMALLINT, INT or DATE; true for other types.
bool FitsInteger(zerobus::encode::TypeId type, int64_t value);

/// `text` as a JSON string.
void AppendJsonText(std::string_view text, std::string* out);

}  // namespace arrowport::emulator
