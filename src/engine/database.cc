#include "engine/database.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <duckdb.hpp>
#include <duckdb/catalog/catalog_search_path.hpp>
#include <duckdb/main/attached_database.hpp>
#include <duckdb/main/client_data.hpp>
#include <duckdb/main/connection_manager.hpp>
#include <duckdb/main/database_manager.hpp>
#include <duckdb/main/valid_checker.hpp>
#include <filesystem>
#include <optional>
#include <system_error>

#include "base/error.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/mutex.h"
#include "engine/arrow_insert.h"
#include "engine/await_result.h"
#include "engine/durable_names.h"
#include "engine/error.h"
#include "engine/read_arrow.h"
#include "engine/wal_scan.h"
#include "schema/names.h"

namespace arrowport::engine {
namespace {

namespace fs = std::filesystem;

constexpr char kMemoryPath[] = ":memory:";
// Above any WAL our own checkpoints let grow (the sink's hard cap is 512 MiB), so that no
// COMMIT ever runs a checkpoint; still a bound when nobody checkpoints.
constexpr char kAutoCheckpointBytes[] = "1GiB";
constexpr auto kReleaseTimeout = std::chrono::seconds(30);

// The name DuckDB itself would give the file, except where it is taken: `memory` is the
// main instance, `delta` the catalog of Delta tables.
std::string CatalogNameOf(const std::string& path) {
  if (path == kMemoryPath) return "arrowport";
  std::string name = fs::path(path).stem().string();
  if (name.empty() || name == "." || name == "..") name = "arrowport";
  std::string lower = name;
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  }
  const bool taken = lower == "memory" || lower == "system" || lower == "temp" ||
                     lower == "main" || lower == "delta";
  return taken ? name + "_db" : name;
}

std::string DefaultTempDirectory(const std::string& path) {
  if (path != kMemoryPath) return path + ".tmp";
  return (fs::temp_directory_path() / ("arrowport-" + NewRandomId())).string();
}

// Spill files of a process that was killed; ours alone, since we hold the file's lock.
void RemoveLeftSpill(const std::string& directory) {
  std::error_code ignored;
  fs::directory_iterator entries(directory, ignored);
  if (ignored) return;
  for (const auto& entry : entries) {
    if (entry.path().filename().string().rfind("duckdb_temp_", 0) == 0) {
      fs::remove(entry.path(), ignored);
    }
  }
}

std::unique_ptr<duckdb::DuckDB> MakeInstance(const DatabaseOptions& options) {
  duckdb::DBConfig config;
  config.SetOptionByName("autoinstall_known_extensions", duckdb::Value::BOOLEAN(false));
  config.SetOptionByName("autoload_known_extensions", duckdb::Value::BOOLEAN(false));
  config.SetOptionByName("checkpoint_threshold", duckdb::Value(kAutoCheckpointBytes));
  config.SetOptionByName("temp_directory", duckdb::Value(options.temp_directory));
  if (options.memory_limit_bytes > 0) {
    config.SetOptionByName(
        "memory_limit", duckdb::Value(std::to_string(options.memory_limit_bytes) + "B"));
  }
  if (options.threads > 0) {
    config.SetOptionByName("threads", duckdb::Value::BIGINT(options.threads));
  }
  return std::make_unique<duckdb::DuckDB>(nullptr, &config);
}

arrow::Status RunOn(duckdb::Connection& connection, const std::string& sql) {
  return Catching([&]() -> arrow::Status {
    for (auto& statement : connection.ExtractStatements(sql)) {
      auto pending = connection.PendingQuery(
          std::move(statement), duckdb::QueryResultOutputType::FORCE_MATERIALIZED);
      if (!pending->HasError()) AwaitResult(*pending, [] { return false; });
      if (pending->HasError()) return TranslateError(pending->GetErrorObject());
      auto result = pending->Execute();
      if (result->HasError()) return TranslateError(result->GetErrorObject());
    }
    return {};
  });
}

// DuckDB deletes the log of a file that is not there and drops what a damaged length
// field hides, so both are looked at before it gets the chance.
arrow::Status CheckLogBeforeOpen(const std::string& path) {
  const std::string wal_path = path + ".wal";
  std::error_code error;
  const uint64_t wal_bytes =
      fs::exists(wal_path, error) ? fs::file_size(wal_path, error) : 0;
  if (error || wal_bytes == 0) return {};
  if (!fs::exists(path, error)) {
    return Error(
        ErrorCode::kStorageCorrupt,
        "the database file is missing but its log is there (move the log away to "
        "start empty): ",
        wal_path);
  }
  ARROW_ASSIGN_OR_RAISE(WalScan scan, ScanWal(wal_path));
  switch (scan.state) {
    case WalState::kWhole:
    case WalState::kUnknownFormat:
      return {};
    case WalState::kTornTail:
      LogWarn(
          "the database log ends in a torn entry, which is dropped: its transaction "
          "was never acknowledged",
          {{"wal", wal_path},
           {"whole_until_byte", std::to_string(scan.bad_offset)},
           {"file_bytes", std::to_string(wal_bytes)}});
      return {};
    case WalState::kCorrupt:
      break;
  }
  return Error(ErrorCode::kStorageCorrupt,
               "the database log is damaged and was left as it is (copy the database and "
               "its log before any repair): ",
               wal_path, ": bad entry at byte ", scan.bad_offset, ": ", scan.reason);
}

}  // namespace

