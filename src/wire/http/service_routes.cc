// GET /health/live, /health/ready, /version, /metrics, /openapi.json and POST
// /admin/checkpoint.
#include <arrow/config.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "wire/http/openapi_document.h"
#include "wire/http/routes.h"

namespace arrowport::wire::http {
namespace {

using Json = nlohmann::ordered_json;

Reply JsonReply(int status, const Json& body) {
  Reply reply;
  reply.status = status;
  reply.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  return reply;
}

arrow::Result<net::Route> MakeLive(RouteRequest& request) {
  return AnswerWith(request, [](const Exchange&) -> arrow::Result<Reply> {
    return JsonReply(200, {{"status", "ok"}});
  });
}

arrow::Result<net::Route> MakeReady(RouteRequest& request) {
  auto options = request.options;
  return AnswerWith(request, [options](const Exchange& exchange) -> arrow::Result<Reply> {
    const Readiness readiness = options->readiness ? options->readiness() : Readiness{};
    Json details = Json::object();
    for (const auto& [name, value] : readiness.details) details[name] = value;
    Reply reply = JsonReply(readiness.ready ? 200 : 503,
                            {{"status", readiness.ready ? "ready" : "not ready"},
                             {"details", std::move(details)},
                             {"request_id", exchange.head().request_id}});
    if (!readiness.ready) reply.headers.emplace_back("retry-after", "1");
    return reply;
  });
}

arrow::Result<net::Route> MakeVersion(RouteRequest& request) {
  auto options = request.options;
  return AnswerWith(request, [options](const Exchange&) -> arrow::Result<Reply> {
    return JsonReply(200, {{"name", "arrowport"},
                           {"version", options->server_version},
                           {"arrow", arrow::GetBuildInfo().version_string}});
  });
}

arrow::Result<net::Route> MakeMetrics(RouteRequest& request) {
  auto metrics = request.options->metrics;
  return AnswerWith(request, [metrics](const Exchange&) -> arrow::Result<Reply> {
    if (!metrics) {
      return Error(ErrorCode::kNotFound, "metrics are off (api.enable_metrics)");
    }
    Reply reply;
    reply.body = metrics->Expose();
    reply.content_type = observe::kExpositionMediaType;
    return reply;
  });
}

arrow::Result<net::Route> MakeOpenApi(RouteRequest& request) {
  return AnswerWith(request, [](const Exchange&) -> arrow::Result<Reply> {
    Reply reply;
    reply.body = kOpenApiDocument;
    return reply;
  });
}

arrow::Result<net::Route> MakeCheckpoint(RouteRequest& request) {
  auto service = request.options->ingest;
  return AnswerWith(request, [service](const Exchange& exchange) -> arrow::Result<Reply> {
    ARROW_RETURN_NOT_OK(service->Checkpoint());
    return JsonReply(200,
                     {{"status", "success"}, {"request_id", exchange.head().request_id}});
  });
}

constexpr std::array kRoutes = {
    RouteEntry{"GET", "/health/live", MakeLive},
    RouteEntry{"GET", "/health/ready", MakeReady},
    RouteEntry{"GET", "/version", MakeVersion},
    RouteEntry{"GET", "/metrics", MakeMetrics},
    RouteEntry{"GET", "/openapi.json", MakeOpenApi},
    RouteEntry{"POST", "/admin/checkpoint", MakeCheckpoint},
};

/// Documented routes whose ability comes in a later release.
arrow::Result<net::Route> MakeUnbuilt(RouteRequest& request) {
  return Error(ErrorCode::kNotBuilt,
               "this build does not have the route yet: ", request.head.method, " ",
               request.head.path.substr(0, 200));
}

constexpr std::array kUnbuilt = {
    RouteEntry{"GET", "/quarantine", MakeUnbuilt},
    RouteEntry{"GET", "/quarantine/{id}", MakeUnbuilt},
    RouteEntry{"POST", "/quarantine/{id}/replay", MakeUnbuilt},
    RouteEntry{"DELETE", "/quarantine/{id}", MakeUnbuilt},
    RouteEntry{"POST", "/admin/backup", MakeUnbuilt},
    RouteEntry{"POST", "/admin/reload", MakeUnbuilt},
    RouteEntry{"GET", "/ui", MakeUnbuilt},
};

}  // namespace

std::span<const RouteEntry> ServiceRoutes() { return kRoutes; }
std::span<const RouteEntry> UnbuiltRoutes() { return kUnbuilt; }

}  // namespace arrowport::wire::http
