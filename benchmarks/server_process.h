// A server under measurement: spawned here with a folder of its own, or one that runs already.
#pragma once

#include <arrow/result.h>

#include <memory>
#include <string>
#include <vector>

namespace arrowport::bench {

class ServerProcess {
 public:
  /// Spawns `program serve` on free ports; `database` is a path or ":memory:". Waits until it
  /// serves.
  static arrow::Result<std::unique_ptr<ServerProcess>> Spawn(
      const std::string& program, const std::string& folder, const std::string& database,
      const std::vector<std::string>& arguments = {});
  /// One that runs already; `pid` 0: its memory and CPU are not known.
  static std::unique_ptr<ServerProcess> Attach(int http_port, int flight_port, int pid);
  /// Ends a spawned server with SIGTERM.
  ~ServerProcess();

  int http_port() const { return http_port_; }
  int flight_port() const { return flight_port_; }
  int pid() const { return pid_; }

 private:
  ServerProcess() = default;
  bool spawned_ = false;
  int http_port_ = 0;
  int flight_port_ = 0;
  int pid_ = 0;
};

}  // namespace arrowport::bench
