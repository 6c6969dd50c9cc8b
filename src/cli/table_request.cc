#include "cli/table_request.h"

#include <utility>

#include "base/error.h"
#include "cli/app.h"
#include "client/http.h"
#include "config/load.h"

namespace arrowport::cli {
namespace {

std::string TextOf(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// {"limit": 10} -> "?limit=10".
std::string QueryPart(const Json& fields) {
  std::string text;
  for (const auto& item : fields.items()) {
    text += text.empty() ? '?' : '&';
    text += item.key() + "=" +
            client::PathSegment(item.value().is_string() ? item.value().get<std::string>()
                                                         : TextOf(item.value()));
  }
  return text;
}

bool IsRead(const std::string& operation) {
  return operation == "list" || operation == "info" || operation == "history";
}

arrow::Result<std::string> SendOver(const client::ServerAddress& address,
                                    const ClientOptions& options,
                                    const TableRequest& request) {
  if (request.operation == "list") {
    return client::HttpGet(address, "/delta" + QueryPart(request.fields), options);
  }
  if (request.operation == "migrate") {
    Json body = request.fields;
    body["table"] = request.table;
    return client::HttpPost(address, "/migrate", TextOf(body), options);
  }
  const std::string path =
      "/delta/" + client::PathSegment(request.table) + "/" + request.operation;
  if (IsRead(request.operation)) {
    return client::HttpGet(address, path + QueryPart(request.fields), options);
  }
  return client::HttpPost(address, path, TextOf(request.fields), options);
}

arrow::Result<std::unique_ptr<LocalTables>> OpenLocal(const TableTarget& target,
                                                      const Context& context) {
  if (!context.server.open_tables) {
    return Error(ErrorCode::kNotBuilt, "this program was built without the server");
  }
  config::LoadRequest request;
  request.args = *target.setting_args;
  request.environment = context.environment;
  ARROW_ASSIGN_OR_RAISE(const config::Settings settings, config::LoadSettings(request));
  ARROW_RETURN_NOT_OK(config::CreateParentFolders(settings));
  return context.server.open_tables(settings);
}

arrow::Result<std::string> RunLocally(const TableRequest& request,
                                      const TableTarget& target, const Context& context) {
  ARROW_ASSIGN_OR_RAISE(const auto tables, OpenLocal(target, context));
  auto answer = tables->Run(request.operation, request.table, TextOf(request.fields));
  const arrow::Status closed = tables->Close();
  ARROW_RETURN_NOT_OK(answer);
  ARROW_RETURN_NOT_OK(closed);
  return answer;
}

}  // namespace

std::shared_ptr<TableTarget> AddTargetFlags(CLI::App& command, Context& context) {
  auto target = std::make_shared<TableTarget>();
  target->client = AddClientFlags(command);
  target->setting_args = std::make_shared<std::vector<std::string>>();
  command.add_flag("--local", target->local,
                   "On the storage itself, in this process, without a server");
  for (const char* flag : {"--config", "--db", "--delta-path", "--set"}) {
    command
        .add_option_function<std::vector<std::string>>(
            flag,
            [args = target->setting_args, flag](const std::vector<std::string>& values) {
              for (const std::string& value : values)
                args->insert(args->end(), {flag, value});
            },
            "As of `serve`, with --local")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
  AddJsonFlag(command, context);
  return target;
}

arrow::Result<Json> RunTableRequest(const TableRequest& request, const TableTarget& target,
                                    const Context& context) {
  if (target.local) {
    ARROW_ASSIGN_OR_RAISE(const std::string answer, RunLocally(request, target, context));
    return ParseAnswer(answer);
  }
  ARROW_ASSIGN_OR_RAISE(const ClientOptions options,
                        MakeClientOptions(*target.client, context));
  ARROW_ASSIGN_OR_RAISE(const auto address,
                        client::ParseServerUrl(ServerUrl(*target.client, context)));
  ARROW_ASSIGN_OR_RAISE(const std::string answer, SendOver(address, options, request));
  return ParseAnswer(answer);
}

}  // namespace arrowport::cli
