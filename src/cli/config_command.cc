#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/app.h"
#include "cli/table.h"
#include "config/load.h"
#include "config/reference.h"

namespace arrowport::cli {
namespace {

arrow::Result<config::Settings> Load(const std::vector<std::string>& args,
                                     const Context& context) {
  config::LoadRequest request;
  request.args = args;
  request.environment = context.environment;
  return config::LoadSettings(request);
}

void PrintLine(const std::string& line) { std::printf("%s\n", line.c_str()); }

arrow::Status Show(const std::vector<std::string>& args, const Context& context) {
  ARROW_ASSIGN_OR_RAISE(const config::Settings settings, Load(args, context));
  if (context.json) {
    nlohmann::json all = nlohmann::json::array();
    for (const config::EffectiveValue& value : settings.effective) {
      all.push_back({{"key", value.key},
                     {"value", value.value},
                     {"origin", value.origin},
                     {"reload", value.reloadable ? "live" : "restart"}});
    }
    PrintLine(all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return {};
  }
  Table table{{"key", "value", "origin"}, {}, {}};
  for (const config::EffectiveValue& value : settings.effective)
    table.rows.push_back({value.key, value.value, value.origin});
  PrintTable(table, context);
  return {};
}

arrow::Status Check(const std::vector<std::string>& args, const Context& context) {
  ARROW_ASSIGN_OR_RAISE(const config::Settings settings, Load(args, context));
  const std::string file = settings.files.empty() ? "no file" : settings.files[0];
  if (context.json) {
    const nlohmann::json line = {
        {"status", "success"}, {"files", settings.files}, {"warnings", settings.warnings}};
    PrintLine(line.dump());
    return {};
  }
  for (const std::string& warning : settings.warnings) PrintLine("warning: " + warning);
  PrintLine("configuration is valid (" + file + ")");
  return {};
}

}  // namespace

void AddConfig(CLI::App& app, Context& context) {
  CLI::App* config = app.add_subcommand("config", "Show or check the configuration");
  config->require_subcommand(1);
  const auto add = [&](const char* name, const char* doc, auto run) {
    CLI::App* command = config->add_subcommand(name, doc);
    auto args = std::make_shared<std::vector<std::string>>();
    AddSettingFlags(*command, args);
    AddJsonFlag(*command, context);
    command->callback([args, run, &context] { context.Finish(run(*args, context)); });
  };
  add("show", "Effective values and where each comes from, secrets masked", Show);
  add("check", "Check file, environment and flags", Check);
  // For the documentation; a test keeps the page current.
  config->add_subcommand("reference", "Print the reference page")->group("")->callback([] {
    std::fputs(config::ReferencePage().c_str(), stdout);
  });
}

}  // namespace arrowport::cli
