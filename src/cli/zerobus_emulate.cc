#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/app.h"
#include "emulator/emulator.h"

namespace arrowport::cli {
namespace {

struct EmulateOptions {
  emulator::Options emulator;
  std::string client;
  std::string tables_path;
  std::string script_path;
  std::string ready_path;
  std::string validate = "full";
};

arrow::Result<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error(ErrorCode::kNotFound, "cannot read ", path);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

arrow::Status WriteReadyFile(const std::string& path, const emulator::Emulator& running) {
  const nlohmann::ordered_json facts = {
      {"pid", getpid()}, {"grpc", running.grpc_port()}, {"http", running.http_port()}};
  const std::filesystem::path target(path);
  std::error_code failed;
  if (target.has_parent_path()) {
    std::filesystem::create_directories(target.parent_path(), failed);
  }
  const std::string partial = path + ".partial";
  {
    std::ofstream out(partial, std::ios::trunc);
    out << facts.dump() << "\n";
    out.flush();
    if (!out) return Error(ErrorCode::kBadConfig, "cannot write the ready file: ", path);
  }
  std::filesystem::rename(partial, target, failed);
  if (!failed) return {};
  return Error(ErrorCode::kBadConfig, "cannot write the ready file: ", path, ": ",
               failed.message());
}

arrow::Status SplitClient(const std::string& client, emulator::Options* options) {
  if (client.empty()) return {};
  const size_t colon = client.find(':');
  if (colon == std::string::npos || colon == 0) {
    return Error(ErrorCode::kBadConfig, "--client takes ID:SECRET");
  }
  options->client_id = client.substr(0, colon);
  options->client_secret = client.substr(colon + 1);
  return {};
}

/// SIGTERM or SIGINT, blocked in this and all later threads from construction on.
class EndSignals {
 public:
  EndSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  void Wait() const {
    int signal = 0;
    sigwait(&set_, &signal);
  }

 private:
  sigset_t set_;
};

arrow::Status Emulate(EmulateOptions options) {
  const EndSignals signals;
  ARROW_RETURN_NOT_OK(SplitClient(options.client, &options.emulator));
  options.emulator.look_into_rows = options.validate == "full";
  if (!options.tables_path.empty()) {
    ARROW_ASSIGN_OR_RAISE(options.emulator.tables_json, ReadFile(options.tables_path));
  }
  if (!options.script_path.empty()) {
    ARROW_ASSIGN_OR_RAISE(options.emulator.script_json, ReadFile(options.script_path));
  }
  ARROW_ASSIGN_OR_RAISE(const auto running, emulator::Emulator::Start(options.emulator));
  std::printf(
      "Zerobus emulator\n  endpoint       %s\n  Unity Catalog  %s\n  client id      %s\n",
      running->grpc_url().c_str(), running->http_url().c_str(),
      options.emulator.client_id.c_str());
  std::fflush(stdout);
  if (!options.ready_path.empty()) {
    ARROW_RETURN_NOT_OK(WriteReadyFile(options.ready_path, *running));
  }
  signals.Wait();
  running->Stop();
  if (!options.ready_path.empty()) unlink(options.ready_path.c_str());
  return {};
}

void AddEmulate(CLI::App& zerobus, Context& context) {
  CLI::App* command = zerobus.add_subcommand(
      "emulate", "Run a Zerobus service for tests on this machine");
  auto options = std::make_shared<EmulateOptions>();
  emulator::Options& emulator = options->emulator;
  command->add_option("--host", emulator.host,
                      "Address to listen on (default: 127.0.0.1)");
  command->add_option("--port", emulator.grpc_port,
                      "gRPC port; 0 takes any free one (default: 0)");
  command->add_option("--http-port", emulator.http_port,
                      "Port of OAuth, tables and control; 0 takes any (default: 0)");
  command->add_option("--tables", options->tables_path,
                      "JSON file: {\"c.s.t\": {\"columns\": [...]}}");
  command->add_option("--client", options->client,
                      "ID:SECRET that gets tokens (default: emulator:emulator)");
  command->add_option("--workspace", emulator.workspace_id,
                      "Workspace id that token requests must name (default: any)");
  command->add_option("--script", options->script_path,
                      "JSON file: acknowledgements, rotation, faults");
  command->add_option("--log", emulator.log_path,
                      "File for what is acknowledged (default: memory)");
  command->add_option("--ready-file", options->ready_path,
                      "Written once the ports are open: {\"pid\", \"grpc\", \"http\"}");
  command
      ->add_option("--validate", options->validate,
                   "full: check rows; none: read envelopes only (default: full)")
      ->check(CLI::IsMember({"full", "none"}));
  command->add_option(
      "--row-id", emulator.row_id_column,
      "Column whose values identify rows in the log (default: the first)");
  command->add_option("--request-bytes", emulator.request_bytes_max,
                      "Largest request of record mode (default: 10485760)");
  command->add_option("--seed", emulator.seed,
                      "Of jitter and probabilities (default: 1)");
  command->add_option("--time-scale", emulator.time_scale,
                      "Multiplies every time of the script (default: 1)");
  command->footer(
      "The script, the control interface and the log: "
      "docs/reference/zerobus-emulator.md.");
  AddJsonFlag(*command, context);
  command->callback([options, &context] { context.Finish(Emulate(*options)); });
}

}  // namespace

void AddZerobus(CLI::App& app, Context& context) {
  CLI::App* zerobus = app.add_subcommand("zerobus", "Databricks Zerobus: send, decode, emulate");
  zerobus->require_subcommand(1);
  AddZerobusSend(*zerobus, context);
  AddZerobusDecode(*zerobus, context);
  AddEmulate(*zerobus, context);
}

}  // namespace arrowport::cli
