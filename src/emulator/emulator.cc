#include "emulator/emulator.h"

#include <utility>

#include "base/error.h"
#include "emulator/routes.h"
#include "emulator/service.h"
#include "wire/net/listener.h"

namespace arrowport::emulator {

namespace net = wire::net;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

net::ListenerOptions ListenerOptionsFor(Service* service) {
  net::ListenerOptions options;
  options.router = MakeRouter(service);
  // A double must not refuse what the service takes: scripts say what is refused.
  options.requests_in_flight_max = 10000;
  options.connections_max = 20000;
  options.request_memory_max = options.message_bytes_max;
  return options;
}

arrow::Status Check(const Options& options) {
  if (options.request_bytes_max <= 0) {
    return Error(ErrorCode::kBadConfig, "the request limit must be above 0: ",
                 options.request_bytes_max);
  }
  if (!(options.time_scale > 0 && options.time_scale <= 1000)) {
    return Error(ErrorCode::kBadConfig, "the time scale must be above 0 and at most 1000: ",
                 options.time_scale);
  }
  if (options.client_id.empty() || options.client_id.find(':') != std::string::npos) {
    return Error(ErrorCode::kBadConfig, "a client id must not be empty nor hold a colon");
  }
  return {};
}

}  // namespace

struct Emulator::Parts {
  Parts(ServiceOptions options, std::unique_ptr<RowLog> log)
      : service(std::move(options), std::move(log)) {}

  std::string host;
  Service service;
  std::unique_ptr<net::Listener> listener;
  uint16_t grpc_port = 0;
  uint16_t http_port = 0;
};

arrow::Result<std::unique_ptr<Emulator>> Emulator::Start(const Options& options) {
  ARROW_RETURN_NOT_OK(Check(options));
  ARROW_ASSIGN_OR_RAISE(auto log, RowLog::Open(options.log_path));
  ServiceOptions service_options;
  service_options.oauth = {options.client_id, options.client_secret, options.workspace_id};
  service_options.look_into_rows = options.look_into_rows;
  service_options.request_bytes_max = options.request_bytes_max;
  service_options.id_column = options.row_id_column;
  service_options.seed = options.seed;
  service_options.time_scale = options.time_scale;
  auto parts = std::make_unique<Parts>(std::move(service_options), std::move(log));
  parts->host = options.host;
  ARROW_RETURN_NOT_OK(parts->service.tables.Load(options.tables_json));
  ARROW_ASSIGN_OR_RAISE(Script script, ParseScript(options.script_json));
  parts->service.scenario.SetScript(std::move(script));
  ARROW_ASSIGN_OR_RAISE(parts->listener,
                        net::Listener::Make(ListenerOptionsFor(&parts->service)));
  ARROW_ASSIGN_OR_RAISE(parts->grpc_port,
                        parts->listener->Bind(options.host, options.grpc_port));
  ARROW_ASSIGN_OR_RAISE(parts->http_port,
                        parts->listener->Bind(options.host, options.http_port));
  ARROW_RETURN_NOT_OK(parts->listener->Start());
  return std::unique_ptr<Emulator>(new Emulator(std::move(parts)));
}

Emulator::Emulator(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Emulator::~Emulator() { Stop(); }

void Emulator::Stop() {
  // Timers first: what they post to calls is dropped with the calls.
  parts_->service.timers.Stop();
  parts_->listener->Stop(milliseconds::zero());
  parts_->service.log->Stop();
}

uint16_t Emulator::grpc_port() const { return parts_->grpc_port; }
uint16_t Emulator::http_port() const { return parts_->http_port; }

std::string Emulator::grpc_url() const {
  return "http://" + parts_->host + ":" + std::to_string(parts_->grpc_port);
}

std::string Emulator::http_url() const {
  return "http://" + parts_->host + ":" + std::to_string(parts_->http_port);
}

arrow::Status Emulator::LoadScript(std::string_view script_json) {
  ARROW_ASSIGN_OR_RAISE(Script script, ParseScript(script_json));
  parts_->service.scenario.SetScript(std::move(script));
  return {};
}

arrow::Status Emulator::PutTable(const std::string& name, const std::string& columns_json) {
  return parts_->service.tables.Put(name, columns_json);
}

arrow::Status Emulator::DropTable(const std::string& name) {
  return parts_->service.tables.Drop(name);
}

int Emulator::Rotate(const std::string& table, std::optional<milliseconds> duration) {
  Rotation rotation;
  rotation.duration = duration;
  return parts_->service.streams.Rotate(table, rotation);
}

int Emulator::RevokeTokens(const std::string& table) {
  return parts_->service.tokens.Revoke(table);
}

int Emulator::ExpireTokens(const std::string& table) {
  return parts_->service.tokens.Expire(table);
}

CounterValues Emulator::Read(const std::string& table) const {
  return parts_->service.counters.Read(table);
}

int64_t Emulator::Read(Counter counter, const std::string& table) const {
  return Read(table)[static_cast<size_t>(counter)];
}

bool Emulator::WaitUntil(const std::function<bool(const CounterValues&)>& holds,
                         milliseconds patience, const std::string& table) {
  return parts_->service.counters.WaitUntil(table, holds, steady_clock::now() + patience);
}

void Emulator::ClearCounters() { parts_->service.counters.Clear(); }

arrow::Result<std::vector<LoggedRequest>> Emulator::ReadLog() const {
  return parts_->service.log->ReadRequests();
}

arrow::Status Emulator::ClearLog() { return parts_->service.log->Clear(); }

}  // namespace arrowport::emulator
