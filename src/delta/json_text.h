// JSON written straight into a string, for the log lines that are made at every commit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace arrowport::delta {

/// `text` in quotes with what JSON demands escaped. Bytes that are not UTF-8 become U+FFFD.
void AppendJsonString(std::string_view text, std::string* out);

/// One object being written: keys in the order they are added. Caller-locked.
class JsonObject {
 public:
  explicit JsonObject(std::string* out) : out_(out) { out_->push_back('{'); }
  /// Begins a member; the caller appends its value to the string.
  std::string* Key(std::string_view name);
  void String(std::string_view name, std::string_view value);
  void Number(std::string_view name, int64_t value);
  void Boolean(std::string_view name, bool value);
  /// `json` is a complete value.
  void Json(std::string_view name, std::string_view json);
  void End() { out_->push_back('}'); }

 private:
  std::string* out_;
  bool first_ = true;
};

/// The code point at the front of `text` and its bytes; 0 bytes when it is not UTF-8.
struct CodePoint {
  uint32_t value = 0;
  int bytes = 0;
};
CodePoint DecodeCodePoint(std::string_view text);

}  // namespace arrowport::delta
