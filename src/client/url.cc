#include "client/url.h"

#include <charconv>

#include "base/error.h"

namespace arrowport::client {
namespace {

std::string Authority(const ServerAddress& address) {
  const bool is_ipv6 = address.host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + address.host + "]" : address.host) + ":" +
         std::to_string(address.port);
}

arrow::Result<Transport> TransportOf(std::string_view scheme, std::string_view url) {
  for (std::string_view plain : {"http", "grpc", "grpc+tcp", "arrowport"})
    if (scheme == plain) return Transport::kPlain;
  for (std::string_view tls : {"https", "grpc+tls", "arrowport+tls"})
    if (scheme == tls) return Transport::kTls;
  return Error(ErrorCode::kInvalidArgument,
               "unknown scheme in a server's address (http, https, grpc, grpc+tls): ", url);
}

}  // namespace

std::string ServerAddress::FlightUri() const {
  return (transport == Transport::kTls ? "grpc+tls://" : "grpc+tcp://") + Authority(*this);
}

std::string ServerAddress::HttpUrl() const {
  return (transport == Transport::kTls ? "https://" : "http://") + Authority(*this);
}

arrow::Result<ServerAddress> ParseServerUrl(std::string_view url) {
  ServerAddress address;
  address.port = kDefaultPort;
  std::string_view rest = url;
  if (const size_t end = rest.find("://"); end != std::string_view::npos) {
    ARROW_ASSIGN_OR_RAISE(address.transport, TransportOf(rest.substr(0, end), url));
    rest.remove_prefix(end + 3);
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  std::string_view port;
  if (rest.starts_with('[')) {
    const size_t close = rest.find(']');
    if (close == std::string_view::npos)
      return Error(ErrorCode::kInvalidArgument, "a server's address lacks ']': ", url);
    address.host = rest.substr(1, close - 1);
    rest.remove_prefix(close + 1);
    if (rest.starts_with(':')) port = rest.substr(1);
  } else {
    const size_t colon = rest.find(':');
    address.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) port = rest.substr(colon + 1);
  }
  const bool has_strange =
      address.host.find_first_of("/?#@ ") != std::string::npos || address.host.empty();
  if (!port.empty()) {
    auto [end, error] =
        std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (error != std::errc() || end != port.data() + port.size())
      return Error(ErrorCode::kInvalidArgument, "not a port in a server's address: ", url);
  }
  if (has_strange) {
    return Error(ErrorCode::kInvalidArgument,
                 "a server's address is scheme://host:port, not: ", url);
  }
  return address;
}

}  // namespace arrowport::client
