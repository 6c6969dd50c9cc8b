// `migrate`: a table from one storage to another.
#include <memory>

#include "cli/app.h"
#include "cli/table_request.h"

namespace arrowport::cli {

void AddMigrate(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("migrate", "Copy a table between DuckDB and Delta, and compare");
  auto request = std::make_shared<TableRequest>();
  request->operation = "migrate";
  command->add_option("table", request->table, "Table: t or s.t")->required();
  const auto field = [&](const char* option, const char* name, const char* doc) {
    return command->add_option_function<std::string>(
        option, [request, name](const std::string& value) { request->fields[name] = value; },
        doc);
  };
  field("--from", "from", "duckdb or delta")->required();
  field("--to", "to", "delta or duckdb")->required();
  command
      ->add_option_function<std::vector<std::string>>(
          "--partition-by",
          [request](const std::vector<std::string>& columns) {
            request->fields["delta_options"]["partition_by"] = columns;
          },
          "Partition column of the Delta table; may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  auto target = AddTargetFlags(*command, context);
  command->callback([request, target, &context] {
    auto answer = RunTableRequest(*request, *target, context);
    if (answer.ok()) {
      if (context.json) {
        PrintJson(*answer);
      } else {
        PrintTable(TableOf(Json::array({*answer})), context);
      }
    }
    context.Finish(answer.status());
  });
}

}  // namespace arrowport::cli
