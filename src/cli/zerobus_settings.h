// How `zerobus send` is configured: flags, the variables users of Zerobus know, file.
#pragma once

#include <CLI/CLI.hpp>
#include <arrow/result.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arrowport/zerobus/debug_files.h"
#include "arrowport/zerobus/options.h"
#include "arrowport/zerobus/telemetry.h"
#include "cli/context.h"

namespace arrowport::cli {

struct ZerobusFlags {
  std::map<std::string, std::string> settings;  ///< by key, of named flags
  std::vector<std::string> sets;                ///< --set
  std::string config_file;
  std::string client_secret_file;
  std::string tls_ca;
};

struct ZerobusSettings {
  zerobus::Options options{"", ""};
  std::optional<zerobus::DebugFileOptions> debug;
  std::optional<zerobus::TelemetryOptions> telemetry;
};

/// --endpoint, --table, --mode and the others.
std::shared_ptr<ZerobusFlags> AddZerobusFlags(CLI::App& command);

/// Flag, environment (ZEROBUS_ENDPOINT ... and ARROWPORT_ZEROBUS_...), file, default.
/// Errors: kBadConfig.
arrow::Result<ZerobusSettings> LoadZerobusSettings(const ZerobusFlags& flags,
                                                   const Context& context);

}  // namespace arrowport::cli
