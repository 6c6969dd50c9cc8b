#include "query/execution.h"

#include <arrow/util/byte_size.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "schema/names.h"

namespace arrowport::query {
namespace {

// A turn gives its thread to a waiting statement after this time.
constexpr auto kTurn = std::chrono::milliseconds(20);
constexpr auto kLockWait = std::chrono::milliseconds(20);

arrow::Status CheckIdentifier(std::string_view what, std::string_view name) {
  if (name.empty() || name.size() > 255 || name.find('\0') != std::string_view::npos) {
    return Error(ErrorCode::kInvalidName, "a ", what,
                 " name takes 1 to 255 bytes without NUL, given: ", name.size(), " bytes");
  }
  return {};
}

std::optional<Clock::Steady> DeadlineOf(const ServiceOptions& options) {
  if (options.query_timeout.count() <= 0) return std::nullopt;
  return options.clock->SteadyNow() + options.query_timeout;
}

/// A whole number from 0, or -1.
int64_t NumberIn(std::string_view digits) {
  int64_t number = -1;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc() && end == digits.data() + digits.size() ? number : -1;
}

}  // namespace

arrow::Result<std::string> SqlOf(const Request& request) {
  if (const auto* sql = std::get_if<std::string>(&request.source)) return *sql;
  const auto& table = std::get<TableRef>(request.source);
  if (!request.parameters.empty()) {
    return Error(ErrorCode::kInvalidArgument, "reading a table takes no parameters");
  }
  ARROW_RETURN_NOT_OK(CheckIdentifier("table", table.table));
  std::string name = schema::QuoteIdentifier(table.table);
  if (!table.schema.empty()) {
    ARROW_RETURN_NOT_OK(CheckIdentifier("schema", table.schema));
    name = schema::QuoteIdentifier(table.schema) + "." + name;
  }
  if (!table.catalog.empty()) {
    ARROW_RETURN_NOT_OK(CheckIdentifier("catalog", table.catalog));
    name = schema::QuoteIdentifier(table.catalog) + "." + name;
  }
  return "SELECT * FROM " + name;
}

arrow::Status WaitForVersion(const ServiceOptions& options, const std::string& token) {
  if (token.empty()) return {};
  const std::string_view text(token);
  const size_t colon = text.find_last_of(':');
  const int64_t version =
      colon == std::string_view::npos ? -1 : NumberIn(text.substr(colon + 1));
  const std::string_view of = text.substr(0, version < 0 ? 0 : colon);
  // Every statement reads the newest versions of Delta tables.
  if (of.starts_with("delta:") && of.size() > std::string_view("delta:").size()) return {};
  if (of != "duckdb") {
    return Error(ErrorCode::kInvalidArgument,
                 "not a version token of this server (duckdb:<number> or "
                 "delta:<table>:<number>), given ",
                 token.size(), " bytes");
  }
  return options.wait_for_version ? options.wait_for_version(version) : arrow::Status();
}

Execution::Execution(std::shared_ptr<Core> core, Request request,
                     std::shared_ptr<ResultConsumer> consumer)
    : core_(std::move(core)),
      request_(std::move(request)),
      deadline_(DeadlineOf(core_->options)),
      consumer_(std::move(consumer)) {}

void Execution::Run() {
  {
    MutexLock lock(mutex_);
    if (state_ != State::kQueued) return;
    state_ = State::kRunning;
  }
  arrow::Status outcome;
  switch (Pump(&outcome)) {
    case Turn::kEnd:
      return End(std::move(outcome));
    case Turn::kPark:
      return core_->scheduler->Wake();
    case Turn::kYield:
      return core_->scheduler->Ready(shared_from_this());
  }
}

Execution::Turn Execution::Pump(arrow::Status* outcome) {
  const auto turn_end = core_->options.clock->SteadyNow() + kTurn;
  if (auto stop = StopReason()) {
    *outcome = *stop;
    return Turn::kEnd;
  }
  if (!opened_) {
    auto opened = Open();
    if (!opened.ok()) {
      *outcome = opened.status();
      return Turn::kEnd;
    }
    if (!*opened) {
      MutexLock lock(mutex_);
      state_ = State::kQueued;
      return Turn::kYield;
    }
    opened_ = true;
    std::shared_ptr<ResultConsumer> consumer;
    {
      MutexLock lock(mutex_);
      consumer = consumer_;
    }
    consumer->OnSchema(open_stream_->schema());
  }
  for (;;) {
    auto next = open_stream_->Next();
    if (!next.ok() && !delivered_ && engine::IsPassingDefect(next.status())) {
      next = NextOfSecondRun(next.status());
    }
    if (!next.ok() || *next == nullptr) {
      *outcome = next.status();
      return Turn::kEnd;
    }
    bool go_on = false;
    const Turn turn = Deliver(std::move(*next), &go_on, outcome);
    if (!go_on) return turn;
    if (core_->options.clock->SteadyNow() >= turn_end && core_->scheduler->crowded()) {
      MutexLock lock(mutex_);
      state_ = State::kQueued;
      return Turn::kYield;
    }
  }
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> Execution::NextOfSecondRun(
    const arrow::Status& failure) {
  const auto schema = open_stream_->schema();
  ARROW_ASSIGN_OR_RAISE(bool again, TryAgain(failure));
  if (!again) return failure;
  ARROW_ASSIGN_OR_RAISE(bool opened, Open());
  // The consumer has the schema already.
  if (!opened || !open_stream_->schema()->Equals(*schema)) return failure;
  return open_stream_->Next();
}

Execution::Turn Execution::Deliver(std::shared_ptr<arrow::RecordBatch> batch, bool* go_on,
                                   arrow::Status* outcome) {
  const int64_t bytes_max = core_->options.result_bytes_max;
  if (bytes_max > 0) {
    result_bytes_ += arrow::util::TotalBufferSize(*batch);
    if (result_bytes_ > bytes_max) {
      *outcome = Error(ErrorCode::kTooLarge,
                       "the result is larger than limits.result_bytes_max: ", bytes_max);
      return Turn::kEnd;
    }
  }
  std::shared_ptr<ResultConsumer> consumer;
  {
    MutexLock lock(mutex_);
    resumed_ = false;
    consumer = consumer_;
  }
  delivered_ = true;
  const Flow flow = consumer->OnBatch(std::move(batch));
  *go_on = true;
  MutexLock lock(mutex_);
  // A write is committed by now, whoever gave up on it.
  if (stop_ && statement_->effect() == engine::StatementEffect::kRead) {
    *outcome = *stop_;
    *go_on = false;
    return Turn::kEnd;
  }
  if (flow == Flow::kContinue || std::exchange(resumed_, false)) return Turn::kEnd;
  state_ = State::kParked;
  parked_at_ = core_->options.clock->SteadyNow();
  *go_on = false;
  return Turn::kPark;
}

// False: the commit lock is taken, come back.
arrow::Result<bool> Execution::Open() {
  for (;;) {
    auto opened = OpenOnce();
    if (opened.ok()) return opened;
    if (auto stop = StopReason()) return *stop;
    ARROW_ASSIGN_OR_RAISE(bool again, TryAgain(opened.status()));
    if (!again) return opened.status();
  }
}

arrow::Result<bool> Execution::OpenOnce() {
  if (!statement_) {
    ARROW_RETURN_NOT_OK(WaitForVersion(core_->options, request_.read_after));
    ARROW_ASSIGN_OR_RAISE(const std::string sql, SqlOf(request_));
    ARROW_ASSIGN_OR_RAISE(pooled_, core_->connections->Take());
    ARROW_ASSIGN_OR_RAISE(statement_, engine::Statement::Parse(*pooled_.connection, sql));
  }
  if (statement_->effect() == engine::StatementEffect::kTransaction) {
    return Error(ErrorCode::kUnimplemented,
                 "BEGIN, COMMIT and ROLLBACK need a session, this statement has none");
  }
  if (!pooled_.connection) {
    ARROW_ASSIGN_OR_RAISE(pooled_, core_->connections->Take());
  }
  CommitLock* commit_lock = statement_->effect() == engine::StatementEffect::kWrite
                                ? core_->options.commit_lock.get()
                                : nullptr;
  if (commit_lock != nullptr && !commit_lock->LockFor(kLockWait)) {
    if (auto stop = StopReason()) return *stop;
    return false;
  }
  auto stream = std::make_unique<engine::ResultStream>(std::move(pooled_.connection),
                                                       engine::ResultStreamOptions{});
  open_stream_ = stream.get();
  {
    MutexLock lock(mutex_);
    stream_ = std::move(stream);
    if (stop_) stream_->Interrupt();
  }
  auto status = open_stream_->Start(*statement_, request_.parameters);
  if (commit_lock != nullptr) {
    if (status.ok()) status = core_->options.database->SyncNames();
    commit_lock->Unlock();
  }
  ARROW_RETURN_NOT_OK(status);
  return true;
}

// Nothing went out yet and nothing was changed: a data set may have been missing its view,
// or the engine may have tripped.
arrow::Result<bool> Execution::TryAgain(const arrow::Status& failure) {
  const engine::ResultStream* failed = open_stream_;
  if (!statement_ || failed == nullptr || ++attempts_ > 2) return false;
  if (failed->planned()) {
    return statement_->effect() == engine::StatementEffect::kRead &&
           engine::IsPassingDefect(failure);
  }
  if (core_->datasets->empty() || CodeOf(failure) != ErrorCode::kTableNotFound) {
    return false;
  }
  ARROW_ASSIGN_OR_RAISE(auto connection, core_->connections->Take());
  auto tables = statement_->TableNames(*connection.connection);
  if (!tables.ok()) return false;
  ARROW_ASSIGN_OR_RAISE(auto remedy,
                        core_->datasets->Recover(*connection.connection, *tables));
  core_->connections->Give(std::move(connection));
  return remedy == Datasets::Remedy::kRetry;
}

void Execution::End(arrow::Status status) {
  std::unique_ptr<engine::ResultStream> stream;
  std::shared_ptr<ResultConsumer> consumer;
  {
    MutexLock lock(mutex_);
    state_ = State::kEnded;
    stream = std::move(stream_);
    consumer = std::move(consumer_);
    // An interrupt of ours comes back with the reason it was made for.
    if (stop_ && !status.ok() && CodeOf(status) == ErrorCode::kCancelled) status = *stop_;
  }
  if (stream) {
    pooled_.connection = stream->TakeConnection();
    stream.reset();
  }
  core_->connections->Give(std::move(pooled_));
  core_->scheduler->Forget(this);
  if (consumer) consumer->OnEnd(status);
}

void Execution::Resume() {
  {
    MutexLock lock(mutex_);
    resumed_ = true;
    if (state_ != State::kParked) return;
    resumed_ = false;
    state_ = State::kQueued;
  }
  core_->scheduler->Ready(shared_from_this());
}

void Execution::Cancel() {
  StopWith(Error(ErrorCode::kCancelled, "the statement was cancelled"));
}

void Execution::OnStop() {
  StopWith(MakeError(ErrorCode::kDraining, "the server is shutting down", 5));
}

void Execution::StopWith(arrow::Status reason) {
  MutexLock lock(mutex_);
  if (state_ == State::kEnded || stop_) return;
  stop_ = std::move(reason);
  if (state_ == State::kRunning) {
    if (stream_) stream_->Interrupt();
    return;
  }
  lock.Unlock();
  // The watching thread ends what no thread is on.
  core_->scheduler->Wake();
  lock.Lock();
}

std::optional<arrow::Status> Execution::StopReason() {
  MutexLock lock(mutex_);
  return stop_;
}

Clock::Steady Execution::Sweep(Clock::Steady now) {
  arrow::Status reason;
  {
    MutexLock lock(mutex_);
    if (state_ == State::kEnded) return Clock::Steady::max();
    const ServiceOptions& options = core_->options;
    const auto deadline = deadline_.value_or(Clock::Steady::max());
    const auto pause_end = state_ == State::kParked ? parked_at_ + options.paused_max
                                                    : Clock::Steady::max();
    if (!stop_ && now >= deadline) {
      stop_ = Error(ErrorCode::kTimeout, "the statement took longer than ",
                    options.query_timeout.count(), " ms (limits.query_timeout)");
      if (state_ == State::kRunning && stream_) stream_->Interrupt();
    }
    if (!stop_ && now >= pause_end) {
      stop_ = Error(ErrorCode::kTimeout, "the result was not read for ",
                    options.paused_max.count(), " ms");
    }
    if (!stop_ && state_ == State::kParked && options.database->invalidated()) {
      stop_ = MakeError(ErrorCode::kStorageUnavailable, "the database is being reopened",
                        1);
    }
    if (!stop_) return std::min(deadline, pause_end);
    if (state_ == State::kRunning) return Clock::Steady::max();
    state_ = State::kRunning;
    reason = *stop_;
  }
  End(std::move(reason));
  return Clock::Steady::max();
}

}  // namespace arrowport::query
