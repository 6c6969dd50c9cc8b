#include "maintain/maintenance.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/mutex.h"

namespace arrowport::maintain {
namespace {

constexpr int64_t kListedDefault = 1000;
constexpr int64_t kListedMax = 10'000;

using Function = arrow::Result<Json> (*)(const TableHandle&, const RequestFields&,
                                         const OperationTools&);

/// What an operation on one Delta table runs; the others stand in State::Dispatch.
constexpr std::pair<std::string_view, Function> kFunctions[] = {
    {"info", TableInfo},         {"history", TableHistory},
    {"vacuum", VacuumTable},     {"restore", RestoreTable},
    {"optimize", OptimizeTable}, {"checkpoint", CheckpointTable},
};

arrow::Result<OperationInfo> FindOperation(const std::string& name) {
  for (const OperationInfo& operation : Operations()) {
    if (operation.name == name) return operation;
  }
  std::string names;
  for (const OperationInfo& operation : Operations()) {
    names.append(names.empty() ? "" : ", ").append(operation.name);
  }
  return Error(ErrorCode::kUnimplemented, "no such operation on tables: ",
               name.substr(0, 100), "; there are: ", names);
}

std::string TextOf(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json FailureJson(const arrow::Status& status) {
  return {{"code", InfoOf(CodeOf(status)).name}, {"message", status.message()}};
}

}  // namespace

/// Who works on which table.
class Maintenance::State {
 public:
  explicit State(MaintenanceOptions options) : options_(std::move(options)) {}

  arrow::Result<std::string> Run(const Request& request) {
    ARROW_ASSIGN_OR_RAISE(const OperationInfo operation, FindOperation(request.operation));
    ARROW_ASSIGN_OR_RAISE(const RequestFields fields, RequestFields::Parse(request.body));
    ARROW_ASSIGN_OR_RAISE(const std::string table, TableOf(operation, request, fields));
    auto reply = Dispatch(operation, table, fields);
    LogEnd(operation, table, reply.status());
    if (!reply.ok()) return reply.status();
    return TextOf(*reply);
  }

  void Cancel() {
    if (options_.migrator) options_.migrator->Cancel();
  }

 private:
  static arrow::Result<std::string> TableOf(const OperationInfo& operation,
                                            const Request& request,
                                            const RequestFields& fields) {
    ARROW_ASSIGN_OR_RAISE(const auto named, fields.Text("table"));
    if (!operation.needs_table) return std::string();
    if (request.table.empty() && !named) {
      return Error(ErrorCode::kInvalidArgument, "field \"table\" is missing");
    }
    if (!request.table.empty() && named && *named != request.table) {
      return Error(ErrorCode::kInvalidArgument, "the request names two tables: ",
                   request.table, " and ", named->substr(0, 255));
    }
    return request.table.empty() ? *named : request.table;
  }

  arrow::Result<Json> Dispatch(const OperationInfo& operation, const std::string& table,
                               const RequestFields& fields) {
    if (operation.name == "list") return List(fields);
    ARROW_ASSIGN_OR_RAISE(const auto name, schema::ParseRoutedTable(table));
    const Claim claim(this, name, operation);
    ARROW_RETURN_NOT_OK(claim.status());
    if (operation.name == "migrate") {
      if (!options_.migrator) {
        return Error(ErrorCode::kNotBuilt, "this build cannot migrate tables");
      }
      return options_.migrator->Migrate(table, fields);
    }
    ARROW_ASSIGN_OR_RAISE(const TableHandle handle, options_.tables->Open(name));
    for (const auto& [function_name, function] : kFunctions) {
      if (function_name == operation.name) {
        return function(handle, fields, options_.tools);
      }
    }
    return Error(ErrorCode::kInternal, "an operation without a function: ", operation.name);
  }

  /// Tables behind `after`; one that cannot be opened is listed with why.
  arrow::Result<Json> List(const RequestFields& fields) {
    ARROW_RETURN_NOT_OK(fields.CheckKnown({"limit", "after"}));
    ARROW_ASSIGN_OR_RAISE(const auto limit, fields.Integer("limit", 1, kListedMax));
    ARROW_ASSIGN_OR_RAISE(const auto after, fields.Text("after"));
    ARROW_ASSIGN_OR_RAISE(const auto names, options_.tables->Tables());
    std::vector<std::string> wanted;
    for (const schema::TableName& name : names) {
      if (!after || name.ToString() > *after) wanted.push_back(name.ToString());
    }
    std::sort(wanted.begin(), wanted.end());
    const auto listed_max = static_cast<size_t>(limit.value_or(kListedDefault));
    const bool more = wanted.size() > listed_max;
    if (more) wanted.resize(listed_max);
    Json tables = Json::array();
    for (const std::string& text : wanted) {
      Json line = {{"table", text}};
      auto name = schema::ParseRoutedTable(text);
      auto handle = name.ok() ? options_.tables->Open(*name) : name.status();
      if (handle.ok()) {
        line.update(TableNumbers(*handle->table->snapshot()));
      } else {
        line["error"] = FailureJson(handle.status());
      }
      tables.push_back(std::move(line));
    }
    return Json{{"tables", std::move(tables)}, {"more", more}};
  }

