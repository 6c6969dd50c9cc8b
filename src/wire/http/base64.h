// Base64 of the standard alphabet (RFC 4648 section 4), decoded as it arrives.
#pragma once

#include <arrow/status.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace arrowport::wire::http {

/// Decodes one text given in pieces cut anywhere. Padding is required, line breaks are
/// not allowed. Not thread-safe.
class Base64Decoder {
 public:
  /// Room `out` must have for a piece: its decoded size and slack for whole vectors.
  static constexpr size_t RoomFor(size_t text_bytes) { return text_bytes / 4 * 3 + 64; }

  /// Writes to `out` and adds to *written. Errors: kBadData naming the offset.
  arrow::Status Decode(std::string_view text, uint8_t* out, size_t* written);
  /// The text is complete. Errors: kBadData when it is cut inside a group.
  arrow::Status End() const;

 private:
  arrow::Status TakeOne(char c, uint8_t* out, size_t* written);

  uint32_t group_ = 0;   ///< bits of the open group
  int group_chars_ = 0;  ///< 0-3 characters of it, padding included
  int padding_ = 0;
  bool finished_ = false;  ///< a padded group was seen: nothing may follow
  uint64_t offset_ = 0;    ///< characters taken
};

}  // namespace arrowport::wire::http
