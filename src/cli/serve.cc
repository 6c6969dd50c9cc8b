#include "cli/app.h"
#include "config/load.h"
#include "config/source.h"

namespace arrowport::cli {
namespace {

arrow::Status Serve(const std::vector<std::string>& args, const Context& context) {
  config::LoadRequest request;
  request.args = args;
  request.environment = context.environment;
  ARROW_ASSIGN_OR_RAISE(const config::Settings settings, config::LoadSettings(request));
  ARROW_RETURN_NOT_OK(config::CreateParentFolders(settings));
  if (!context.server.run)
    return Error(ErrorCode::kNotBuilt, "this program was built without the server");
  return context.server.run(settings);
}

}  // namespace

void AddServe(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("serve", "Serve HTTP and Arrow Flight");
  auto args = std::make_shared<std::vector<std::string>>();
  AddSettingFlags(*command, args);
  command->footer("Every setting: `arrowport config reference`, or docs/reference/settings.md.");
  command->callback([args, &context] { context.Finish(Serve(*args, context)); });
}

void AddSettingFlags(CLI::App& command, const std::shared_ptr<std::vector<std::string>>& args) {
  const auto add = [&](const std::string& flag, std::string_view doc) {
    command
        .add_option_function<std::vector<std::string>>(
            flag,
            [args, flag](const std::vector<std::string>& values) {
              for (const std::string& value : values)
                args->insert(args->end(), {flag, value});
            },
            std::string(doc))
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->type_name("");
  };
  add("--config", "Configuration file (YAML)");
  add("--set", "Any setting: key=value");
  for (const config::FlagSpec& spec : config::Flags()) {
    const std::string flag(spec.flag);
    if (spec.type == config::Type::kBoolean) {
      command.add_flag_callback(
          flag, [args, flag] { args->push_back(flag); }, std::string(spec.doc));
    } else {
      add(flag, spec.doc);
    }
  }
}

}  // namespace arrowport::cli
