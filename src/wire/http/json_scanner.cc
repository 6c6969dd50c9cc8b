#include "wire/http/json_scanner.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace arrowport::wire::http {
namespace {

constexpr size_t kNestingMax = 64;
constexpr size_t kKeyBytesMax = 1024;
constexpr size_t kScalarBytesMax = 512;
constexpr size_t kCaptureBytesMax = 8 << 20;

/// Offset of the first '"' or '\' in `text`, or its size.
size_t FindTextEnd(std::string_view text) {
  size_t at = 0;
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  for (; text.size() - at >= 16; at += 16) {
    const __m128i in =
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
    const int hits = _mm_movemask_epi8(
        _mm_or_si128(_mm_cmpeq_epi8(in, quote), _mm_cmpeq_epi8(in, backslash)));
    if (hits != 0) return at + static_cast<size_t>(__builtin_ctz(hits));
  }
#endif
  while (at < text.size() && text[at] != '"' && text[at] != '\\') ++at;
  return at;
}

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool EndsScalar(char c) { return IsSpace(c) || c == ',' || c == ']' || c == '}'; }

/// The text that a JSON string (without its quotes) stands for.
arrow::Result<std::string> Unescape(const std::string& raw) {
  const auto value = nlohmann::json::parse('"' + raw + '"', nullptr, false);
  if (!value.is_string()) return Error(ErrorCode::kBadData, "bad text in JSON");
  return value.get<std::string>();
}

}  // namespace

arrow::Status JsonUploadScanner::Bad(std::string_view what) const {
  return Error(ErrorCode::kBadData, "the JSON body is not as expected: ", what,
               ", at byte: ", offset_);
}

arrow::Status JsonUploadScanner::Consume(std::string_view text) {
  size_t at = 0;
  const uint64_t start = offset_;
  while (at < text.size()) {
    offset_ = start + at;
    const char c = text[at];
    switch (lex_) {
      case Lex::kNone:
        ARROW_RETURN_NOT_OK(TakeStructure(c));
        ++at;
        break;
      case Lex::kString: {
        const size_t run = FindTextEnd(text.substr(at));
        if (run > 0) ARROW_RETURN_NOT_OK(TakeText(text.substr(at, run)));
        at += run;
        if (at == text.size()) break;
        if (text[at] == '"') {
          ARROW_RETURN_NOT_OK(EndText());
        } else {
          lex_ = Lex::kEscape;
        }
        ++at;
        break;
      }
      case Lex::kEscape:
        ARROW_RETURN_NOT_OK(TakeEscape(c));
        ++at;
        break;
      case Lex::kUnicode:
        ARROW_RETURN_NOT_OK(TakeUnicode(c));
        ++at;
        break;
      case Lex::kScalar:
        if (EndsScalar(c)) {
          ARROW_RETURN_NOT_OK(EndScalar());  // `c` is read again as structure
        } else if (small_.size() >= kScalarBytesMax) {
          return Bad("a number is too long");
        } else {
          small_.push_back(c);
          ++at;
        }
        break;
    }
  }
  offset_ = start + text.size();
  return {};
}

arrow::Status JsonUploadScanner::End() const {
  if (expect_ == Expect::kNothing) return {};
  return Error(ErrorCode::kIncompleteStream,
               "the JSON body ends before its end, after bytes: ", offset_);
}

arrow::Status JsonUploadScanner::TakeStructure(char c) {
  if (IsSpace(c)) return {};
  switch (expect_) {
    case Expect::kFirstValue:
      if (c == ']') return Close(c);
      return BeginValue(c);
    case Expect::kValue:
      return BeginValue(c);
    case Expect::kFirstKey:
      if (c == '}') return Close(c);
      [[fallthrough]];
    case Expect::kKey:
      if (c != '"') return Bad("a key should stand here");
      key_.clear();
      text_ = Text::kKey;
      lex_ = Lex::kString;
      return Keep("\"");
    case Expect::kColon:
      if (c != ':') return Bad("a colon should stand here");
      expect_ = Expect::kValue;
      return Keep(":");
    case Expect::kMore:
      if (c == '}' || c == ']') return Close(c);
      if (c != ',') return Bad("a comma should stand here");
      expect_ = stack_.back() == '{' ? Expect::kKey : Expect::kValue;
      return Keep(",");
    case Expect::kNothing:
      break;
  }
  return Bad("something follows the end");
}

arrow::Status JsonUploadScanner::BeginValue(char c) {
  text_ = Text::kOther;
  if (capture_ == Capture::kNone) ARROW_RETURN_NOT_OK(BeginKnownValue(c));
  if (c == '"') {
    lex_ = Lex::kString;
    return Keep("\"");
  }
  if (c == '{' || c == '[') return Open(c);
  if (c != '-' && !(c >= '0' && c <= '9') && c != 't' && c != 'f' && c != 'n') {
    return Bad("a value should stand here");
  }
  lex_ = Lex::kScalar;
  small_.assign(1, c);
  return {};
}

arrow::Status JsonUploadScanner::BeginKnownValue(char c) {
  if (stack_.empty()) {
    return c == '{' ? arrow::Status::OK() : Bad("an object should stand here");
  }
  if (stack_.size() == 1) {
    if (top_key_ == "config") return BeginCapture(Capture::kConfig, c, &config_seen_);
    if (shape_ == JsonShape::kDelta) {
      if (top_key_ == "delta_options") {
        return BeginCapture(Capture::kDeltaOptions, c, &delta_options_seen_);
      }
      ARROW_RETURN_NOT_OK(BeginBatchValue(top_key_, c));
    }
    if (top_key_ != "batch") return {};
    if (std::exchange(batch_seen_, true)) return Bad("batch is given twice");
    return c == '{' ? arrow::Status::OK() : Bad("batch is not an object");
  }
  if (stack_.size() != 2 || top_key_ != "batch" || stack_ != "{{") return {};
  return BeginBatchValue(batch_key_, c);
}

