#include "cli/client_flags.h"

#include <fstream>

namespace arrowport::cli {

std::shared_ptr<ClientFlags> AddClientFlags(CLI::App& command) {
  auto flags = std::make_shared<ClientFlags>();
  command.add_option("--url", flags->url, "Server (default: ARROWPORT_URL, else localhost)");
  command.add_option("--user", flags->user, "User name");
  command.add_option("--password-file", flags->password_file,
                     "File whose first line is the password");
  command.add_option("--token", flags->token, "Bearer token");
  command.add_option("--tls-ca", flags->tls_ca, "PEM certificates to trust");
  return flags;
}

std::string ServerUrl(const ClientFlags& flags, const Context& context) {
  if (!flags.url.empty()) return flags.url;
  const std::string url = context.Environment("ARROWPORT_URL");
  return url.empty() ? "http://localhost:8888" : url;
}

arrow::Result<ClientOptions> MakeClientOptions(const ClientFlags& flags,
                                               const Context& context) {
  const auto either = [&](const std::string& flag, const char* variable) {
    return flag.empty() ? context.Environment(variable) : flag;
  };
  ClientOptions options;
  options.user = either(flags.user, "ARROWPORT_USER");
  options.token = either(flags.token, "ARROWPORT_TOKEN");
  options.tls_ca_file = flags.tls_ca;
  const std::string file = either(flags.password_file, "ARROWPORT_PASSWORD_FILE");
  if (!options.user.empty() && !file.empty()) {
    std::ifstream stream(file);
    if (!std::getline(stream, options.password))
      return Error(ErrorCode::kBadConfig, "cannot read the password file ", file);
    if (options.password.ends_with('\r')) options.password.pop_back();
  }
  return options;
}

}  // namespace arrowport::cli
