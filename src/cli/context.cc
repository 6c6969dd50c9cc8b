#include "cli/context.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "config/load.h"

namespace arrowport::cli {

std::string Context::Environment(const std::string& name) const {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

void Context::Finish(const arrow::Status& status) {
  exit_code = ExitCodeOf(status);
  if (status.ok()) return;
  const std::string name(ErrorName(status));
  if (json) {
    const nlohmann::json line = {{"status", "error"},
                                 {"code", name},
                                 {"message", status.message()},
                                 {"retriable", IsRetriable(status)}};
    const std::string text =
        line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    std::fprintf(stderr, "%s\n", text.c_str());
    return;
  }
  const char* red = error_is_terminal ? "\033[31m" : "";
  const char* plain = error_is_terminal ? "\033[0m" : "";
  std::fprintf(stderr, "%sarrowport: %s%s [%s]\n", red, status.message().c_str(), plain,
               name.c_str());
}

Context MakeContext(ServerFunctions server) {
  Context context;
  context.environment = config::ProcessEnvironment();
  context.output_is_terminal = isatty(STDOUT_FILENO) != 0;
  context.error_is_terminal = isatty(STDERR_FILENO) != 0;
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    context.width = size.ws_col;
  context.server = std::move(server);
  return context;
}

}  // namespace arrowport::cli
