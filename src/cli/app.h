// The program's command line, put together from its subcommands (one file each).
#pragma once

#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <vector>

#include "cli/context.h"

namespace arrowport::cli {

/// Runs one command line (without the program's name) and returns the exit code.
int RunCommandLine(const std::vector<std::string>& args, Context& context);

/// The command tree; `context` must outlive it.
std::unique_ptr<CLI::App> MakeApp(Context& context);

void AddServe(CLI::App& app, Context& context);
void AddIngest(CLI::App& app, Context& context);
void AddQuery(CLI::App& app, Context& context);
void AddGenerate(CLI::App& app, Context& context);
void AddStreams(CLI::App& app, Context& context);
void AddTables(CLI::App& app, Context& context);
void AddDelta(CLI::App& app, Context& context);
void AddMigrate(CLI::App& app, Context& context);
void AddConfig(CLI::App& app, Context& context);
void AddVersion(CLI::App& app, Context& context);
void AddCompletion(CLI::App& app, Context& context);
void AddZerobus(CLI::App& app, Context& context);
void AddZerobusSend(CLI::App& zerobus, Context& context);
void AddZerobusDecode(CLI::App& zerobus, Context& context);
/// Commands of the contract whose ability comes later.
void AddNotBuilt(CLI::App& app, Context& context);

/// The flags of settings.md; what is given is added to `args` in LoadRequest's form.
void AddSettingFlags(CLI::App& command,
                     const std::shared_ptr<std::vector<std::string>>& args);

/// --json, for every command.
void AddJsonFlag(CLI::App& command, Context& context);

}  // namespace arrowport::cli
