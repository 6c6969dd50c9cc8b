// Where a connection goes: endpoints and proxies. Pure functions.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace arrowport::zerobus::rpc {

struct Endpoint {
  bool tls = true;
  std::string host;  ///< without brackets
  uint16_t port = 443;
  /// host[:port] as sent in :authority and CONNECT; brackets around IPv6.
  std::string Authority() const;
};

/// `[https://|http://]host[:port][/]`; https and the scheme's port unless given.
/// Errors: kBadConfig.
arrow::Result<Endpoint> ParseEndpoint(std::string_view text);

struct Proxy {
  std::string host;
  uint16_t port = 80;
  std::string credentials;  ///< "user:password", decoded; empty: none
};

/// Proxy variables, each already chosen between lower and upper case.
struct ProxySettings {
  std::string grpc_proxy;
  std::string https_proxy;
  std::string http_proxy;
  std::string no_grpc_proxy;
  std::string no_proxy;
};

/// The first of grpc_proxy, https_proxy, http_proxy that is set, unless the bypass list
/// (no_grpc_proxy, else no_proxy) covers `host`. Errors: kBadConfig.
arrow::Result<std::optional<Proxy>> ChooseProxy(const ProxySettings& settings,
                                                std::string_view host);

/// Whether a comma list of host suffixes covers `host`: equal, or after a dot; "*" all.
bool BypassCovers(std::string_view list, std::string_view host);

}  // namespace arrowport::zerobus::rpc
