#include "cli/app.h"

#include <algorithm>
#include <iostream>

#include "config/value.h"

namespace arrowport::cli {
namespace {

/// "did you mean" for the name of a command.
std::string CommandHint(const CLI::App& app, const std::vector<std::string>& args) {
  if (args.empty() || args[0].starts_with('-')) return "";
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  if (std::find(names.begin(), names.end(), args[0]) != names.end()) return "";
  const std::string nearest = config::Nearest(args[0], names);
  return "unknown command '" + args[0] + "'" +
         (nearest.empty() ? "" : "; did you mean '" + nearest + "'?");
}

}  // namespace

void AddJsonFlag(CLI::App& command, Context& context) {
  command.add_flag("--json", context.json, "Answers and errors as JSON");
}

std::unique_ptr<CLI::App> MakeApp(Context& context) {
  auto app = std::make_unique<CLI::App>(
      "Arrowport: lands Apache Arrow data durably and exactly once, and serves SQL back.",
      "arrowport");
  app->require_subcommand(1);
  app->set_help_all_flag("--help-all", "Help of every command");
  app->footer("Exit codes: 0 done, 1 refused by server or data, 2 usage, 3 cannot reach or "
              "bind, 4 partly done.");
  AddServe(*app, context);
  AddIngest(*app, context);
  AddQuery(*app, context);
  AddGenerate(*app, context);
  AddStreams(*app, context);
  AddTables(*app, context);
  AddConfig(*app, context);
  AddZerobus(*app, context);
  AddVersion(*app, context);
  AddCompletion(*app, context);
  AddNotBuilt(*app, context);
  return app;
}

int RunCommandLine(const std::vector<std::string>& args, Context& context) {
  if (args.size() == 1 && args[0] == "--version") return RunCommandLine({"version"}, context);
  const auto app = MakeApp(context);
  const std::string hint = CommandHint(*app, args);
  if (!hint.empty()) {
    std::cerr << "arrowport: " << hint << "\nTry `arrowport --help`.\n";
    return kUsage;
  }
  try {
    // CLI11 takes the arguments from the back.
    app->parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::Success& help) {
    return app->exit(help);
  } catch (const CLI::ParseError& error) {
    std::cerr << "arrowport: " << error.what() << "\nTry `arrowport"
              << (args.empty() ? "" : " " + args[0]) << " --help`.\n";
    return kUsage;
  } catch (const std::exception& error) {
    std::cerr << "arrowport: " << error.what() << "\n";
    return kRefused;
  }
  return context.exit_code;
}

}  // namespace arrowport::cli
