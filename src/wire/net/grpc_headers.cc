#include "wire/net/grpc_headers.h"

#include <algorithm>

#include "wire/net/grpc_text.h"
#include "wire/net/http1_head.h"

namespace arrowport::wire::net {
namespace {

bool IsBinary(std::string_view name) { return name.ends_with("-bin"); }

bool MayBeSent(std::string_view name) {
  if (name.empty() || name[0] == ':' || name == "connection" || name == "content-type" ||
      name == "transfer-encoding" || name == "grpc-status" || name == "grpc-message") {
    return false;
  }
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

std::string Harmless(std::string_view value) {
  std::string text(value);
  for (char& c : text) {
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

}  // namespace

void HeaderBlock::AddMetadata(const Headers& metadata) {
  for (const auto& [name, value] : metadata) {
    std::string lower = LowerCase(name);
    if (!MayBeSent(lower)) continue;
    Add(lower, IsBinary(lower) ? EncodeBase64(value) : Harmless(value));
  }
}

void HeaderBlock::AddOutcome(const Outcome& outcome) {
  Add("grpc-status", std::to_string(outcome.grpc_status));
  if (!outcome.message.empty()) Add("grpc-message", EncodeGrpcMessage(outcome.message));
  AddMetadata(outcome.trailers);
}

const std::vector<nghttp2_nv>& HeaderBlock::entries() {
  entries_.clear();
  for (auto& [name, value] : fields_) {
    entries_.push_back({reinterpret_cast<uint8_t*>(name.data()),
                        reinterpret_cast<uint8_t*>(value.data()), name.size(),
                        value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  return entries_;
}

bool AppendMetadata(std::string_view name, std::string_view value, Headers* headers) {
  if (!IsBinary(name)) {
    headers->emplace_back(name, value);
    return true;
  }
  while (true) {
    size_t comma = value.find(',');
    std::string_view part = value.substr(0, comma);
    while (!part.empty() && part.front() == ' ') part.remove_prefix(1);
    while (!part.empty() && part.back() == ' ') part.remove_suffix(1);
    auto decoded = DecodeBase64(part);
    if (!decoded) return false;
    headers->emplace_back(name, std::move(*decoded));
    if (comma == std::string_view::npos) return true;
    value.remove_prefix(comma + 1);
  }
}

}  // namespace arrowport::wire::net
