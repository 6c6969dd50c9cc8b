// POST /query and GET /query?sql=.
#include <array>
#include <utility>

#include "wire/http/query_route.h"
#include "wire/http/routes.h"

namespace arrowport::wire::http {
namespace {

arrow::Result<net::Route> MakeQuery(RouteRequest& request) {
  net::Route route;
  route.handler =
      std::make_unique<QueryHandler>(std::move(request.exchange), request.options->query,
                                     request.options->query_text_bytes_max);
  route.body_bytes_max = request.options->query_text_bytes_max;
  return route;
}

constexpr std::array kRoutes = {
    RouteEntry{"GET", "/query", MakeQuery},
    RouteEntry{"POST", "/query", MakeQuery},
};

}  // namespace

std::span<const RouteEntry> QueryRoutes() { return kRoutes; }

}  // namespace arrowport::wire::http
