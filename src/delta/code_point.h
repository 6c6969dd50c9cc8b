#pragma once

#include <cstdint>
#include <string_view>

namespace arrowport::delta {

/// The code point at the front of `text` and its bytes; 0 bytes when it is not UTF-8 (or
/// `text` is empty). Overlong forms and surrogates are not UTF-8.
struct CodePoint {
  uint32_t value = 0;
  int bytes = 0;
};
CodePoint DecodeCodePoint(std::string_view text);

bool IsUtf8(std::string_view text);

}  // namespace arrowport::delta
