#include "zerobus/rpc/target.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/error.h"

namespace arrowport::zerobus::rpc {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) {
    text.remove_prefix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) {
    text.remove_suffix(1);
  }
  return text;
}

bool TakePrefix(std::string_view* text, std::string_view prefix) {
  if (Lower(text->substr(0, prefix.size())) != prefix) return false;
  text->remove_prefix(prefix.size());
  return true;
}

bool IsHostCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
}

// host, host:port, [v6], [v6]:port. False when malformed.
bool SplitHost(std::string_view text, std::string* host, uint16_t* port) {
  std::string_view port_text;
  bool has_port = false;
  if (!text.empty() && text.front() == '[') {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    *host = text.substr(1, end - 1);
    std::string_view rest = text.substr(end + 1);
    if (!rest.empty() && rest.front() != ':') return false;
    has_port = !rest.empty();
    if (has_port) port_text = rest.substr(1);
    const bool legal = std::all_of(host->begin(), host->end(), [](char c) {
      return std::isxdigit(static_cast<unsigned char>(c)) || c == ':' || c == '.';
    });
    if (!legal) return false;
  } else {
    const size_t colon = text.find(':');
    *host = text.substr(0, colon);
    has_port = colon != std::string_view::npos;
    if (has_port) port_text = text.substr(colon + 1);
    if (!std::all_of(host->begin(), host->end(), IsHostCharacter)) return false;
  }
  if (host->empty() || host->size() > 253) return false;
  if (!has_port) return true;
  const auto [end, error] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), *port);
  return error == std::errc() && end == port_text.data() + port_text.size() && *port > 0;
}

std::string DecodePercent(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr ==
            text.data() + i + 3) {
      decoded += static_cast<char>(value);
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

}  // namespace

std::string Endpoint::Authority() const {
  std::string authority = host.find(':') != std::string::npos ? "[" + host + "]" : host;
  if (port != (tls ? 443 : 80)) authority += ":" + std::to_string(port);
  return authority;
}

arrow::Result<Endpoint> ParseEndpoint(std::string_view text) {
  text = Trim(text);
  if (text.find('@') != text.npos) {
    // It may be a password: the text is not repeated.
    return Error(ErrorCode::kBadConfig,
                 "the endpoint may hold no credentials: give them as options");
  }
  const std::string_view whole = text;
  Endpoint endpoint;
  if (TakePrefix(&text, "http://")) {
    endpoint.tls = false;
  } else if (!TakePrefix(&text, "https://") && text.find("://") != text.npos) {
    return Error(ErrorCode::kBadConfig,
                 "the endpoint must begin with https:// or http://: ", whole);
  }
  endpoint.port = endpoint.tls ? 443 : 80;
  if (!text.empty() && text.back() == '/') text.remove_suffix(1);
  if (!SplitHost(text, &endpoint.host, &endpoint.port)) {
    return Error(
        ErrorCode::kBadConfig,
        "the endpoint must be [https://|http://]host[:port], without a path: ", whole);
  }
  return endpoint;
}

bool BypassCovers(std::string_view list, std::string_view host) {
  const std::string name = Lower(host);
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string entry = Lower(Trim(list.substr(0, comma)));
    list = comma == list.npos ? std::string_view() : list.substr(comma + 1);
    if (entry == "*") return true;
    if (!entry.empty() && entry.front() == '.') entry.erase(0, 1);
    if (entry.empty()) continue;
    if (name == entry) return true;
    if (name.size() > entry.size() && name.ends_with(entry) &&
        name[name.size() - entry.size() - 1] == '.') {
      return true;
    }
  }
  return false;
}

arrow::Result<std::optional<Proxy>> ChooseProxy(const ProxySettings& settings,
                                                std::string_view host) {
  std::string_view text = settings.grpc_proxy;
  if (text.empty()) text = settings.https_proxy;
  if (text.empty()) text = settings.http_proxy;
  if (text.empty()) return std::nullopt;
  const std::string& bypass =
      settings.no_grpc_proxy.empty() ? settings.no_proxy : settings.no_grpc_proxy;
  if (BypassCovers(bypass, host)) return std::nullopt;
  text = Trim(text);
  Proxy proxy;
  // The value may hold a password: no error repeats it.
  if (!TakePrefix(&text, "http://") && text.find("://") != text.npos) {
    return Error(ErrorCode::kBadConfig,
                 "the proxy must be given as [http://][user:password@]host:port: the "
                 "tunnel to it is plain HTTP");
  }
  text = text.substr(0, text.find('/'));
  if (const size_t at = text.rfind('@'); at != text.npos) {
    proxy.credentials = DecodePercent(text.substr(0, at));
    text.remove_prefix(at + 1);
  }
  if (!SplitHost(text, &proxy.host, &proxy.port)) {
    return Error(ErrorCode::kBadConfig,
                 "the proxy must be given as [http://][user:password@]host:port");
  }
  return proxy;
}

}  // namespace arrowport::zerobus::rpc
