// `streams` and `tables`: what a server says about them over HTTP.
#include "cli/app.h"
#include "cli/client_flags.h"
#include "cli/json_answer.h"
#include "client/http.h"

namespace arrowport::cli {
namespace {

arrow::Status List(const std::string& path, const ClientFlags& flags,
                   const Context& context) {
  ARROW_ASSIGN_OR_RAISE(const ClientOptions options, MakeClientOptions(flags, context));
  ARROW_ASSIGN_OR_RAISE(const auto address,
                        client::ParseServerUrl(ServerUrl(flags, context)));
  ARROW_ASSIGN_OR_RAISE(const std::string body, client::HttpGet(address, path, options));
  ARROW_ASSIGN_OR_RAISE(const Json answer, ParseAnswer(body));
  if (context.json) {
    PrintJson(answer);
    return {};
  }
  const Json* rows = ListIn(answer);
  PrintTable(TableOf(rows ? *rows : Json::array({answer})), context);
  return {};
}

void AddListing(CLI::App& app, Context& context, const std::string& name,
                const std::string& doc, const std::string& item_doc,
                const std::string& item_suffix) {
  CLI::App* command = app.add_subcommand(name, doc);
  auto item = std::make_shared<std::string>();
  command->add_option("name", *item, item_doc);
  auto flags = AddClientFlags(*command);
  AddJsonFlag(*command, context);
  command->callback([=, &context] {
    std::string path = "/" + name;
    if (!item->empty()) path += "/" + client::PathSegment(*item) + item_suffix;
    context.Finish(List(path, *flags, context));
  });
}

}  // namespace

void AddStreams(CLI::App& app, Context& context) {
  AddListing(app, context, "streams", "List streams of a server", "Only this stream", "");
}

void AddTables(CLI::App& app, Context& context) {
  AddListing(app, context, "tables", "List tables of a server", "Columns of this table",
             "/schema");
}

}  // namespace arrowport::cli
