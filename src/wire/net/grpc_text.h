// Text forms of gRPC over HTTP/2 ("gRPC over HTTP2", PROTOCOL-HTTP2.md). Pure functions.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace arrowport::wire::net {

/// `grpc-message`: UTF-8 with everything but printable ASCII, and '%', percent-encoded.
std::string EncodeGrpcMessage(std::string_view message);

/// `grpc-timeout`: 1-8 digits and one of H M S m u n. Null when malformed.
std::optional<std::chrono::nanoseconds> ParseGrpcTimeout(std::string_view text);

/// Values of "-bin" metadata: base64, padded or not. Null when malformed.
std::optional<std::string> DecodeBase64(std::string_view text);
/// Unpadded, as gRPC asks of senders.
std::string EncodeBase64(std::string_view bytes);

}  // namespace arrowport::wire::net
