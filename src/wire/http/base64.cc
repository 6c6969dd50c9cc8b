#include "wire/http/base64.h"

#include <array>

#include "base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace arrowport::wire::http {
namespace {

constexpr uint8_t kInvalid = 0xff;

constexpr std::array<uint8_t, 256> MakeTable() {
  std::array<uint8_t, 256> table{};
  table.fill(kInvalid);
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    table[static_cast<uint8_t>(kAlphabet[i])] = static_cast<uint8_t>(i);
  }
  return table;
}
constexpr std::array<uint8_t, 256> kTable = MakeTable();

/// Decodes whole groups of four valid characters; returns how many characters.
size_t DecodePlain(const char* text, size_t size, uint8_t* out) {
  size_t taken = 0;
  for (; size - taken >= 4; taken += 4, out += 3) {
    const uint32_t a = kTable[static_cast<uint8_t>(text[taken])];
    const uint32_t b = kTable[static_cast<uint8_t>(text[taken + 1])];
    const uint32_t c = kTable[static_cast<uint8_t>(text[taken + 2])];
    const uint32_t d = kTable[static_cast<uint8_t>(text[taken + 3])];
    if (((a | b | c | d) & 0x80) != 0) break;  // kInvalid
    const uint32_t group = a << 18 | b << 12 | c << 6 | d;
    out[0] = static_cast<uint8_t>(group >> 16);
    out[1] = static_cast<uint8_t>(group >> 8);
    out[2] = static_cast<uint8_t>(group);
  }
  return taken;
}

#if defined(__x86_64__)
// Technique: Mula and Lemire, "Faster Base64 Encoding and Decoding Using AVX2
// Instructions" (2018). A character's high nibble h and low nibble l index two tables of
// bit sets that share a bit exactly when no character of the alphabet has that pair; a
// third table holds, by h, what must be added to get the 6-bit value ('/' uses the entry
// of h - 1). Two multiply-adds then pack four values into three bytes.
#define ARROWPORT_LOW_SETS                                                            \
  0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, \
      0x1b, 0x1a
#define ARROWPORT_HIGH_SETS                                                           \
  0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, \
      0x10, 0x10
#define ARROWPORT_SHIFTS 0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0
#define ARROWPORT_PACK 2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1

__attribute__((target("avx2"))) size_t DecodeAvx2(const char* text, size_t size,
                                                  uint8_t* out) {
  const __m256i low_sets = _mm256_setr_epi8(ARROWPORT_LOW_SETS, ARROWPORT_LOW_SETS);
  const __m256i high_sets = _mm256_setr_epi8(ARROWPORT_HIGH_SETS, ARROWPORT_HIGH_SETS);
  const __m256i shifts = _mm256_setr_epi8(ARROWPORT_SHIFTS, ARROWPORT_SHIFTS);
  const __m256i pack = _mm256_setr_epi8(ARROWPORT_PACK, ARROWPORT_PACK);
  const __m256i join = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7);
  const __m256i nibble = _mm256_set1_epi8(0x0f);
  size_t taken = 0;
  for (; size - taken >= 32; taken += 32, out += 24) {
    const __m256i in = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text + taken));
    const __m256i high = _mm256_and_si256(_mm256_srli_epi32(in, 4), nibble);
    const __m256i low = _mm256_and_si256(in, nibble);
    if (!_mm256_testz_si256(_mm256_shuffle_epi8(low_sets, low),
                            _mm256_shuffle_epi8(high_sets, high))) {
      break;
    }
    const __m256i slash = _mm256_cmpeq_epi8(in, _mm256_set1_epi8('/'));
    const __m256i values =
        _mm256_add_epi8(in, _mm256_shuffle_epi8(shifts, _mm256_add_epi8(high, slash)));
    const __m256i pairs = _mm256_maddubs_epi16(values, _mm256_set1_epi32(0x01400140));
    const __m256i groups = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
    const __m256i bytes =
        _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(groups, pack), join);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), bytes);
  }
  return taken;
}

