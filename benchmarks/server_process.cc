#include "server_process.h"

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

arrow::Result<std::unique_ptr<ServerProcess>> ServerProcess::Spawn(
    const std::string& program, const std::string& folder, const std::string& database,
    const std::vector<std::string>& arguments) {
  std::string ready = folder + "/ready.json";
  std::remove(ready.c_str());
  std::vector<std::string> words = {program,         "serve", "--port", "0",
                                    "--flight-port", "0",     "--db",   database,
                                    "--ready-file",  ready};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  std::string log = folder + "/server.log";
  posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_CREAT | O_WRONLY | O_APPEND,
                                   0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  std::unique_ptr<ServerProcess> server(new ServerProcess());
  int failed = posix_spawn(&server->pid_, program.c_str(), &files, nullptr,
                           pointers.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0) return arrow::Status::IOError("cannot start ", program);
  server->spawned_ = true;
  for (int poll = 0; poll < 6000; ++poll) {
    std::ifstream file(ready);
    auto document = nlohmann::json::parse(file, nullptr, false);
    if (document.is_object()) {
      server->http_port_ = document["http"].front();
      server->flight_port_ = document["flight"].back();
      return server;
    }
    if (waitpid(server->pid_, nullptr, WNOHANG) != 0) {
      server->spawned_ = false;
      return arrow::Status::IOError("the server ended at once, see ", log);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return arrow::Status::IOError("the server was not ready within 30 s, see ", log);
}

std::unique_ptr<ServerProcess> ServerProcess::Attach(int http_port, int flight_port,
                                                     int pid) {
  std::unique_ptr<ServerProcess> server(new ServerProcess());
  server->http_port_ = http_port;
  server->flight_port_ = flight_port;
  server->pid_ = pid;
  return server;
}

ServerProcess::~ServerProcess() {
  if (!spawned_) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

}  // namespace arrowport::bench
