#include "delta/json_text.h"

#include <fmt/format.h>

#include <iterator>

namespace arrowport::delta {

bool IsNestedTooDeeply(std::string_view json) {
  constexpr int kDepthMax = 1000;
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kDepthMax) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

void AppendJsonString(std::string_view text, std::string* out) {
  out->push_back('"');
  size_t plain = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out->append(text, plain, i - plain);
    plain = i + 1;
    switch (c) {
      case '"': out->append("\\\""); break;
      case '\\': out->append("\\\\"); break;
      case '\n': out->append("\\n"); break;
      case '\r': out->append("\\r"); break;
      case '\t': out->append("\\t"); break;
      default: fmt::format_to(std::back_inserter(*out), "\\u{:04x}", c); break;
    }
  }
  out->append(text, plain);
  out->push_back('"');
}

void JsonObject::Name(std::string_view name) {
  if (!first_) out_->push_back(',');
  first_ = false;
  AppendJsonString(name, out_);
  out_->push_back(':');
}

void JsonObject::String(std::string_view name, std::string_view value) {
  Name(name);
  AppendJsonString(value, out_);
}

void JsonObject::Number(std::string_view name, int64_t value) {
  Name(name);
  fmt::format_to(std::back_inserter(*out_), "{}", value);
}

void JsonObject::Boolean(std::string_view name, bool value) {
  Name(name);
  out_->append(value ? "true" : "false");
}

void JsonObject::Raw(std::string_view name, std::string_view json) {
  Name(name);
  out_->append(json);
}

}  // namespace arrowport::delta
