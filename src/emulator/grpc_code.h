// The canonical status codes of gRPC (code.proto) and their names.
#pragma once

#include <optional>
#include <string_view>

namespace arrowport::emulator {

constexpr int kGrpcOk = 0;
constexpr int kGrpcInvalidArgument = 3;
constexpr int kGrpcNotFound = 5;
constexpr int kGrpcPermissionDenied = 7;
constexpr int kGrpcUnimplemented = 12;
constexpr int kGrpcInternal = 13;
constexpr int kGrpcUnavailable = 14;
constexpr int kGrpcUnauthenticated = 16;

/// "UNAVAILABLE" to 14; null for a name that is none.
std::optional<int> GrpcCodeOf(std::string_view name);

}  // namespace arrowport::emulator
