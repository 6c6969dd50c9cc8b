// Operations on Delta tables: GET /delta and below, POST /delta/{table}/..., POST /migrate.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/error.h"
#include "maintain/service.h"
#include "maintain/version_query.h"
#include "wire/http/query_route.h"
#include "wire/http/request_target.h"
#include "wire/http/routes.h"

namespace arrowport::wire::http {
namespace {

using Json = nlohmann::ordered_json;

arrow::Status NotOffered() {
  return Error(ErrorCode::kNotBuilt, "this server has no Delta tables");
}

/// Hands the request's body (or fields made of its query part) to the service and answers
/// when it is done. No thread waits meanwhile; a client that goes away does not stop what
/// it has begun.
class OperationHandler : public net::CallHandler {
 public:
  OperationHandler(std::unique_ptr<Exchange> exchange,
                   std::shared_ptr<maintain::Service> service, maintain::Request request)
      : exchange_(std::move(exchange)),
        service_(std::move(service)),
        request_(std::move(request)) {}

  void OnMessage(net::Message message) override {
    if (over_) return;
    // The service refuses what is over its limit; no more is kept than shows that it is.
    const size_t room = maintain::kBodyBytesMax + 1 - body_.size();
    const auto bytes = static_cast<size_t>(message.body->size());
    body_.append(message.body->data_as<char>(), std::min(room, bytes));
  }

  void OnEnd() override {
    if (over_) return;
    over_ = true;
    if (request_.body.empty()) request_.body = std::move(body_);
    service_->Run(std::move(request_),
                  [exchange = exchange_](arrow::Result<std::string> reply) {
                    if (!reply.ok()) return exchange->Fail(reply.status());
                    Reply answer;
                    answer.body = *std::move(reply);
                    exchange->Send(std::move(answer));
                  });
  }

  void OnBodyError(arrow::Status status) override {
    over_ = true;
    exchange_->Fail(status);
  }
  void OnDone(const arrow::Status&) override { over_ = true; }

 private:
  const std::shared_ptr<Exchange> exchange_;
  const std::shared_ptr<maintain::Service> service_;
  maintain::Request request_;
  std::string body_;
  bool over_ = false;
};

/// limit=10&after=t -> {"limit":10,"after":"t"}.
std::string FieldsOf(const QueryParameters& parameters) {
  Json fields = Json::object();
  for (const auto& [name, value] : parameters) {
    const Json number = Json::parse(value, nullptr, /*allow_exceptions=*/false);
    const bool is_limit = name == "limit" && number.is_number_integer();
    fields[name] = is_limit ? number : Json(value);
  }
  return fields.dump(-1, ' ', false, Json::error_handler_t::replace);
}

arrow::Result<net::Route> MakeOperation(RouteRequest& request, const char* operation) {
  if (!request.options->maintain) return NotOffered();
  maintain::Request wanted;
  wanted.operation = operation;
  if (!request.arguments.empty()) wanted.table = request.arguments[0];
  ARROW_ASSIGN_OR_RAISE(const auto parameters, ParseQueryPart(request.head.query));
  if (request.head.method == "GET") {
    wanted.body = FieldsOf(parameters);
  } else if (!parameters.empty()) {
    return Error(ErrorCode::kInvalidArgument,
                 "this route takes its fields in a JSON body, not as query parameter: ",
                 parameters.begin()->first.substr(0, 100));
  }
  net::Route route;
  route.handler = std::make_unique<OperationHandler>(
      std::move(request.exchange), request.options->maintain, std::move(wanted));
  route.body_bytes_max = maintain::kBodyBytesMax;
  return route;
}

arrow::Result<net::Route> MakeList(RouteRequest& request) {
  return MakeOperation(request, "list");
}
arrow::Result<net::Route> MakeInfo(RouteRequest& request) {
  return MakeOperation(request, "info");
}
arrow::Result<net::Route> MakeHistory(RouteRequest& request) {
  return MakeOperation(request, "history");
}
arrow::Result<net::Route> MakeVacuum(RouteRequest& request) {
  return MakeOperation(request, "vacuum");
}
arrow::Result<net::Route> MakeRestore(RouteRequest& request) {
  return MakeOperation(request, "restore");
}
arrow::Result<net::Route> MakeOptimize(RouteRequest& request) {
  return MakeOperation(request, "optimize");
}
arrow::Result<net::Route> MakeTableCheckpoint(RouteRequest& request) {
  return MakeOperation(request, "checkpoint");
}
arrow::Result<net::Route> MakeMigrate(RouteRequest& request) {
  return MakeOperation(request, "migrate");
}

/// Rows of an earlier state, streamed in the negotiated format.
arrow::Result<net::Route> RowsOf(RouteRequest& request, std::string sql) {
  query::Request query;
  query.source = std::move(sql);
  net::Route route;
  route.handler = std::make_unique<QueryHandler>(
      std::move(request.exchange), request.options->query,
      request.options->query_text_bytes_max, std::move(query));
  route.body_bytes_max = maintain::kBodyBytesMax;
  return route;
}

arrow::Result<net::Route> MakeVersionRows(RouteRequest& request) {
  if (!request.options->maintain) return NotOffered();
  ARROW_ASSIGN_OR_RAISE(
      std::string sql, maintain::VersionQuery(request.arguments[0], request.arguments[1]));
  return RowsOf(request, std::move(sql));
}

arrow::Result<net::Route> MakeTimestampRows(RouteRequest& request) {
  if (!request.options->maintain) return NotOffered();
  ARROW_ASSIGN_OR_RAISE(const auto parameters, ParseQueryPart(request.head.query));
  const auto time = parameters.find("timestamp");
  if (time == parameters.end()) {
    return Error(ErrorCode::kInvalidArgument,
                 "name the version: /version/{v}, or /version?timestamp=");
  }
  ARROW_ASSIGN_OR_RAISE(std::string sql,
                        maintain::TimestampQuery(request.arguments[0], time->second));
  return RowsOf(request, std::move(sql));
}

constexpr std::array kRoutes = {
    RouteEntry{"GET", "/delta", MakeList},
    RouteEntry{"GET", "/delta/{table}/info", MakeInfo},
    RouteEntry{"GET", "/delta/{table}/history", MakeHistory},
    RouteEntry{"GET", "/delta/{table}/version", MakeTimestampRows},
    RouteEntry{"GET", "/delta/{table}/version/{version}", MakeVersionRows},
    RouteEntry{"POST", "/delta/{table}/vacuum", MakeVacuum},
    RouteEntry{"POST", "/delta/{table}/restore", MakeRestore},
    RouteEntry{"POST", "/delta/{table}/optimize", MakeOptimize},
    RouteEntry{"POST", "/delta/{table}/checkpoint", MakeTableCheckpoint},
    RouteEntry{"POST", "/migrate", MakeMigrate},
};

}  // namespace

std::span<const RouteEntry> DeltaRoutes() { return kRoutes; }

}  // namespace arrowport::wire::http
