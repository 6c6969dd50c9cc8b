#include "delta/json_text.h"

#include <fmt/format.h>

namespace arrowport::delta {
namespace {

void AppendEscaped(unsigned char c, std::string* out) {
  switch (c) {
    case '"':
      out->append("\\\"");
      return;
    case '\\':
      out->append("\\\\");
      return;
    case '\n':
      out->append("\\n");
      return;
    case '\r':
      out->append("\\r");
      return;
    case '\t':
      out->append("\\t");
      return;
    default:
      fmt::format_to(std::back_inserter(*out), "\\u{:04x}", c);
  }
}

bool IsPlainAscii(unsigned char c) {
  return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

}  // namespace

CodePoint DecodeCodePoint(std::string_view text) {
  if (text.empty()) return {};
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const int bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < static_cast<size_t>(bytes)) return {};
  uint32_t value = lead & (0xFF >> (bytes + 1));
  for (int i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    value = (value << 6) | (byte(i) & 0x3F);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < kSmallest[bytes] || value > 0x10FFFF || surrogate) return {};
  return {value, bytes};
}

void AppendJsonString(std::string_view text, std::string* out) {
  out->push_back('"');
  while (!text.empty()) {
    size_t plain = 0;
    while (plain < text.size() && IsPlainAscii(text[plain])) ++plain;
    out->append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    const CodePoint point = DecodeCodePoint(text);
    if (point.bytes == 0) {
      out->append("\xEF\xBF\xBD");
      text.remove_prefix(1);
    } else if (point.bytes == 1) {
      AppendEscaped(text[0], out);
      text.remove_prefix(1);
    } else {
      out->append(text.substr(0, point.bytes));
      text.remove_prefix(point.bytes);
    }
  }
  out->push_back('"');
}

std::string* JsonObject::Key(std::string_view name) {
  if (!first_) out_->push_back(',');
  first_ = false;
  AppendJsonString(name, out_);
  out_->push_back(':');
  return out_;
}

void JsonObject::String(std::string_view name, std::string_view value) {
  AppendJsonString(value, Key(name));
}

void JsonObject::Number(std::string_view name, int64_t value) {
  fmt::format_to(std::back_inserter(*Key(name)), "{}", value);
}

void JsonObject::Boolean(std::string_view name, bool value) {
  Key(name)->append(value ? "true" : "false");
}

void JsonObject::Json(std::string_view name, std::string_view json) {
  Key(name)->append(json);
}

}  // namespace arrowport::delta
