// How a call ended, and gRPC's text forms of it.
// Source: gRPC, "gRPC over HTTP2" (PROTOCOL-HTTP2.md) and http-grpc-status-mapping.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace arrowport::zerobus::rpc {

enum class StatusCode {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

/// "UNAVAILABLE" ...; numbers outside the enum give "UNKNOWN".
std::string_view StatusCodeName(StatusCode code);

struct RpcStatus {
  StatusCode code = StatusCode::kOk;
  std::string message;
  std::string details;     ///< grpc-status-details-bin: a google.rpc.Status, decoded
  bool from_peer = false;  ///< the service said so; else we or the connection did
  /// Nothing that we can change by trying again: TLS or proxy material.
  bool configuration = false;
};

/// Status of a call whose answer was no gRPC answer.
StatusCode CodeOfHttpStatus(int http_status);
/// Status of a stream reset with this HTTP/2 error code.
StatusCode CodeOfHttp2Error(uint32_t error_code);
/// `grpc-status` text; kUnknown when it is no number of the enum.
StatusCode ParseStatusCode(std::string_view text);
/// Undoes the percent-encoding of `grpc-message`; malformed escapes stay as they are.
std::string DecodeGrpcMessage(std::string_view text);
/// Standard base64, padded or not. Null when malformed.
std::optional<std::string> DecodeBase64(std::string_view text);
/// Padded.
std::string EncodeBase64(std::string_view bytes);

/// A field name of lower-case token characters, and a value of visible ASCII, blanks and
/// tabs: what may be sent as metadata.
bool IsLegalMetadata(std::string_view name, std::string_view value);

}  // namespace arrowport::zerobus::rpc
