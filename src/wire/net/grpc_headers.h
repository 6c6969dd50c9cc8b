// Header lists of gRPC answers, ready for nghttp2.
#pragma once

#include <nghttp2/nghttp2.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/net/call.h"

namespace arrowport::wire::net {

constexpr std::string_view kGrpcAcceptEncoding = "identity, deflate, gzip";

/// Owns the texts that the nghttp2_nv entries point to. Not thread-safe.
class HeaderBlock {
 public:
  void Add(std::string_view name, std::string_view value) {
    fields_.emplace_back(name, value);
  }
  /// Metadata of a handler: names in lower case, "-bin" values encoded, control
  /// characters made blanks; what may not be sent is left out.
  void AddMetadata(const Headers& metadata);
  /// grpc-status, grpc-message and the trailers.
  void AddOutcome(const Outcome& outcome);

  /// Valid until the next Add.
  const std::vector<nghttp2_nv>& entries();

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
  std::vector<nghttp2_nv> entries_;
};

/// Appends a received field to `headers`; "-bin" values are split at commas and decoded.
/// False when a value is not base64.
bool AppendMetadata(std::string_view name, std::string_view value, Headers* headers);

}  // namespace arrowport::wire::net
