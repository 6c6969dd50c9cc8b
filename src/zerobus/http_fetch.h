// One blocking HTTP request: tokens, the table API, telemetry.
#pragma once

#include <arrow/result.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "zerobus/rpc/target.h"
#include "zerobus/rpc/tls.h"

namespace arrowport::zerobus {

struct HttpRequest {
  std::string url;                   ///< http:// or https://
  std::vector<std::string> headers;  ///< "name: value"
  /// A POST of this, a form unless a content-type header says otherwise; else GET.
  std::optional<std::string> body;
  std::string user;                  ///< with password: HTTP Basic
  std::string password;
  std::chrono::milliseconds timeout{15'000};
  size_t reply_bytes_max = 1 << 20;
  /// The request is given up within about a second once this is true; outlives the call.
  const std::atomic<bool>* cancelled = nullptr;
};

struct HttpReply {
  int status = 0;
  std::string body;
  std::optional<int> retry_after_seconds;
};

/// Thread-safe.
class HttpFetcher {
 public:
  virtual ~HttpFetcher() = default;
  /// Any complete answer, also an error answer. Errors: Connection (no answer in time),
  /// Configuration (URL, certificate). Their texts hold no header and no body.
  virtual arrow::Result<HttpReply> Fetch(const HttpRequest& request) = 0;
};

/// By libcurl. Follows no redirects: they could carry credentials elsewhere.
std::unique_ptr<HttpFetcher> MakeHttpFetcher(rpc::TlsFiles tls, rpc::ProxySettings proxy,
                                             std::string user_agent);

/// application/x-www-form-urlencoded (and path segments): all but unreserved characters
/// as %XX.
std::string EncodePercent(std::string_view text);

}  // namespace arrowport::zerobus
