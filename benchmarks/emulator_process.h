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
  /// One that runs already; its CPU is not known.
  static std::unique_ptr<EmulatorProcess> Attach(std::string grpc_url, std::string http_url);
  /// Ends a spawned one with SIGTERM.
  ~EmulatorProcess();
  EmulatorProcess(const EmulatorProcess&) = delete;
  EmulatorProcess& operator=(const EmulatorProcess&) = delete;

  const std::string& grpc_url() const { return grpc_url_; }
  const std::string& http_url() const { return http_url_; }
  int pid() const { return pid_; }

 private:
  EmulatorProcess() = default;
  std::string grpc_url_;
  std::string http_url_;
  int pid_ = 0;
};

}  // namespace arrowport::bench
