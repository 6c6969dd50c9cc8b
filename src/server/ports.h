// Which ports a server opens: the two contract ports, and aliases for existing clients.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <arrow/result.h>

#include "config/settings.h"

namespace arrowport::server {

/// Ports as bound, in the order the ready file lists them.
struct Ports {
  std::vector<uint16_t> http;    ///< the API port, then its aliases
  std::vector<uint16_t> flight;  ///< every port speaks Flight too; the direct one is last
};

/// Binds one port (0: any free one) and returns it.
using BindPort = std::function<arrow::Result<uint16_t>(uint16_t port)>;

/// Opens what the settings ask for: `api.port` and `flight.port` must succeed; the aliases 8000
/// (unless a port was given) and 8815 (with a Parquet path and no port given) are skipped with a
/// warning when taken. Errors: kUnreachable.
arrow::Result<Ports> BindPorts(const config::Settings& settings, const BindPort& bind);

/// {"pid": .., "http": [..], "flight": [..]}
std::string ReadyFileText(const Ports& ports);

/// Writes the ready file whole or not at all, making its folder first.
arrow::Status WriteReadyFile(const std::string& path, const Ports& ports);

}  // namespace arrowport::server
