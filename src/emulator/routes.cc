#include "emulator/routes.h"

#include <string_view>
#include <utility>

#include "base/error.h"
#include "emulator/ingest_stream.h"

namespace arrowport::emulator {
namespace {

namespace net = wire::net;

constexpr std::string_view kRecordMethod = "/databricks.zerobus.Zerobus/EphemeralStream";
constexpr std::string_view kFlightMethod = "/arrow.flight.protocol.FlightService/DoPut";
constexpr std::string_view kTokenPath = "/oidc/v1/token";
constexpr std::string_view kTablesPath = "/api/2.1/unity-catalog/tables/";
constexpr std::string_view kControlPath = "/control/";

HttpReply DescribeTable(Service& service, const HttpRequest& request) {
  const TokenVerdict verdict = service.tokens.Judge(request.head.Header("authorization"));
  if (verdict != TokenVerdict::kGood) {
    return HttpError(401, "UNAUTHENTICATED", "the bearer token is missing or not valid");
  }
  const auto name = PercentDecode(
      std::string_view(request.head.path).substr(kTablesPath.size()), false);
  if (!name) return HttpError(400, "INVALID_PARAMETER_VALUE", "the name is malformed");
  auto description = service.tables.Describe(*name);
  if (!description.ok()) {
    return HttpError(404, "TABLE_DOES_NOT_EXIST", "table " + *name + " does not exist");
  }
  service.counters.Of(*name).Add(Counter::kTableReads);
  HttpReply reply;
  reply.body = std::move(*description);
  return reply;
}

HttpReply AnswerHttp(Service& service, const HttpRequest& request) {
  const std::string& path = request.head.path;
  const std::string& method = request.head.method;
  if (path == kTokenPath) {
    if (method != "POST") return HttpError(405, "METHOD_NOT_ALLOWED", "use POST");
    return service.tokens.Answer(request);
  }
  if (path.starts_with(kTablesPath)) {
    if (method != "GET") return HttpError(405, "METHOD_NOT_ALLOWED", "use GET");
    return DescribeTable(service, request);
  }
  if (path.starts_with(kControlPath)) return AnswerControl(service, request);
  return HttpError(404, "NOT_FOUND", "no such path: " + path);
}

class EmulatorRouter : public net::Router {
 public:
  explicit EmulatorRouter(Service* service) : service_(service) {}

  net::Route OnRequest(const net::RequestHead& head,
                       const std::shared_ptr<net::Call>& call) override {
    net::Route route;
    if (head.protocol == net::Protocol::kHttp1) {
      route.handler = MakeHttpHandler(
          call, &service_->timers, [service = service_](const HttpRequest& request) {
            return AnswerHttp(*service, request);
          });
      return route;
    }
    if (head.path == kRecordMethod) {
      route.handler = MakeStream(call, Mode::kRecord);
    } else if (head.path == kFlightMethod) {
      route.handler = MakeStream(call, Mode::kFlight);
      route.format = net::MessageFormat::kFlightData;
    }
    return route;
  }

 private:
  std::unique_ptr<net::CallHandler> MakeStream(const std::shared_ptr<net::Call>& call,
                                               Mode mode) {
    auto stream = std::make_unique<IngestStream>(call, service_, mode);
    // The first of the call's events, before any message.
    call->Post([begun = stream.get()] { begun->Begin(); });
    return stream;
  }

  Service* const service_;
};

}  // namespace

std::shared_ptr<net::Router> MakeRouter(Service* service) {
  return std::make_shared<EmulatorRouter>(service);
}

}  // namespace arrowport::emulator
