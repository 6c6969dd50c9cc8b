#include "query/service.h"

#include <algorithm>
#include <thread>

#include "base/error.h"
#include "query/catalog.h"
#include "query/execution.h"

namespace arrowport::query {
namespace {

class ExecutionCursor final : public Cursor {
 public:
  explicit ExecutionCursor(std::shared_ptr<Execution> execution)
      : execution_(std::move(execution)) {}
  ~ExecutionCursor() override { execution_->Cancel(); }
  void Resume() override { execution_->Resume(); }
  void Cancel() override { execution_->Cancel(); }

 private:
  const std::shared_ptr<Execution> execution_;
};

class QueryService final : public Service {
 public:
  explicit QueryService(std::shared_ptr<Core> core) : core_(std::move(core)) {
    core_->scheduler->Start();
  }
  ~QueryService() override { core_->scheduler->Stop(); }

  arrow::Result<std::unique_ptr<Cursor>> Execute(
      Request request, std::shared_ptr<ResultConsumer> consumer) override {
    auto execution = std::make_shared<Execution>(core_, std::move(request),
                                                 std::move(consumer));
    ARROW_RETURN_NOT_OK(core_->scheduler->Admit(execution));
    return std::make_unique<ExecutionCursor>(std::move(execution));
  }

  arrow::Result<std::shared_ptr<arrow::Schema>> Describe(const Request& request) override {
    ARROW_ASSIGN_OR_RAISE(StatementInfo info, Prepare(request));
    return info.schema;
  }

  arrow::Result<StatementInfo> Prepare(const Request& request) override;

  void Drain() override { core_->scheduler->Drain(); }

  arrow::Result<std::vector<TableInfo>> ListTables() override {
    return query::ListTables(*core_, std::nullopt);
  }

  arrow::Result<TableInfo> GetTable(const TableRef& table) override {
    ARROW_ASSIGN_OR_RAISE(auto found, query::ListTables(*core_, table));
    if (!found.empty()) return found.front();
    const std::string name =
        table.schema.empty() ? table.table : table.schema + "." + table.table;
    return Error(ErrorCode::kTableNotFound, "there is no table or view named ", name);
  }

 private:
  const std::shared_ptr<Core> core_;
};

arrow::Result<StatementInfo> QueryService::Prepare(const Request& request) {
  ARROW_RETURN_NOT_OK(WaitForVersion(core_->options, request.read_after));
  ARROW_ASSIGN_OR_RAISE(const std::string sql, SqlOf(request));
  ARROW_ASSIGN_OR_RAISE(auto pooled, core_->connections->Take());
  ARROW_ASSIGN_OR_RAISE(auto statement, engine::Statement::Parse(*pooled.connection, sql));
  auto shape = statement->Describe(*pooled.connection);
  if (!shape.ok() && !core_->datasets->empty() &&
      CodeOf(shape.status()) == ErrorCode::kTableNotFound) {
    auto tables = statement->TableNames(*pooled.connection);
    if (!tables.ok()) return shape.status();
    ARROW_ASSIGN_OR_RAISE(auto remedy,
                          core_->datasets->Recover(*pooled.connection, *tables));
    if (remedy == Datasets::Remedy::kRetry) {
      shape = statement->Describe(*pooled.connection);
    }
  }
  ARROW_RETURN_NOT_OK(shape.status());
  if (statement->leaves_connection_clean()) core_->connections->Give(std::move(pooled));
  StatementInfo info;
  info.has_rows = shape->has_rows;
  info.read_only = shape->effect == engine::StatementEffect::kRead;
  info.schema = std::move(shape->schema);
  info.parameters = std::move(shape->parameters);
  return info;
}

}  // namespace

arrow::Result<std::shared_ptr<Service>> Service::Make(ServiceOptions options) {
  if (!options.database || options.clock == nullptr || options.threads < 0 ||
      options.queries_max < 1 || options.connections_idle_max < 0 ||
      options.paused_max.count() <= 0) {
    return Error(ErrorCode::kInvalidArgument, "query service: options out of range");
  }
  auto core = std::make_shared<Core>();
  core->options = std::move(options);
  core->datasets = std::make_shared<Datasets>(core->options.datasets);
  core->connections = std::make_unique<ConnectionPool>(
      core->options.database, core->datasets, core->options.connections_idle_max);
  SchedulerOptions scheduler;
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  scheduler.threads =
      core->options.threads > 0 ? core->options.threads : std::max(4, 2 * cores);
  scheduler.waiting_max = core->options.queries_max;
  scheduler.on_tick = [connections = core->connections.get()] {
    connections->DropStale();
  };
  scheduler.clock = core->options.clock;
  core->scheduler = std::make_unique<Scheduler>(std::move(scheduler));
  // Views of the data sets exist from the start, also for other connections.
  ARROW_ASSIGN_OR_RAISE(auto first, core->connections->Take());
  core->connections->Give(std::move(first));
  return std::make_shared<QueryService>(std::move(core));
}

}  // namespace arrowport::query
