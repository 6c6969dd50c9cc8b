#include "server/server.h"

#include <chrono>

#include "base/error.h"
#include "base/log.h"
#include "server/delta_tables.h"
#include "server/protocols.h"
#include "server/services.h"
#include "wire/net/listener.h"

namespace arrowport::server {

using std::chrono::milliseconds;

struct Server::Parts {
  config::Settings settings;
  Services services;
  std::shared_ptr<ServerState> state = std::make_shared<ServerState>();
  std::unique_ptr<wire::net::Listener> listener;
  std::unique_ptr<wire::net::Listener> metrics_listener;
  std::vector<std::shared_ptr<void>> gauges;
  Ports ports;
};

namespace {

wire::net::ListenerOptions ListenerOptionsOf(const config::Limits& limits,
                                             const Services& services) {
  wire::net::ListenerOptions options;
  options.message_bytes_max = limits.message_bytes_max;
  options.request_memory_max = limits.request_memory_max;
  options.budget = services.budget;
  options.connections_max = limits.connections_max;
  options.connections_per_address_max = limits.connections_per_address_max;
  options.requests_in_flight_max = limits.requests_in_flight_max;
  options.queue_wait = limits.queue_wait;
  options.header_timeout = limits.header_timeout;
  options.body_rate_min_bytes = limits.body_rate_min;
  options.idle_timeout = limits.idle_timeout;
  options.write_stall_timeout = limits.write_stall_timeout;
  options.observer = std::make_shared<ConnectionMetrics>(services.metrics);
  return options;
}

arrow::Result<std::unique_ptr<wire::net::Listener>> ListenForMetrics(
    const config::Settings& settings, std::shared_ptr<wire::net::Router> router) {
  wire::net::ListenerOptions options;
  options.io_threads = 1;
  options.worker_threads = 1;
  options.pool_idle_bytes_max = 0;
  options.router = std::move(router);
  ARROW_ASSIGN_OR_RAISE(auto listener, wire::net::Listener::Make(std::move(options)));
  ARROW_RETURN_NOT_OK(listener->Bind(settings.api.host, *settings.api.metrics_port).status());
  ARROW_RETURN_NOT_OK(listener->Start());
  return listener;
}

}  // namespace

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Server::~Server() {
  if (!parts_) return;
  arrow::Status stopped = Stop();
  if (!stopped.ok()) LogError("stop failed", {{"reason", stopped.message()}});
}

const Ports& Server::ports() const { return parts_->ports; }

arrow::Result<std::unique_ptr<Server>> Server::Start(const config::Settings& settings) {
  // Owned by a Server from here on, so that a failure half-way stops what was started.
  std::unique_ptr<Server> server(new Server(std::make_unique<Parts>()));
  Parts& parts = *server->parts_;
  parts.settings = settings;
  // Ports are bound before the storage is opened: a second server on the same machine fails on
  // its port, not on the file's lock.
  auto router = std::make_shared<ProtocolRouter>();
  wire::net::ListenerOptions options;
  parts.services.metrics = std::make_shared<observe::Registry>();
  parts.services.budget = std::make_shared<ByteBudget>(settings.limits.ingest_memory_max);
  options = ListenerOptionsOf(settings.limits, parts.services);
  options.router = router;
  ARROW_ASSIGN_OR_RAISE(parts.listener, wire::net::Listener::Make(std::move(options)));
  ARROW_ASSIGN_OR_RAISE(parts.ports, BindPorts(settings, [&](uint16_t port) {
                          return parts.listener->Bind(settings.api.host, port);
                        }));
  ARROW_RETURN_NOT_OK(StartServices(settings, &parts.services));
  ConnectProtocols(settings, parts.services, parts.state, router.get());
  parts.gauges = AddGauges(parts.services, *parts.listener);
  for (auto& gauge : AddDeltaGauges(parts.services)) {
    parts.gauges.push_back(std::move(gauge));
  }
  if (parts.services.schedule) parts.services.schedule->Start();
  if (settings.api.metrics_port && settings.api.enable_metrics) {
    ARROW_ASSIGN_OR_RAISE(parts.metrics_listener,
                          ListenForMetrics(settings, MakeMetricsRouter(parts.services)));
  }
  ARROW_RETURN_NOT_OK(parts.listener->Start());
  return server;
}

arrow::Status Server::Stop() {
  parts_->state->draining = true;
  milliseconds grace = std::chrono::seconds(parts_->settings.shutdown.grace_seconds);
  if (parts_->listener) {
    int cut = parts_->listener->Stop(grace);
    if (cut > 0) LogWarn("calls cut at the end of the grace period", {{"calls", std::to_string(cut)}});
  }
  if (parts_->metrics_listener) parts_->metrics_listener->Stop(milliseconds(0));
  parts_->gauges.clear();
  return StopServices(parts_->settings, &parts_->services);
}

struct LocalServices::Parts {
  config::Settings settings;
  Services services;
};

LocalServices::LocalServices(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

LocalServices::~LocalServices() {
  arrow::Status closed = Close();
  if (!closed.ok()) LogError("close failed", {{"reason", closed.message()}});
}

arrow::Result<std::unique_ptr<LocalServices>> LocalServices::Open(
    const config::Settings& settings) {
  std::unique_ptr<LocalServices> local(new LocalServices(std::make_unique<Parts>()));
  local->parts_->settings = settings;
  local->parts_->services.metrics = std::make_shared<observe::Registry>();
  local->parts_->services.budget =
      std::make_shared<ByteBudget>(settings.limits.ingest_memory_max);
  ARROW_RETURN_NOT_OK(StartServices(settings, &local->parts_->services));
  return local;
}

ingest::Service& LocalServices::ingest() { return *parts_->services.ingest; }
query::Service& LocalServices::query() { return *parts_->services.query; }
arrow::Result<std::string> LocalServices::RunOnTable(const std::string& operation,
                                                     const std::string& table,
                                                     const std::string& fields) {
  return parts_->services.maintain->RunHere({operation, table, fields});
}

arrow::Status LocalServices::Close() {
  return StopServices(parts_->settings, &parts_->services);
}

}  // namespace arrowport::server
