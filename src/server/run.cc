#include <unistd.h>

#include <cstdio>
#include <string>

#include "base/error.h"
#include "base/fault_point.h"
#include "base/log.h"
#include "config/load.h"
#include "server/server.h"
#include "server/signals.h"

namespace arrowport::server {
namespace {

void StartLog(const config::LogSettings& settings) {
  LogLevel level = LogLevel::kInfo;
  if (settings.level == "debug") level = LogLevel::kDebug;
  if (settings.level == "warn") level = LogLevel::kWarn;
  if (settings.level == "error") level = LogLevel::kError;
  if (settings.level == "off") level = LogLevel::kOff;
  bool pretty =
      settings.format == "pretty" || (settings.format == "auto" && isatty(STDERR_FILENO));
  InitLog(level, pretty ? LogFormat::kPretty : LogFormat::kJson);
}

std::string ListPorts(const std::vector<uint16_t>& ports) {
  std::string text;
  for (uint16_t port : ports) text += (text.empty() ? "" : ", ") + std::to_string(port);
  return text;
}

// What a person needs to send a first batch: where, and one line to paste per protocol.
void PrintBanner(const config::Settings& settings, const Ports& ports) {
  std::string url = settings.api.host + ":" + std::to_string(ports.http.front());
  std::string flight = settings.api.host + ":" + std::to_string(ports.flight.back());
  std::printf(
      "Arrowport lands Arrow data in %s\n"
      "  HTTP    port %s\n"
      "  Flight  port %s\n"
      "\n"
      "Try it:\n"
      "  curl -T data.arrows -X POST http://%s/ingest/events\n"
      "  curl http://%s/query -d 'SELECT count(*) FROM events' -H 'Accept: text/csv'\n"
      "  python -c \"import pyarrow.flight as f; print(f.connect('grpc://%s')"
      ".do_get(f.Ticket(b'SELECT 42')).read_all())\"\n"
      "\n",
      settings.duckdb.path.c_str(), ListPorts(ports.http).c_str(),
      ListPorts(ports.flight).c_str(), url.c_str(), url.c_str(), flight.c_str());
  std::fflush(stdout);
}

}  // namespace

arrow::Status RunServer(const config::Settings& settings) {
  SignalWatcher signals;  // before any thread
  StartLog(settings.log);
  for (const std::string& warning : settings.warnings) LogWarn(warning);
  if (!settings.test_faults.empty()) ARROW_RETURN_NOT_OK(ArmFaultPoints(settings.test_faults));
  ARROW_RETURN_NOT_OK(config::CreateParentFolders(settings));
  ARROW_RETURN_NOT_OK(signals.Start());
  ARROW_ASSIGN_OR_RAISE(std::unique_ptr<Server> server, Server::Start(settings));
  PrintBanner(settings, server->ports());
  if (!settings.ready_file.empty()) {
    ARROW_RETURN_NOT_OK(WriteReadyFile(settings.ready_file, server->ports()));
  }
  int signal = signals.Wait();
  LogInfo("draining", {{"signal", signal == 15 ? "SIGTERM" : "SIGINT"},
                       {"grace_seconds", std::to_string(settings.shutdown.grace_seconds)}});
  arrow::Status stopped = server->Stop();
  if (!settings.ready_file.empty()) unlink(settings.ready_file.c_str());
  LogInfo("stopped");
  return stopped;
}

}  // namespace arrowport::server