Connection::Connection(std::unique_ptr<duckdb::Connection> connection)
    : connection_(std::move(connection)) {}

Connection::~Connection() {
  // In a storage that has failed a rollback throws, and inside DuckDB's destructor that
  // would end the process.
  (void)Rollback();
  try {
    connection_.reset();
  } catch (const std::exception& exception) {
    LogWarn("closing a DuckDB connection failed", {{"error", exception.what()}});
  }
}

arrow::Status Connection::Run(const std::string& sql) { return RunOn(*connection_, sql); }

arrow::Status Connection::Begin() {
  return Catching([&]() -> arrow::Status {
    connection_->context->transaction.SetAutoCommit(false);
    return {};
  });
}

Connection::CommitOutcome Connection::Commit() {
  try {
    connection_->context->transaction.Commit();
    return {true, {}};
  } catch (const std::exception& exception) {
    return {IsCommitSucceededCheckpointFailed(exception), TranslateException(exception)};
  } catch (...) {
    return {false, Error(ErrorCode::kInternal, "DuckDB threw something unknown")};
  }
}

arrow::Status Connection::Rollback() {
  if (!InTransaction()) return {};
  return Catching([&]() -> arrow::Status {
    connection_->context->transaction.Rollback(nullptr);
    return {};
  });
}

bool Connection::InTransaction() const { return connection_->HasActiveTransaction(); }

struct Database::Impl {
  DatabaseOptions options;
  std::string catalog;
  bool in_memory = false;
  std::optional<DurableNames> names;  ///< of a file
  std::atomic<uint64_t> epoch{1};

  mutable Mutex mutex;
  std::condition_variable attached_changed;
  bool reattaching GUARDED_BY(mutex) = false;
  std::shared_ptr<duckdb::DuckDB> instance GUARDED_BY(mutex);
  std::vector<std::function<arrow::Status(duckdb::DuckDB&)>> installs GUARDED_BY(mutex);

  std::shared_ptr<duckdb::DuckDB> Instance() const {
    MutexLock lock(mutex);
    return reattaching ? nullptr : instance;
  }

  arrow::Status StartInstance(std::shared_ptr<duckdb::DuckDB>* out);
  arrow::Status Attach(duckdb::DuckDB& target);
  arrow::Status ReattachLocked();
  arrow::Status ReleaseStorage();
};

arrow::Status Database::Impl::StartInstance(std::shared_ptr<duckdb::DuckDB>* out) {
  return Catching([&]() -> arrow::Status {
    std::shared_ptr<duckdb::DuckDB> made = MakeInstance(options);
    ARROW_RETURN_NOT_OK(RegisterArrowInsert(*made));
    ARROW_RETURN_NOT_OK(RegisterReadArrow(*made));
    duckdb::Connection connection(*made);
    for (const std::string& file : options.extension_paths) {
      arrow::Status loaded = RunOn(connection, "LOAD " + schema::QuoteLiteral(file));
      if (!loaded.ok()) {
        return WithCode(ErrorCode::kBadConfig, WithContext("load extension", loaded));
      }
    }
    std::vector<std::function<arrow::Status(duckdb::DuckDB&)>> again;
    {
      MutexLock lock(mutex);
      again = installs;
    }
    for (const auto& install : again) ARROW_RETURN_NOT_OK(install(*made));
    *out = std::move(made);
    return {};
  });
}

