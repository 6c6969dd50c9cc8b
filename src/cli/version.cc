#include <arrow/config.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "arrowport/version.h"
#include "cli/app.h"

namespace arrowport::cli {

void AddVersion(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("version", "Print the version");
  AddJsonFlag(*command, context);
  command->callback([&context] {
    const std::string arrow_version = arrow::GetBuildInfo().version_string;
    if (context.json) {
      const nlohmann::json line = {{"version", kVersionText}, {"arrow", arrow_version}};
      std::printf("%s\n", line.dump().c_str());
    } else {
      std::printf("arrowport %s (Arrow %s)\n", kVersionText, arrow_version.c_str());
    }
  });
}

}  // namespace arrowport::cli