__attribute__((target("sse4.1"))) size_t DecodeSse(const char* text, size_t size,
                                                   uint8_t* out) {
  const __m128i low_sets = _mm_setr_epi8(ARROWPORT_LOW_SETS);
  const __m128i high_sets = _mm_setr_epi8(ARROWPORT_HIGH_SETS);
  const __m128i shifts = _mm_setr_epi8(ARROWPORT_SHIFTS);
  const __m128i pack = _mm_setr_epi8(ARROWPORT_PACK);
  const __m128i nibble = _mm_set1_epi8(0x0f);
  size_t taken = 0;
  for (; size - taken >= 16; taken += 16, out += 12) {
    const __m128i in = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + taken));
    const __m128i high = _mm_and_si128(_mm_srli_epi32(in, 4), nibble);
    const __m128i low = _mm_and_si128(in, nibble);
    if (!_mm_testz_si128(_mm_shuffle_epi8(low_sets, low),
                         _mm_shuffle_epi8(high_sets, high))) {
      break;
    }
    const __m128i slash = _mm_cmpeq_epi8(in, _mm_set1_epi8('/'));
    const __m128i values =
        _mm_add_epi8(in, _mm_shuffle_epi8(shifts, _mm_add_epi8(high, slash)));
    const __m128i pairs = _mm_maddubs_epi16(values, _mm_set1_epi32(0x01400140));
    const __m128i groups = _mm_madd_epi16(pairs, _mm_set1_epi32(0x00011000));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(groups, pack));
  }
  return taken;
}

#undef ARROWPORT_LOW_SETS
#undef ARROWPORT_HIGH_SETS
#undef ARROWPORT_SHIFTS
#undef ARROWPORT_PACK
#endif

/// The valid groups at the front of `text`; may write up to 16 bytes more than it
/// decodes.
size_t DecodeGroups(const char* text, size_t size, uint8_t* out) {
  size_t taken = 0;
#if defined(__x86_64__)
  static const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
  static const bool has_sse = __builtin_cpu_supports("sse4.1") != 0;
  if (has_avx2) {
    taken = DecodeAvx2(text, size, out);
  } else if (has_sse) {
    taken = DecodeSse(text, size, out);
  }
#endif
  return taken + DecodePlain(text + taken, size - taken, out + taken / 4 * 3);
}

}  // namespace

arrow::Status Base64Decoder::TakeOne(char c, uint8_t* out, size_t* written) {
  const uint8_t value = kTable[static_cast<uint8_t>(c)];
  const bool padding = c == '=' && group_chars_ >= 2;
  if (finished_ || (padding_ > 0 && !padding) || (value == kInvalid && !padding)) {
    return Error(
        ErrorCode::kBadData,
        "not base64 of the standard alphabet with padding, at character: ", offset_);
  }
  ++offset_;
  group_ = group_ << 6 | (padding ? 0 : value);
  padding_ += padding ? 1 : 0;
  if (++group_chars_ < 4) return {};
  for (int i = 0; i < 3 - padding_; ++i) {
    out[(*written)++] = static_cast<uint8_t>(group_ >> (16 - 8 * i));
  }
  finished_ = padding_ > 0;
  group_ = 0;
  group_chars_ = 0;
  return {};
}

arrow::Status Base64Decoder::Decode(std::string_view text, uint8_t* out,
                                    size_t* written) {
  size_t at = 0;
  while (at < text.size()) {
    if (group_chars_ == 0 && !finished_) {
      const size_t taken =
          DecodeGroups(text.data() + at, text.size() - at, out + *written);
      at += taken;
      offset_ += taken;
      *written += taken / 4 * 3;
      if (at == text.size()) break;
    }
    ARROW_RETURN_NOT_OK(TakeOne(text[at++], out, written));
  }
  return {};
}

arrow::Status Base64Decoder::End() const {
  if (group_chars_ == 0) return {};
  return Error(
      ErrorCode::kBadData,
      "base64 text is cut inside a group (padding missing?), characters: ", offset_);
}

}  // namespace arrowport::wire::http
