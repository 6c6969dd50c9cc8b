#include "zerobus/encode/json_text.h"

#include <arrow/util/utf8.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <new>
#include <utility>

namespace arrowport::zerobus::encode::internal {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr size_t kWord = sizeof(uint64_t);
constexpr size_t kEscapeBytesMax = 6;
constexpr size_t kCapacityMin = 4096;
constexpr uint64_t kOnes = 0x0101010101010101;
constexpr uint64_t kHighBits = 0x80 * kOnes;

inline uint64_t Load(const char* from) {
  uint64_t word;
  std::memcpy(&word, from, kWord);
  return word;
}

/// The same of fewer than eight bytes, and letters after them. Reads nothing beyond.
inline uint64_t LoadPart(const char* from, size_t size) {
  uint64_t word;
  if (size >= 4) {
    uint32_t head, tail;
    std::memcpy(&head, from, 4);
    std::memcpy(&tail, from + size - 4, 4);
    word = head | uint64_t{tail} << (8 * (size - 4));
  } else {
    auto byte = [from](size_t i) { return uint64_t{static_cast<uint8_t>(from[i])}; };
    word = byte(0) | byte(size / 2) << (8 * (size / 2)) | byte(size - 1) << (8 * (size - 1));
  }
  return word | 'a' * kOnes << (8 * size);
}

/// The high bit of bytes that are zero. Above the first one others may be wrong.
inline uint64_t ZeroBytes(uint64_t word) { return (word - kOnes) & ~word & kHighBits; }

/// The high bit of bytes that cannot be copied; the first is right. `foreign`: the high
/// bits, or 0 when bytes that are not ASCII are as good as others.
inline uint64_t SpecialBytes(uint64_t word, uint64_t foreign) {
  const uint64_t control = (word - 0x20 * kOnes) & ~word & kHighBits;
  return control | ZeroBytes(word ^ '"' * kOnes) | ZeroBytes(word ^ '\\' * kOnes) |
         (word & foreign);
}

char* WriteEscaped(char c, char* at) {
  static constexpr char kHex[] = "0123456789abcdef";
  *at++ = '\\';
  switch (c) {
    case '"':
    case '\\':
      *at++ = c;
      return at;
    case '\n':
      *at++ = 'n';
      return at;
    case '\r':
      *at++ = 'r';
      return at;
    case '\t':
      *at++ = 't';
      return at;
    default:
      std::memcpy(at, "u00", 3);
      at[3] = kHex[(c >> 4) & 0xf];
      at[4] = kHex[c & 0xf];
      return at + 5;
  }
}

}  // namespace

JsonText::JsonText(size_t row_bytes_max) : row_bytes_max_(row_bytes_max) {
  arrow::util::InitializeUTF8();
}

void JsonText::Grow(size_t bytes) {
  const size_t used = size();
  const size_t wanted = std::max({used + bytes, 2 * used, kCapacityMin});
  if (!buffer_) {
    auto made = arrow::AllocateResizableBuffer(static_cast<int64_t>(wanted));
    if (!made.ok()) throw std::bad_alloc();
    buffer_ = std::move(made).ValueUnsafe();
  } else if (!buffer_->Resize(static_cast<int64_t>(wanted), false).ok()) {
    throw std::bad_alloc();
  }
  begin_ = reinterpret_cast<char*>(buffer_->mutable_data());
  at_ = begin_ + used;
  end_ = begin_ + wanted;
}

std::shared_ptr<arrow::Buffer> JsonText::Finish() {
  if (!buffer_) Grow(0);
  // Who keeps the text would keep the rest too; a little is not worth a copy.
  const auto used = static_cast<int64_t>(size());
  const bool shrink = buffer_->capacity() - used > used / 4;
  if (!buffer_->Resize(used, shrink).ok()) throw std::bad_alloc();
  std::shared_ptr<arrow::Buffer> text = std::move(buffer_);
  *this = JsonText(row_bytes_max_);
  return text;
}

// Eight bytes at a time are copied, and looked at: most need nothing else. The first byte
// that is not ASCII has all the rest judged at once.
bool JsonText::AppendQuoted(std::string_view text) {
  const char* from = text.data();
  const char* const from_end = from + text.size();
  uint64_t foreign = kHighBits;
  char* at = Reserve(text.size() + 2 * kWord);
  *at++ = '"';
  while (from != from_end) {
    const auto left = static_cast<size_t>(from_end - from);
    const size_t step = std::min(left, kWord);
    const uint64_t word = left >= kWord ? Load(from) : LoadPart(from, left);
    std::memcpy(at, &word, kWord);
    const uint64_t special = SpecialBytes(word, foreign);
    if (special == 0) {
      from += step;
      at += step;
      continue;
    }
    const int clean = std::countr_zero(special) / 8;
    from += clean;
    at += clean;
    if ((*from & 0x80) != 0) {
      if (!arrow::util::ValidateUTF8({from, static_cast<size_t>(from_end - from)})) {
        SetEnd(at);
        return false;
      }
      foreign = 0;
      continue;
    }
    SetEnd(at);
    at = Reserve(static_cast<size_t>(from_end - from) + kEscapeBytesMax + 2 * kWord);
    at = WriteEscaped(*from++, at);
  }
  *at++ = '"';
  SetEnd(at);
  return true;
}

}  // namespace arrowport::zerobus::encode::internal