arrow::Status Database::Impl::Attach(duckdb::DuckDB& target) {
  if (names) {
    ARROW_RETURN_NOT_OK(CheckLogBeforeOpen(options.path));
    names->Forget();
  }
  try {
    duckdb::Connection connection(target);
    auto result = connection.Query("ATTACH " + schema::QuoteLiteral(options.path) +
                                   " AS " + schema::QuoteIdentifier(catalog));
    if (result->HasError()) {
      return TranslateOpenError(result->GetErrorObject(), options.path);
    }
    // Zoned times read the same wherever the server runs; a session may choose another
    // zone.
    ARROW_RETURN_NOT_OK(RunOn(connection, "SET GLOBAL TimeZone = 'UTC'"));
  } catch (const std::exception& exception) {
    return TranslateOpenError(duckdb::ErrorData(exception), options.path);
  }
  return names ? names->Sync() : arrow::Status();
}

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Database::~Database() {
  std::shared_ptr<duckdb::DuckDB> last;
  {
    MutexLock lock(impl_->mutex);
    last = std::move(impl_->instance);
  }
  try {
    last.reset();
  } catch (const std::exception& exception) {
    LogWarn("closing the database failed", {{"error", exception.what()}});
  }
}

arrow::Result<std::shared_ptr<Database>> Database::Open(DatabaseOptions options) {
  auto impl = std::make_unique<Impl>();
  impl->in_memory = options.path == kMemoryPath;
  if (options.path.empty()) {
    return Error(ErrorCode::kBadConfig, "the database path is empty");
  }
  const bool own_temp_directory = options.temp_directory.empty();
  std::shared_ptr<duckdb::DuckDB> instance;
  try {
    if (!impl->in_memory) options.path = fs::absolute(options.path).string();
    if (own_temp_directory) options.temp_directory = DefaultTempDirectory(options.path);
  } catch (const fs::filesystem_error& error) {
    return Error(ErrorCode::kBadConfig, "the database path is unusable: ", error.what());
  }
  impl->options = std::move(options);
  if (!impl->in_memory) impl->names.emplace(impl->options.path);
  impl->catalog = CatalogNameOf(impl->options.path);
  ARROW_RETURN_NOT_OK(impl->StartInstance(&instance));
  ARROW_RETURN_NOT_OK(impl->Attach(*instance));
  if (own_temp_directory) RemoveLeftSpill(impl->options.temp_directory);
  {
    MutexLock lock(impl->mutex);
    impl->instance = std::move(instance);
  }
  return std::shared_ptr<Database>(new Database(std::move(impl)));
}

arrow::Result<std::unique_ptr<Connection>> Database::Connect() {
  return Catching([&]() -> arrow::Result<std::unique_ptr<Connection>> {
    std::shared_ptr<duckdb::DuckDB> instance = impl_->Instance();
    if (!instance) {
      return MakeError(ErrorCode::kStorageUnavailable,
                       "the database is being reopened: try again", 1);
    }
    auto made = std::make_unique<duckdb::Connection>(*instance);
    made->context->client_data->catalog_search_path->Set(
        duckdb::CatalogSearchEntry(impl_->catalog, "main"),
        duckdb::CatalogSetPathType::SET_DIRECTLY);
    return std::unique_ptr<Connection>(new Connection(std::move(made)));
  });
}

arrow::Status Database::Install(std::function<arrow::Status(duckdb::DuckDB&)> install) {
  return Catching([&]() -> arrow::Status {
    std::shared_ptr<duckdb::DuckDB> instance = impl_->Instance();
    if (!instance) {
      return MakeError(ErrorCode::kStorageUnavailable,
                       "the database is being reopened: try again", 1);
    }
    ARROW_RETURN_NOT_OK(install(*instance));
    MutexLock lock(impl_->mutex);
    impl_->installs.push_back(std::move(install));
    return {};
  });
}

bool Database::in_memory() const { return impl_->in_memory; }
const std::string& Database::path() const { return impl_->options.path; }
const std::string& Database::catalog() const { return impl_->catalog; }
uint64_t Database::epoch() const { return impl_->epoch.load(); }

