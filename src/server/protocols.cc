#include "server/protocols.h"

#include <string>

#include "wire/flight/flight_router.h"
#include "wire/http/router.h"

namespace arrowport::server {
namespace {

using observe::Metric;

constexpr const char* kVersion = ARROWPORT_VERSION;

bool OpenToEveryone(const config::Settings& settings) { return settings.auth.allow_anonymous; }

wire::ipc::DecoderLimits DecoderLimitsOf(const config::Limits& limits) {
  wire::ipc::DecoderLimits decoder;
  decoder.decoded_bytes_max = limits.message_bytes_max;
  decoder.decompress_ratio_max = limits.decompress_ratio_max;
  decoder.columns_max = limits.columns_max;
  decoder.nesting_max = limits.nesting_max;
  return decoder;
}

wire::http::Readiness ReadinessOf(const ServerState& state, const engine::Database& database) {
  wire::http::Readiness readiness;
  bool storage = !database.invalidated();
  readiness.ready = storage && !state.draining;
  readiness.details = {{"storage", storage ? "ok" : "being reopened"},
                       {"draining", state.draining ? "yes" : "no"}};
  return readiness;
}

class MetricsRouter final : public wire::net::Router {
 public:
  explicit MetricsRouter(std::shared_ptr<wire::net::Router> http) : http_(std::move(http)) {}

  wire::net::Route OnRequest(const wire::net::RequestHead& head,
                             const std::shared_ptr<wire::net::Call>& call) override {
    bool wanted = head.protocol == wire::net::Protocol::kHttp1 && head.path == "/metrics";
    return wanted ? http_->OnRequest(head, call) : wire::net::Route{};
  }

 private:
  const std::shared_ptr<wire::net::Router> http_;
};

}  // namespace

wire::net::Route ProtocolRouter::OnRequest(const wire::net::RequestHead& head,
                                           const std::shared_ptr<wire::net::Call>& call) {
  return RouterFor(head).OnRequest(head, call);
}

wire::net::Admission ProtocolRouter::AdmissionOf(const wire::net::RequestHead& head) {
  return RouterFor(head).AdmissionOf(head);
}

wire::net::Router& ProtocolRouter::RouterFor(const wire::net::RequestHead& head) const {
  return head.protocol == wire::net::Protocol::kGrpc ? *flight_ : *http_;
}

void ConnectProtocols(const config::Settings& settings, const Services& services,
                      std::shared_ptr<ServerState> state, ProtocolRouter* router) {
  wire::http::HttpOptions http;
  http.ingest = services.ingest;
  http.query = services.query;
  http.maintain = services.maintain;
  if (settings.api.enable_metrics) http.metrics = services.metrics;
  http.server_version = kVersion;
  http.access = OpenToEveryone(settings) ? wire::http::Access::kEveryone
                                         : wire::http::Access::kLoopbackOnly;
  http.readiness = [state = std::move(state), database = services.storage.database] {
    return ReadinessOf(*state, *database);
  };
  http.body_bytes_max = settings.limits.body_bytes_max;
  http.decode.decoder = DecoderLimitsOf(settings.limits);
  http.decode.parser.message_bytes_max = settings.limits.message_bytes_max;
  http.decode.decompress_ratio_max = settings.limits.decompress_ratio_max;
  http.decode.request_memory_max = settings.limits.request_memory_max;
  http.decode.budget = services.budget;
  router->http_ = std::make_shared<wire::http::HttpRouter>(std::move(http));

  wire::flight::FlightOptions flight;
  flight.ingest = services.ingest;
  flight.query = services.query;
  flight.maintain = services.maintain;
  flight.authenticator = wire::flight::MakeOpenAuthenticator(
      OpenToEveryone(settings) ? wire::flight::OpenTo::kEveryPeer
                               : wire::flight::OpenTo::kLoopback);
  flight.decoder = DecoderLimitsOf(settings.limits);
  flight.budget = services.budget;
  flight.facts.version = kVersion;
  router->flight_ = std::make_shared<wire::flight::FlightRouter>(std::move(flight));
}

std::shared_ptr<wire::net::Router> MakeMetricsRouter(const Services& services) {
  wire::http::HttpOptions http;
  http.ingest = services.ingest;
  http.query = services.query;
  http.metrics = services.metrics;
  http.server_version = kVersion;
  return std::make_shared<MetricsRouter>(
      std::make_shared<wire::http::HttpRouter>(std::move(http)));
}

ConnectionMetrics::ConnectionMetrics(std::shared_ptr<observe::Registry> metrics)
    : metrics_(std::move(metrics)),
      rest_(metrics_->GetGauge(Metric::kActiveConnections, {"rest"})),
      flight_(metrics_->GetGauge(Metric::kActiveConnections, {"flight"})) {}

void ConnectionMetrics::OnConnection(wire::net::Protocol protocol, int change) {
  (protocol == wire::net::Protocol::kHttp1 ? rest_ : flight_).Add(change);
}

void ConnectionMetrics::OnRejected(std::string_view reason) {
  metrics_->GetCounter(Metric::kAdmissionRejected, {std::string(reason)}).Add();
}

std::vector<std::shared_ptr<void>> AddGauges(const Services& services,
                                             const wire::net::Listener& listener) {
  observe::Registry& metrics = *services.metrics;
  std::vector<std::shared_ptr<void>> gauges = observe::AddProcessMetrics(&metrics, kVersion);
  auto add = [&](Metric metric, observe::Registry::Callback callback) {
    gauges.push_back(metrics.AddCallback(metric, std::move(callback)));
  };
  add(Metric::kInflightBytes, [budget = services.budget] {
    return std::vector<observe::Sample>{{{}, static_cast<double>(budget->used_bytes())}};
  });
  add(Metric::kWalBytes, [database = services.storage.database] {
    return std::vector<observe::Sample>{{{}, static_cast<double>(database->wal_bytes())}};
  });
  add(Metric::kMemoryBytes, [budget = services.budget, pool = listener.pool()] {
    return std::vector<observe::Sample>{
        {{"ingest"}, static_cast<double>(budget->used_bytes())},
        {{"pool_idle"}, static_cast<double>(pool->idle_bytes())}};
  });
  return gauges;
}

}  // namespace arrowport::server
