// `delta list|info|history|vacuum|restore|optimize|checkpoint`.
#include <chrono>
#include <ctime>
#include <utility>

#include "cli/app.h"
#include "cli/table_request.h"

namespace arrowport::cli {
namespace {

/// "2024-05-01 12:00:00.123" in UTC.
std::string TimeText(int64_t milliseconds) {
  const auto time = std::chrono::floor<std::chrono::seconds>(
      std::chrono::sys_time<std::chrono::milliseconds>(
          std::chrono::milliseconds(milliseconds)));
  const std::time_t seconds = time.time_since_epoch().count();
  std::tm parts{};
  char text[64];
  if (gmtime_r(&seconds, &parts) == nullptr ||
      std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts) == 0) {
    return std::to_string(milliseconds);
  }
  char fraction[8];
  std::snprintf(fraction, sizeof fraction, ".%03d",
                static_cast<int>(((milliseconds % 1000) + 1000) % 1000));
  return std::string(text) + fraction;
}

/// {"a": 1} -> "a=1", without quotes around texts.
std::string PairsText(const Json& object) {
  std::string text;
  for (const auto& item : object.items()) {
    if (!text.empty()) text += ", ";
    text += item.key() + "=" +
            (item.value().is_string()
                 ? item.value().get<std::string>()
                 : item.value().dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return text;
}

/// Rows of a history for people: the time as such, objects as pairs.
Json HistoryRows(const Json& answer) {
  Json rows = Json::array();
  for (const Json& line : answer.value("history", Json::array())) {
    if (!line.is_object()) continue;
    Json row = line;
    const auto time = line.find("timestamp");
    if (time != line.end() && time->is_number_integer())
      row["timestamp"] = TimeText(time->get<int64_t>());
    for (const char* name : {"operationParameters", "operationMetrics"}) {
      const auto object = line.find(name);
      if (object != line.end() && object->is_object()) row[name] = PairsText(*object);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

/// Fields of an object, one a line; columns of a schema one a line too.
Json FieldRows(const Json& answer) {
  Json rows = Json::array();
  for (const auto& item : answer.items()) {
    const bool is_schema = item.key() == "schema" && item.value().is_object();
    if (!is_schema) {
      rows.push_back({{"field", item.key()}, {"value", item.value()}});
      continue;
    }
    for (const Json& column : item.value().value("fields", Json::array())) {
      if (!column.is_object()) continue;
      rows.push_back({{"field", "column " + column.value("name", std::string())},
                      {"value", column.value("type", Json())}});
    }
  }
  return rows;
}

void PrintAnswer(const std::string& operation, const Json& answer, const Context& context) {
  if (context.json) return PrintJson(answer);
  if (operation == "list") {
    return PrintTable(TableOf(answer.value("tables", Json::array())), context);
  }
  if (operation == "history") return PrintTable(TableOf(HistoryRows(answer)), context);
  PrintTable(TableOf(FieldRows(answer)), context);
}

/// All pages of the listing as one.
arrow::Result<Json> ListAll(const TableTarget& target, const Context& context) {
  Json all = {{"tables", Json::array()}};
  TableRequest request{.operation = "list", .table = {}};
  for (bool more = true; more;) {
    ARROW_ASSIGN_OR_RAISE(const Json page, RunTableRequest(request, target, context));
    for (const Json& table : page.value("tables", Json::array()))
      all["tables"].push_back(table);
    more = page.value("more", false) && !all["tables"].empty();
    if (more) request.fields["after"] = all["tables"].back().value("table", std::string());
  }
  return all;
}

struct DeltaCommand {
  TableRequest request;
  std::shared_ptr<TableTarget> target;
};

void Run(const DeltaCommand& command, Context& context) {
  const auto& [request, target] = command;
  auto answer = request.operation == "list" ? ListAll(*target, context)
                                            : RunTableRequest(request, *target, context);
  if (answer.ok()) PrintAnswer(request.operation, *answer, context);
  context.Finish(answer.status());
}

/// A subcommand on one table; `add` gives it its own options.
template <typename Add>
void AddOperation(CLI::App& delta, Context& context, const std::string& name,
                  const std::string& doc, const Add& add) {
  CLI::App* command = delta.add_subcommand(name, doc);
  auto state = std::make_shared<DeltaCommand>();
  state->request.operation = name;
  if (name != "list")
    command->add_option("table", state->request.table, "Delta table: t or s.t")->required();
  add(*command, state);
  state->target = AddTargetFlags(*command, context);
  command->callback([state, &context] { Run(*state, context); });
}

/// An option whose value becomes a field of the request.
template <typename Value>
CLI::Option* AddField(CLI::App& command, const std::shared_ptr<DeltaCommand>& state,
                      const std::string& option, const std::string& field,
                      const std::string& doc) {
  return command.add_option_function<Value>(
      option,
      [state, field](const Value& value) { state->request.fields[field] = value; }, doc);
}

void AddVacuum(CLI::App& delta, Context& context) {
  AddOperation(delta, context, "vacuum",
               "Remove files that no version within the retention needs",
               [](CLI::App& command, const std::shared_ptr<DeltaCommand>& state) {
                 AddField<double>(command, state, "--retention-hours", "retention_hours",
                                  "Keep what versions of so many hours need (default: the "
                                  "table's, at least 168)");
                 command.add_flag_callback(
                     "--no-dry-run",
                     [state] { state->request.fields["dry_run"] = false; },
                     "Remove them; otherwise they are only counted");
                 command.add_flag_callback(
                     "--force", [state] { state->request.fields["force"] = true; },
                     "Allow a retention under 168 hours, which takes files from readers "
                     "and writers at work");
               });
}

void AddOptimize(CLI::App& delta, Context& context) {
  AddOperation(
      delta, context, "optimize", "Few large files for many small ones",
      [](CLI::App& command, const std::shared_ptr<DeltaCommand>& state) {
        AddField<std::vector<std::string>>(command, state, "--z-order-by", "z_order_by",
                                           "Order rows along a z-curve of these columns")
            ->expected(1)
            ->delimiter(',')
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        command.add_option_function<uint64_t>(
                   "--target-file-size",
                   [state](uint64_t bytes) {
                     state->request.fields["target_file_size"] = bytes;
                   },
                   "Bytes of the files made, e.g. 128MiB")
            ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false));
      });
}

}  // namespace

void AddDelta(CLI::App& app, Context& context) {
  CLI::App* delta = app.add_subcommand("delta", "Look after Delta tables");
  delta->require_subcommand(1);
  const auto nothing = [](CLI::App&, const std::shared_ptr<DeltaCommand>&) {};
  AddOperation(*delta, context, "list", "Tables and their sizes", nothing);
  AddOperation(*delta, context, "info", "Version, size, schema, properties", nothing);
  AddOperation(*delta, context, "history", "Commits, newest first",
               [](CLI::App& command, const std::shared_ptr<DeltaCommand>& state) {
                 AddField<int64_t>(command, state, "--limit", "limit",
                                   "So many at most (default 100)");
               });
  AddVacuum(*delta, context);
  AddOperation(*delta, context, "restore", "Make the table what it was at a version",
               [](CLI::App& command, const std::shared_ptr<DeltaCommand>& state) {
                 AddField<int64_t>(command, state, "version", "version",
                                   "Version to go back to")
                     ->required();
               });
  AddOptimize(*delta, context);
  AddOperation(*delta, context, "checkpoint", "Write a checkpoint of the log", nothing);
}

}  // namespace arrowport::cli
