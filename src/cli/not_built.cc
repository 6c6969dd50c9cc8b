#include <iostream>

#include "cli/app.h"

namespace arrowport::cli {

void AddNotBuilt(CLI::App& app, Context& context) {
  const std::pair<const char*, const char*> commands[] = {
      {"delta", "list, info, history, vacuum, restore, optimize, checkpoint"},
      {"migrate", "Move a table between DuckDB and Delta"},
      {"quarantine", "list, show, replay, drop"},
      {"backup", "Consistent online copy"},
      {"recover", "Repair a damaged log offline"},
      {"user", "hash: make a password hash"},
      {"doctor", "Examine environment, ports and storage"},
  };
  for (const auto& [name, doc] : commands) {
    CLI::App* command = app.add_subcommand(name, std::string(doc) + " (not built yet)");
    command->group("Not built yet");
    command->allow_extras();
    command->callback([name = std::string(name), &context] {
      std::cerr << "arrowport: `" << name << "` is not built yet\n";
      context.FinishWith(kUsage);
    });
  }
}

}  // namespace arrowport::cli
