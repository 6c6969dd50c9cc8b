#include "server/ports.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"

namespace arrowport::server {
namespace {

constexpr uint16_t kHttpAlias = 8000;
constexpr uint16_t kParquetAlias = 8815;

// An alias is a courtesy: another program on its port is no reason not to serve.
bool BindAlias(uint16_t port, const BindPort& bind) {
  auto bound = bind(port);
  if (!bound.ok()) {
    LogWarn("alias port skipped", {{"port", std::to_string(port)},
                                   {"reason", bound.status().message()}});
  }
  return bound.ok();
}

}  // namespace

arrow::Result<Ports> BindPorts(const config::Settings& settings, const BindPort& bind) {
  Ports ports;
  ARROW_ASSIGN_OR_RAISE(uint16_t api, bind(settings.api.port));
  ports.http.push_back(api);
  ports.flight.push_back(api);
  bool any_given = settings.api.port_given || settings.flight.port_given;
  if (!settings.api.port_given && BindAlias(kHttpAlias, bind)) ports.http.push_back(kHttpAlias);
  if (settings.parquet_path_given && !any_given && BindAlias(kParquetAlias, bind)) {
    ports.http.push_back(kParquetAlias);
    ports.flight.push_back(kParquetAlias);
  }
  if (settings.flight.port == api && api != 0) return ports;
  ARROW_ASSIGN_OR_RAISE(uint16_t direct, bind(settings.flight.port));
  ports.flight.push_back(direct);
  return ports;
}

std::string ReadyFileText(const Ports& ports) {
  return nlohmann::ordered_json{
      {"pid", getpid()}, {"http", ports.http}, {"flight", ports.flight}}
             .dump() +
         "\n";
}

arrow::Status WriteReadyFile(const std::string& path, const Ports& ports) {
  std::filesystem::path target(path);
  std::error_code failure;
  if (target.has_parent_path()) {
    std::filesystem::create_directories(target.parent_path(), failure);
  }
  std::filesystem::path partial = path + ".partial";
  {
    std::ofstream out(partial, std::ios::trunc);
    out << ReadyFileText(ports);
    out.flush();
    if (!out) {
      return Error(ErrorCode::kBadConfig, "cannot write the ready file: ", path);
    }
  }
  std::filesystem::rename(partial, target, failure);
  if (failure) {
    return Error(ErrorCode::kBadConfig, "cannot write the ready file: ", path, ": ",
                 failure.message());
  }
  return {};
}

}  // namespace arrowport::server
