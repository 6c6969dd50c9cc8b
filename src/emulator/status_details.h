// google.rpc.Status as the trailer grpc-status-details-bin.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "wire/net/call.h"

namespace arrowport::emulator {

/// With one google.rpc.ErrorInfo of the service's domain.
wire::net::Headers StatusDetails(int grpc_status, const std::string& message,
                                 const std::string& reason,
                                 const std::map<std::string, std::string>& metadata);

/// The details of a refused Flight schema.
wire::net::Headers SchemaDetails(int grpc_status, const std::string& message,
                                 const std::vector<std::string>& causes);

}  // namespace arrowport::emulator
