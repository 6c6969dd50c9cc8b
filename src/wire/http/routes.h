// The table of routes and the families they come from. A family's file declares its
// handlers and lists its routes; nothing outside this folder uses this header.
#pragma once

#include <arrow/result.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/http/exchange.h"
#include "wire/http/router.h"
#include "wire/net/call.h"

namespace arrowport::wire::http {

/// What a route's factory gets.
struct RouteRequest {
  const net::RequestHead& head;
  std::unique_ptr<Exchange> exchange;
  std::vector<std::string> arguments;  ///< decoded "{...}" parts of the path, in order
  std::shared_ptr<const HttpOptions> options;
};

/// Makes the handler, on an I/O thread: must be quick. An error becomes the reply.
using RouteFactory = arrow::Result<net::Route> (*)(RouteRequest& request);

struct RouteEntry {
  std::string_view method;
  std::string_view pattern;  ///< "/stream/{stream}"; also the metrics label
  RouteFactory make;
};

std::span<const RouteEntry> UploadRoutes();
std::span<const RouteEntry> QueryRoutes();
std::span<const RouteEntry> CatalogRoutes();
std::span<const RouteEntry> DeltaRoutes();
std::span<const RouteEntry> ServiceRoutes();
std::span<const RouteEntry> UnbuiltRoutes();

/// Runs `answer` on a worker once the request (whose body is ignored, up to a small
/// bound) is complete.
net::Route AnswerWith(RouteRequest& request,
                      std::function<arrow::Result<Reply>(const Exchange&)> answer);

/// A route that answers with `status` as soon as it may.
net::Route Refuse(std::unique_ptr<Exchange> exchange, arrow::Status status,
                  net::Headers headers = {});

}  // namespace arrowport::wire::http
