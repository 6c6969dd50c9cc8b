// `arrowport zerobus emulate` in a process of its own, for the benchmarks of the writer.
#pragma once

#include <arrow/result.h>

#include <memory>
#include <string>
#include <vector>

namespace arrowport::bench {

class EmulatorProcess {
 public:
  /// Spawns `program` on free ports with `tables_json` and waits until it is ready; its
  /// files go into `folder`.
  static arrow::Result<std::unique_ptr<EmulatorProcess>> Spawn(
      const std::string& program, const std::string& folder,
      const std::string& tables_json, const std::vector<std::string>& arguments);
  /// Ends it with SIGTERM.
  ~EmulatorProcess();
  EmulatorProcess(const EmulatorProcess&) = delete;
  EmulatorProcess& operator=(const EmulatorProcess&) = delete;

  std::string grpc_url() const { return "http://127.0.0.1:" + std::to_string(grpc_port_); }
  std::string http_url() const { return "http://127.0.0.1:" + std::to_string(http_port_); }
  int pid() const { return pid_; }

 private:
  EmulatorProcess() = default;
  int grpc_port_ = 0;
  int http_port_ = 0;
  int pid_ = 0;
};

}  // namespace arrowport::bench
