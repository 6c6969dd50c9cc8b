// How the commands that talk to a server find it and prove who they are.
#pragma once

#include <CLI/CLI.hpp>
#include <arrow/result.h>

#include <memory>
#include <string>

#include "arrowport/options.h"
#include "cli/context.h"

namespace arrowport::cli {

struct ClientFlags {
  std::string url;
  std::string user;
  std::string password_file;
  std::string token;
  std::string tls_ca;
};

/// --url, --user, --password-file, --token, --tls-ca.
std::shared_ptr<ClientFlags> AddClientFlags(CLI::App& command);

/// --url, else ARROWPORT_URL, else http://localhost:8888.
std::string ServerUrl(const ClientFlags& flags, const Context& context);

/// Flags, else ARROWPORT_USER, ARROWPORT_PASSWORD_FILE, ARROWPORT_TOKEN. Errors:
/// kBadConfig (a file that cannot be read).
arrow::Result<ClientOptions> MakeClientOptions(const ClientFlags& flags,
                                               const Context& context);

}  // namespace arrowport::cli