arrow::Status JsonUploadScanner::BeginBatchValue(const std::string& key, char c) {
  if (key == "arrow_schema") {
    return BeginCapture(Capture::kArrowSchema, c, &schema_seen_);
  }
  if (key != "data") return {};
  if (std::exchange(data_seen_, true)) return Bad("batch.data is given twice");
  if (c != '"') return Bad("batch.data is not text");
  text_ = Text::kData;
  return {};
}

arrow::Status JsonUploadScanner::BeginCapture(Capture capture, char c, bool* seen) {
  const char wanted = capture == Capture::kArrowSchema ? '"' : '{';
  if (std::exchange(*seen, true)) return Bad("a value is given twice");
  if (c != wanted && c != 'n') {
    return Bad(capture == Capture::kArrowSchema ? "batch.arrow_schema is not text"
                                                : top_key_ + " is not an object");
  }
  capture_ = capture;
  capture_depth_ = stack_.size();
  captured_.clear();
  return {};
}

arrow::Status JsonUploadScanner::Keep(std::string_view raw) {
  if (capture_ == Capture::kNone) return {};
  if (captured_.size() + raw.size() > kCaptureBytesMax) {
    return Error(ErrorCode::kTooLarge,
                 "config or arrow_schema is over the limit of bytes: ", kCaptureBytesMax);
  }
  captured_.append(raw);
  return {};
}

arrow::Status JsonUploadScanner::Open(char c) {
  if (stack_.size() >= kNestingMax) return Bad("it nests deeper than 64");
  stack_.push_back(c);
  expect_ = c == '{' ? Expect::kFirstKey : Expect::kFirstValue;
  return Keep(std::string_view(&c, 1));
}

arrow::Status JsonUploadScanner::Close(char c) {
  if ((c == '}') != (stack_.back() == '{')) return Bad("the wrong bracket closes");
  stack_.pop_back();
  ARROW_RETURN_NOT_OK(Keep(std::string_view(&c, 1)));
  return EndValue();
}

arrow::Status JsonUploadScanner::EndValue() {
  expect_ = stack_.empty() ? Expect::kNothing : Expect::kMore;
  if (capture_ == Capture::kNone || stack_.size() != capture_depth_) return {};
  return EndCapture();
}

arrow::Status JsonUploadScanner::EndCapture() {
  const Capture capture = std::exchange(capture_, Capture::kNone);
  std::string json = std::exchange(captured_, {});
  if (json == "null") return {};
  if (capture == Capture::kConfig) return listener_->OnConfig(json);
  if (capture == Capture::kDeltaOptions) return listener_->OnDeltaOptions(json);
  ARROW_ASSIGN_OR_RAISE(std::string text, Unescape(json.substr(1, json.size() - 2)));
  return listener_->OnArrowSchema(std::move(text));
}

arrow::Status JsonUploadScanner::TakeText(std::string_view run) {
  if (text_ == Text::kData) return listener_->OnData(run);
  if (text_ == Text::kKey) {
    if (key_.size() + run.size() > kKeyBytesMax) return Bad("a key is too long");
    key_.append(run);
  }
  return Keep(run);
}

arrow::Status JsonUploadScanner::EndText() {
  lex_ = Lex::kNone;
  if (text_ == Text::kData) {
    ARROW_RETURN_NOT_OK(listener_->OnDataEnd());
    return EndValue();
  }
  ARROW_RETURN_NOT_OK(Keep("\""));
  return text_ == Text::kKey ? EndKey() : EndValue();
}

arrow::Status JsonUploadScanner::EndKey() {
  expect_ = Expect::kColon;
  if (stack_.size() > 2 || capture_ != Capture::kNone) return {};
  arrow::Result<std::string> key = Unescape(key_);
  if (!key.ok()) return Bad("a key is not text");
  (stack_.size() == 1 ? top_key_ : batch_key_) = std::move(*key);
  return {};
}

arrow::Status JsonUploadScanner::TakeEscape(char c) {
  lex_ = Lex::kString;
  if (c == 'u') {
    lex_ = Lex::kUnicode;
    small_.clear();
    return {};
  }
  if (std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos) {
    return Bad("unknown escape");
  }
  if (text_ == Text::kData) return listener_->OnData(std::string_view(&c, 1));
  const char raw[] = {'\\', c};
  return TakeText(std::string_view(raw, 2));
}

arrow::Status JsonUploadScanner::TakeUnicode(char c) {
  small_.push_back(c);
  if (small_.size() < 4) return {};
  if (small_.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
    return Bad("\\u needs four hexadecimal digits");
  }
  lex_ = Lex::kString;
  if (text_ != Text::kData) return TakeText("\\u" + small_);
  const unsigned long code = std::stoul(small_, nullptr, 16);
  if (code >= 0x80) return Bad("batch.data is not base64");
  const char plain = static_cast<char>(code);
  return listener_->OnData(std::string_view(&plain, 1));
}

arrow::Status JsonUploadScanner::EndScalar() {
  lex_ = Lex::kNone;
  if (!nlohmann::json::accept(small_)) return Bad("not a number, true, false or null");
  ARROW_RETURN_NOT_OK(Keep(small_));
  return EndValue();
}

}  // namespace arrowport::wire::http
