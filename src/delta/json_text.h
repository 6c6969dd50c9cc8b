// JSON text written without a document in between.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace arrowport::delta {

/// Whether brackets are nested deeper than code that recurses over them should go.
bool IsNestedTooDeeply(std::string_view json);

/// Appends `text` quoted and escaped; bytes above 0x7F pass as they are.
void AppendJsonString(std::string_view text, std::string* out);

/// One object: members are separated, names escaped, Close() ends it. Caller-locked.
class JsonObject {
 public:
  explicit JsonObject(std::string* out) : out_(out) { out_->push_back('{'); }
  void String(std::string_view name, std::string_view value);
  void Number(std::string_view name, int64_t value);
  void Boolean(std::string_view name, bool value);
  /// `json` is a value's text.
  void Raw(std::string_view name, std::string_view json);
  /// Writes the name; the caller appends the value to the same text.
  void Name(std::string_view name);
  void Close() { out_->push_back('}'); }

 private:
  std::string* out_;
  bool first_ = true;
};

}  // namespace arrowport::delta
