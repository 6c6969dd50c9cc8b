// `streams` and `tables`: what a server says about them over HTTP.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/app.h"
#include "cli/client_flags.h"
#include "cli/table.h"
#include "client/http.h"

namespace arrowport::cli {
namespace {

using Json = nlohmann::ordered_json;

std::optional<std::string> CellOf(const Json& value) {
  if (value.is_null()) return std::nullopt;
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return Grouped(value.get<int64_t>());
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Rows of objects with the keys of all of them, in the order they are met.
Table TableOf(const Json& rows) {
  Table table;
  for (const Json& row : rows) {
    if (!row.is_object()) continue;
    for (const auto& [key, value] : row.items()) {
      if (std::find(table.header.begin(), table.header.end(), key) != table.header.end())
        continue;
      table.header.push_back(key);
      table.right_aligned.push_back(value.is_number());
    }
  }
  for (const Json& row : rows) {
    std::vector<std::optional<std::string>> cells;
    for (const std::string& key : table.header) {
      const auto found = row.find(key);
      cells.push_back(found == row.end() ? std::nullopt : CellOf(*found));
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

/// The list in an answer: the answer itself, or its one member that is a list.
const Json* ListIn(const Json& answer) {
  if (answer.is_array()) return &answer;
  for (const auto& item : answer.items())
    if (item.value().is_array()) return &item.value();
  return nullptr;
}

arrow::Status List(const std::string& path, const ClientFlags& flags,
                   const Context& context) {
  ARROW_ASSIGN_OR_RAISE(const ClientOptions options, MakeClientOptions(flags, context));
  ARROW_ASSIGN_OR_RAISE(const auto address,
                        client::ParseServerUrl(ServerUrl(flags, context)));
  ARROW_ASSIGN_OR_RAISE(const std::string body, client::HttpGet(address, path, options));
  const Json answer = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (answer.is_discarded())
    return Error(ErrorCode::kInternal, "the server's answer is not JSON");
  if (context.json) {
    std::printf("%s\n",
                answer.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
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
