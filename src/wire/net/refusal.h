// What the listener answers itself, without a handler.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace arrowport::wire::net {

enum class Refusal {
  kMalformed,             ///< not HTTP
  kNoRoute,               ///< nobody takes this path
  kHeaderTimeout,         ///< the request head did not complete in time
  kHeaderTooLarge,        ///< the request head is over its limit
  kOverloaded,            ///< all slots taken for longer than the wait
  kDraining,              ///< the server is shutting down
  kUnsupportedMediaType,  ///< HTTP/2 that is not gRPC
  kMethodNotAllowed,      ///< gRPC by another method than POST
  kTransferCoding,        ///< a transfer coding other than chunked
  kMessageCodec,          ///< a grpc-encoding we do not have
  kExpectation,           ///< an Expect header other than 100-continue
};

struct RefusalFacts {
  int http_status;
  int grpc_status;
  std::string_view code;  ///< as in ErrorInfo::name
  std::string_view message;
  bool retriable;
  std::optional<int> retry_after_seconds;
};

const RefusalFacts& FactsOf(Refusal refusal);

/// The error body of every HTTP route. `request_id` is sane or ours.
std::string RefusalJson(Refusal refusal, std::string_view request_id);

/// "Too Many Requests" for 429; "Status" for what has no name here.
std::string_view ReasonPhrase(int http_status);

}  // namespace arrowport::wire::net
