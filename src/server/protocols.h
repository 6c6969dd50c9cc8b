// The protocols over the services: who answers which request, and what the wire reports.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "config/settings.h"
#include "server/services.h"
#include "wire/net/call.h"
#include "wire/net/listener.h"

namespace arrowport::server {

/// What health checks report.
struct ServerState {
  std::atomic<bool> draining{false};
};

/// gRPC to Flight, HTTP/1.1 to the routes. Connected once, before the listener starts.
class ProtocolRouter final : public wire::net::Router {
 public:
  wire::net::Admission AdmissionOf(const wire::net::RequestHead& head) override;
  wire::net::Route OnRequest(const wire::net::RequestHead& head,
                             const std::shared_ptr<wire::net::Call>& call) override;

 private:
  wire::net::Router& RouterFor(const wire::net::RequestHead& head) const;

  friend void ConnectProtocols(const config::Settings& settings, const Services& services,
                               std::shared_ptr<ServerState> state, ProtocolRouter* router);
  std::shared_ptr<wire::net::Router> http_;
  std::shared_ptr<wire::net::Router> flight_;
};

void ConnectProtocols(const config::Settings& settings, const Services& services,
                      std::shared_ptr<ServerState> state, ProtocolRouter* router);

/// Serves GET /metrics and nothing else.
std::shared_ptr<wire::net::Router> MakeMetricsRouter(const Services& services);

/// Connections and refusals as metrics. Thread-safe.
class ConnectionMetrics final : public wire::net::Observer {
 public:
  explicit ConnectionMetrics(std::shared_ptr<observe::Registry> metrics);
  void OnConnection(wire::net::Protocol protocol, int change) override;
  void OnRejected(std::string_view reason) override;

 private:
  const std::shared_ptr<observe::Registry> metrics_;
  observe::Gauge& rest_;
  observe::Gauge& flight_;
};

/// Gauges read at scrape time; they report while the result lives, which must not outlive
/// `services` and `listener`.
std::vector<std::shared_ptr<void>> AddGauges(const Services& services,
                                             const wire::net::Listener& listener);

}  // namespace arrowport::server
