// Reads the JSON form of an upload as it arrives, without ever holding it: the long text
// `batch.data` is passed on in pieces, the other known values are small and handed over
// whole, everything else is checked and skipped. Format: RFC 8259.
#pragma once

#include <arrow/status.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace arrowport::wire::http {

/// What the scanner finds, in the order of the text.
class JsonUploadListener {
 public:
  virtual ~JsonUploadListener() = default;
  /// The object `config` (valid JSON text).
  virtual arrow::Status OnConfig(std::string_view json) = 0;
  /// The object `delta_options`, with JsonShape::kDelta (valid JSON text).
  virtual arrow::Status OnDeltaOptions(std::string_view json) = 0;
  /// The text `batch.arrow_schema`.
  virtual arrow::Status OnArrowSchema(std::string text) = 0;
  /// A piece of the text `batch.data`, escapes undone.
  virtual arrow::Status OnData(std::string_view text) = 0;
  virtual arrow::Status OnDataEnd() = 0;
};

enum class JsonShape {
  kStream,  ///< `config` and `batch`
  kDelta,   ///< also `delta_options`; what belongs in `batch` may stand beside them
};

/// Not thread-safe.
class JsonUploadScanner {
 public:
  /// `listener` outlives this; its errors end the scan.
  explicit JsonUploadScanner(JsonUploadListener* listener,
                             JsonShape shape = JsonShape::kStream)
      : listener_(listener), shape_(shape) {}

  /// Errors: kBadData (not JSON, a known key twice or of the wrong kind, nesting beyond
  /// 64), kTooLarge (a key or small value over its limit), kIncompleteStream (End).
  arrow::Status Consume(std::string_view text);
  arrow::Status End() const;
  bool data_seen() const { return data_seen_; }

 private:
  enum class Lex { kNone, kString, kEscape, kUnicode, kScalar };
  enum class Expect { kValue, kFirstValue, kKey, kFirstKey, kColon, kMore, kNothing };
  enum class Text { kKey, kData, kOther };
  enum class Capture { kNone, kConfig, kDeltaOptions, kArrowSchema };

  arrow::Status Bad(std::string_view what) const;
  arrow::Status TakeStructure(char c);
  arrow::Status BeginValue(char c);
  arrow::Status BeginKnownValue(char c);
  arrow::Status BeginBatchValue(const std::string& key, char c);
  arrow::Status BeginCapture(Capture capture, char c, bool* seen);
  arrow::Status EndValue();
  arrow::Status EndCapture();
  arrow::Status Open(char c);
  arrow::Status Close(char c);
  arrow::Status TakeText(std::string_view run);
  arrow::Status EndText();
  arrow::Status EndKey();
  arrow::Status TakeEscape(char c);
  arrow::Status TakeUnicode(char c);
  arrow::Status EndScalar();
  arrow::Status Keep(std::string_view raw);

  JsonUploadListener* const listener_;
  const JsonShape shape_;
  uint64_t offset_ = 0;  ///< of the byte being read
  Lex lex_ = Lex::kNone;
  Expect expect_ = Expect::kValue;
  Text text_ = Text::kOther;
  Capture capture_ = Capture::kNone;
  size_t capture_depth_ = 0;
  std::string captured_;
  std::string stack_;    ///< '{' and '[' of the open containers
  std::string key_;      ///< raw text of the key being read
  std::string top_key_;  ///< of the outermost object
  std::string batch_key_;
  std::string small_;  ///< a scalar, or the digits of a \u escape
  bool config_seen_ = false;
  bool delta_options_seen_ = false;
  bool batch_seen_ = false;
  bool schema_seen_ = false;
  bool data_seen_ = false;
};

}  // namespace arrowport::wire::http
