#include "emulator_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

extern char** environ;

namespace arrowport::bench {

arrow::Result<std::unique_ptr<EmulatorProcess>> EmulatorProcess::Spawn(
    const std::string& program, const std::string& folder, const std::string& tables_json,
    const std::vector<std::string>& arguments) {
  const std::string ready = folder + "/emulator_ready.json";
  const std::string tables = folder + "/tables.json";
  const std::string log = folder + "/emulator.log";
  std::remove(ready.c_str());
  std::ofstream(tables) << tables_json;
  std::vector<std::string> words = {program, "zerobus",  "emulate",
                                    "--tables", tables, "--ready-file", ready};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_CREAT | O_WRONLY | O_APPEND,
                                   0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  std::unique_ptr<EmulatorProcess> emulator(new EmulatorProcess());
  const int failed = posix_spawn(&emulator->pid_, program.c_str(), &files, nullptr,
                                 pointers.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0) {
    emulator->pid_ = 0;
    return arrow::Status::IOError("cannot start ", program);
  }
  for (int poll = 0; poll < 6000; ++poll) {
    std::ifstream file(ready);
    const auto document = nlohmann::json::parse(file, nullptr, false);
    if (document.is_object()) {
      const auto url = [&](const char* port) {
        return "http://127.0.0.1:" + std::to_string(document[port].get<int>());
      };
      emulator->grpc_url_ = url("grpc");
      emulator->http_url_ = url("http");
      return emulator;
    }
    if (waitpid(emulator->pid_, nullptr, WNOHANG) != 0) {
      emulator->pid_ = 0;
      return arrow::Status::IOError("the emulator ended at once, see ", log);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return arrow::Status::IOError("the emulator was not ready within 30 s, see ", log);
}

std::unique_ptr<EmulatorProcess> EmulatorProcess::Attach(std::string grpc_url,
                                                         std::string http_url) {
  std::unique_ptr<EmulatorProcess> emulator(new EmulatorProcess());
  emulator->grpc_url_ = std::move(grpc_url);
  emulator->http_url_ = std::move(http_url);
  return emulator;
}

EmulatorProcess::~EmulatorProcess() {
  if (pid_ <= 0) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

}  // namespace arrowport::bench
