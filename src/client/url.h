// Addresses of servers as people write them.
#pragma once

#include <arrow/result.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace arrowport::client {

enum class Transport { kPlain, kTls };

struct ServerAddress {
  std::string host;  ///< without the brackets of IPv6
  uint16_t port = 0;
  Transport transport = Transport::kPlain;

  std::string FlightUri() const;  ///< "grpc+tcp://host:port"
  std::string HttpUrl() const;    ///< "http://host:port"
};

inline constexpr uint16_t kDefaultPort = 8888;

/// http://, https://, grpc://, grpc+tcp://, grpc+tls://, arrowport:// or no scheme; host,
/// optional port, nothing but "/" behind. Errors: kInvalidArgument.
arrow::Result<ServerAddress> ParseServerUrl(std::string_view url);

}  // namespace arrowport::client