  static void LogEnd(const OperationInfo& operation, const std::string& table,
                     const arrow::Status& status) {
    if (operation.effect != Effect::kExclusive) return;
    if (status.ok()) {
      LogInfo("table maintenance done",
              {{"operation", std::string(operation.name)}, {"table", table}});
    } else {
      LogWarn("table maintenance refused or failed",
              {{"operation", std::string(operation.name)},
               {"table", table},
               {"reason", status.message()}});
    }
  }

  /// A table for one exclusive operation.
  class Claim {
   public:
    Claim(State* state, schema::TableName name, const OperationInfo& operation)
        : state_(state), name_(std::move(name)) {
      if (operation.effect != Effect::kExclusive) return;
      MutexLock lock(state_->mutex_);
      held_ = state_->claimed_.insert(name_).second;
      if (held_) return;
      status_ = MakeError(ErrorCode::kCommitConflict,
                          "another maintenance operation works on the table; try again "
                          "when it is done: " +
                              name_.ToString(),
                          /*retry_after_seconds=*/10);
    }
    ~Claim() {
      if (!held_) return;
      MutexLock lock(state_->mutex_);
      state_->claimed_.erase(name_);
    }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;
    const arrow::Status& status() const { return status_; }

   private:
    State* const state_;
    const schema::TableName name_;
    bool held_ = false;
    arrow::Status status_;
  };

  const MaintenanceOptions options_;
  Mutex mutex_;
  std::set<schema::TableName> claimed_ GUARDED_BY(mutex_);
};

/// Thread-safe.
class Maintenance::Pool {
 public:
  using Task = std::function<void(const arrow::Status& refused)>;

  Pool(int threads, size_t waiting_max) : waiting_max_(waiting_max) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
  }
  ~Pool() { Stop(); }

  /// The task is told why when it is not to run.
  void Add(Task task) {
    arrow::Status refused;
    {
      MutexLock lock(mutex_);
      if (stopping_) {
        refused = Error(ErrorCode::kDraining, "the server is shutting down");
      } else if (waiting_.size() >= waiting_max_) {
        refused = Error(ErrorCode::kOverloaded,
                        "too many maintenance operations wait already: ", waiting_max_);
      } else {
        waiting_.push_back(std::move(task));
      }
    }
    if (!refused.ok()) return task(refused);
    wake_.notify_one();
  }

  void Stop() {
    std::deque<Task> dropped;
    {
      MutexLock lock(mutex_);
      stopping_ = true;
      dropped.swap(waiting_);
    }
    wake_.notify_all();
    for (const Task& task : dropped) {
      task(Error(ErrorCode::kDraining, "the server is shutting down"));
    }
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  void Work() {
    MutexLock lock(mutex_);
    for (;;) {
      while (waiting_.empty() && !stopping_) lock.Wait(wake_);
      if (stopping_) return;
      const Task task = std::move(waiting_.front());
      waiting_.pop_front();
      lock.Unlock();
      task(arrow::Status::OK());
      lock.Lock();
    }
  }

  const size_t waiting_max_;
  Mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> waiting_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

std::unique_ptr<Maintenance> Maintenance::Make(MaintenanceOptions options) {
  return std::unique_ptr<Maintenance>(new Maintenance(std::move(options)));
}

Maintenance::Maintenance(MaintenanceOptions options)
    : state_(std::make_shared<State>(options)),
      pool_(std::make_unique<Pool>(options.threads, options.waiting_max)) {}

Maintenance::~Maintenance() { Stop(); }

void Maintenance::Run(Request request, Done done) {
  pool_->Add([state = state_, request = std::move(request),
              done = std::move(done)](const arrow::Status& refused) {
    if (refused.ok()) {
      done(state->Run(request));
    } else {
      done(refused);
    }
  });
}

arrow::Result<std::string> Maintenance::RunHere(const Request& request) {
  return state_->Run(request);
}

void Maintenance::Stop() {
  state_->Cancel();
  pool_->Stop();
}

}  // namespace arrowport::maintain