int64_t Database::wal_bytes() const {
  if (impl_->in_memory) return 0;
  // While a checkpoint runs, new commits go to the second file.
  int64_t bytes = 0;
  for (const char* suffix : {".wal", ".wal.checkpoint"}) {
    std::error_code error;
    const auto size = fs::file_size(impl_->options.path + suffix, error);
    if (!error) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

arrow::Status Database::SyncNames() {
  return impl_->names ? impl_->names->Sync() : arrow::Status();
}

bool Database::invalidated() const {
  if (impl_->names && impl_->names->failed()) return true;
  std::shared_ptr<duckdb::DuckDB> instance = impl_->Instance();
  if (!instance) return true;
  try {
    if (duckdb::ValidChecker::IsInvalidated(*instance->instance)) return true;
    auto storage = instance->instance->GetDatabaseManager().GetDatabase(impl_->catalog);
    return !storage || duckdb::ValidChecker::IsInvalidated(*storage);
  } catch (const std::exception&) {
    return true;
  }
}

namespace {

// Interrupts every statement and waits until nobody holds `storage`: only then is the
// file closed, and a file open twice in one process is not protected by its lock.
template <typename T>
arrow::Status WaitUntilGone(const duckdb::weak_ptr<T>& storage,
                            const std::function<void()>& interrupt) {
  const auto deadline = std::chrono::steady_clock::now() + kReleaseTimeout;
  while (!storage.expired()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return MakeError(ErrorCode::kStorageUnavailable,
                       "open statements keep the failed database from being reopened", 5);
    }
    interrupt();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // poll
  }
  return {};
}

}  // namespace

arrow::Status Database::Impl::ReleaseStorage() {
  std::shared_ptr<duckdb::DuckDB> current;
  {
    MutexLock lock(mutex);
    current = instance;
  }
  if (!current) return {};
  auto& manager = current->instance->GetDatabaseManager();
  duckdb::weak_ptr<duckdb::AttachedDatabase> gone(manager.GetDatabase(catalog));
  const bool instance_failed = duckdb::ValidChecker::IsInvalidated(*current->instance);
  if (!gone.expired()) {
    // Not by SQL: an invalidated instance runs no statements.
    duckdb::Connection connection(*current);
    try {
      connection.context->RunFunctionInTransaction([&] {
        manager.DetachDatabase(*connection.context, catalog,
                               duckdb::OnEntryNotFound::RETURN_NULL);
      });
    } catch (const std::exception& exception) {
      // A failed checkpoint on the way out leaves the log, which the next open replays.
      LogWarn("detaching the database reported an error", {{"error", exception.what()}});
    }
  }
  ARROW_RETURN_NOT_OK(WaitUntilGone(gone, [&] {
    for (auto& context : current->instance->GetConnectionManager().GetConnectionList()) {
      context->Interrupt();
    }
  }));
  if (instance_failed) {
    MutexLock lock(mutex);
    instance.reset();
  }
  return {};
}

arrow::Status Database::Impl::ReattachLocked() {
  return Catching([&]() -> arrow::Status {
    ARROW_RETURN_NOT_OK(ReleaseStorage());
    std::shared_ptr<duckdb::DuckDB> target;
    {
      MutexLock lock(mutex);
      target = instance;
    }
    if (!target) ARROW_RETURN_NOT_OK(StartInstance(&target));
    ARROW_RETURN_NOT_OK(Attach(*target));
    MutexLock lock(mutex);
    instance = std::move(target);
    return {};
  });
}

arrow::Status Database::Reattach() {
  if (impl_->in_memory) {
    return Error(ErrorCode::kStorageUnavailable,
                 "an in-memory database cannot be reopened: restart the server");
  }
  const uint64_t seen = epoch();
  {
    MutexLock lock(impl_->mutex);
    while (impl_->reattaching) lock.Wait(impl_->attached_changed);
    if (epoch() != seen) return {};
    impl_->reattaching = true;
  }
  arrow::Status status = impl_->ReattachLocked();
  {
    MutexLock lock(impl_->mutex);
    impl_->reattaching = false;
    if (status.ok()) ++impl_->epoch;
  }
  impl_->attached_changed.notify_all();
  if (status.ok()) {
    LogWarn("the database was reopened after a failure", {{"path", path()}});
  } else {
    LogError("reopening the database failed",
             {{"path", path()}, {"error", status.message()}});
  }
  return status;
}

}  // namespace arrowport::engine
