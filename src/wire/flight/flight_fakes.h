// A call without a network, and services without a database, for the tests of this
// folder and of the transport.
#pragma once

#include <arrow/api.h>
#include <arrow/json/from_string.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "ingest/session.h"
#include "query/service.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

/// Delivers events when the test says so, on the test's thread.
class FakeCall : public net::Call {
 public:
  explicit FakeCall(std::string method, net::Headers headers = {}) {
    head_.protocol = net::Protocol::kGrpc;
    head_.method = "POST";
    head_.path = "/arrow.flight.protocol.FlightService/" + std::move(method);
    head_.headers = std::move(headers);
    head_.peer = {"127.0.0.1", 1234, true, false};
    head_.request_id = "request-1";
  }

  const net::RequestHead& head() const override { return head_; }
  const std::shared_ptr<BufferPool>& pool() const override { return pool_; }
  void SendHead(net::ResponseHead head) override { response_head = std::move(head); }
  bool Write(net::Slices slices) override {
    std::string bytes;
    for (const auto& slice : slices) bytes += slice->ToString();
    written.push_back(std::move(bytes));
    return ++writes_since_drain < writes_before_full;
  }
  int64_t queued_bytes() const override { return 0; }
  void Finish(net::Outcome result) override {
    if (finished) return;
    outcome = std::move(result);
    finished = true;
  }
  void Abort() override { aborted = true; }
  void PauseReading() override { paused = true; }
  void ResumeReading() override { paused = false; }
  void Post(std::function<void()> task) override {
    MutexLock lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  bool cancelled() const override { return false; }

  /// Runs what was posted, as the transport would between two events.
  void RunTasks() {
    for (;;) {
      std::function<void()> task;
      {
        MutexLock lock(mutex_);
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }
  size_t task_count() {
    MutexLock lock(mutex_);
    return tasks_.size();
  }

  net::RequestHead head_;
  std::optional<net::ResponseHead> response_head;
  std::vector<std::string> written;
  int writes_before_full = 1 << 30;
  std::atomic<int> writes_since_drain = 0;
  std::optional<net::Outcome> outcome;  ///< once finished
  std::atomic<bool> finished = false;
  bool paused = false;
  bool aborted = false;

 private:
  const std::shared_ptr<BufferPool> pool_ = BufferPool::Make(1 << 20, nullptr);
  Mutex mutex_;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
};

/// Remembers what landed. Thread-safe: one lock for everything.
class FakeIngest : public ingest::Service {
 public:
  struct Upload {
    ingest::Request request;
    std::shared_ptr<arrow::Schema> schema;
    std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
    bool finished = false;
    bool aborted = false;
  };

  /// What the next sessions do.
  struct Script {
    arrow::Status open;
    arrow::Status start;
    int64_t fail_push_at = -1;  ///< offset of the batch that is refused
    arrow::Status push_failure =
        MakeError(ErrorCode::kSchemaMismatch, "column c0, row 1: does not fit");
    int64_t pause_at = -1;     ///< offset whose Push answers kPause
    bool ack_on_push = false;  ///< batch mode
    std::optional<arrow::Status> finish_failure;
    std::optional<int64_t> producer_last_sequence;
  };

  arrow::Result<std::unique_ptr<ingest::Session>> Open(
      ingest::Request request,
      std::shared_ptr<ingest::SessionObserver> observer) override;
  std::vector<ingest::StreamInfo> Streams() const override { return {}; }
  arrow::Status Flush() override {
    ++flushes;
    return {};
  }
  arrow::Status Checkpoint() override {
    return Error(ErrorCode::kStorageUnavailable, "reopening");
  }

  void set_script(Script script) {
    MutexLock lock(mutex_);
    script_ = std::move(script);
  }
  Script script() {
    MutexLock lock(mutex_);
    return script_;
  }
  Upload upload(size_t index = 0) {
    MutexLock lock(mutex_);
    return index < uploads_.size() ? *uploads_[index] : Upload();
  }
  size_t upload_count() {
    MutexLock lock(mutex_);
    return uploads_.size();
  }
  std::shared_ptr<ingest::SessionObserver> observer(size_t index = 0) {
    MutexLock lock(mutex_);
    return observers_.at(index);
  }

  int flushes = 0;

 private:
  class FakeSession;

  Mutex mutex_;
  Script script_ GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Upload>> uploads_ GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<ingest::SessionObserver>> observers_ GUARDED_BY(mutex_);
};

class FakeIngest::FakeSession : public ingest::Session {
 public:
  FakeSession(FakeIngest* service, std::shared_ptr<Upload> upload,
              std::shared_ptr<ingest::SessionObserver> observer)
      : service_(service), upload_(std::move(upload)), observer_(std::move(observer)) {}
  ~FakeSession() override {
    MutexLock lock(service_->mutex_);
    if (!upload_->finished) upload_->aborted = true;
  }

  arrow::Status Start(const std::shared_ptr<arrow::Schema>& schema) override {
    MutexLock lock(service_->mutex_);
    upload_->schema = schema;
    return service_->script_.start;
  }

  arrow::Result<ingest::Flow> Push(std::shared_ptr<arrow::RecordBatch> batch) override {
    const Script script = service_->script();
    const int64_t offset = offset_++;
    if (offset == script.fail_push_at) return script.push_failure;
    ARROW_RETURN_NOT_OK(batch->ValidateFull());
    rows_ += batch->num_rows();
    {
      MutexLock lock(service_->mutex_);
      upload_->batches.push_back(std::move(batch));
    }
    if (script.ack_on_push) observer_->OnAck({offset, rows_, "duckdb:7", {}});
    return offset == script.pause_at ? ingest::Flow::kPause : ingest::Flow::kContinue;
  }

  void Finish() override {
    const Script script = service_->script();
    {
      MutexLock lock(service_->mutex_);
      upload_->finished = true;
    }
    if (script.finish_failure) return observer_->OnDone(*script.finish_failure);
    ingest::Receipt receipt;
    receipt.stream = upload_->request.stream;
    receipt.table = upload_->request.stream;
    receipt.backend = "duckdb";
    receipt.durability = "file";
    receipt.version = "duckdb:8";
    receipt.rows = rows_;
    receipt.batches = offset_;
    observer_->OnDone(receipt);
  }

  void Abort() override {
    MutexLock lock(service_->mutex_);
    if (!upload_->finished) upload_->aborted = true;
  }

  std::optional<int64_t> producer_last_sequence() const override {
    return service_->script().producer_last_sequence;
  }

 private:
  FakeIngest* const service_;
  const std::shared_ptr<Upload> upload_;
  const std::shared_ptr<ingest::SessionObserver> observer_;
  int64_t offset_ = 0;
  int64_t rows_ = 0;
};

inline arrow::Result<std::unique_ptr<ingest::Session>> FakeIngest::Open(
    ingest::Request request, std::shared_ptr<ingest::SessionObserver> observer) {
  MutexLock lock(mutex_);
  ARROW_RETURN_NOT_OK(script_.open);
  auto upload = std::make_shared<Upload>();
  upload->request = std::move(request);
  uploads_.push_back(upload);
  observers_.push_back(observer);
  return std::make_unique<FakeSession>(this, std::move(upload), std::move(observer));
}

/// Knows fixed results by their SQL text, or by "schema.table"; each statement runs on a
/// thread of its own that stops while the consumer wants no more. Thread-safe.
class FakeQuery : public query::Service {
 public:
  struct Result {
    std::shared_ptr<arrow::Schema> schema;
    std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
    arrow::Status end;
  };

  ~FakeQuery() override { Join(); }

  void Add(const std::string& name, Result result) {
    MutexLock lock(mutex_);
    results_[name] = std::move(result);
  }
  void Add(const std::string& name,
           std::vector<std::shared_ptr<arrow::RecordBatch>> batches) {
    auto schema = batches.at(0)->schema();
    Add(name, {std::move(schema), std::move(batches), {}});
  }

  arrow::Result<std::unique_ptr<query::Cursor>> Execute(
      query::Request request, std::shared_ptr<query::ResultConsumer> consumer) override {
    auto state = std::make_shared<RunState>();
    MutexLock lock(mutex_);
    last_request_ = request;
    ++executions_;
    threads_.emplace_back(
        [result = Find(request), consumer, state] { Run(result, *consumer, *state); });
    return std::make_unique<FakeCursor>(state);
  }

  arrow::Result<std::shared_ptr<arrow::Schema>> Describe(
      const query::Request& request) override {
    MutexLock lock(mutex_);
    last_request_ = request;
    ARROW_ASSIGN_OR_RAISE(auto result, Find(request));
    return result.schema;
  }

  /// Names that start with SELECT have rows.
  arrow::Result<query::StatementInfo> Prepare(const query::Request& request) override {
    ARROW_ASSIGN_OR_RAISE(auto schema, Describe(request));
    const auto* sql = std::get_if<std::string>(&request.source);
    const bool has_rows = !sql || sql->starts_with("SELECT");
    return query::StatementInfo{has_rows, has_rows, std::move(schema), {}};
  }

  arrow::Result<std::vector<query::TableInfo>> ListTables() override {
    std::vector<query::TableInfo> tables;
    MutexLock lock(mutex_);
    for (const auto& [name, result] : results_) {
      const size_t dot = name.find('.');
      if (name.find(' ') != std::string::npos || dot == std::string::npos) continue;
      tables.push_back({"db", name.substr(0, dot), name.substr(dot + 1), "BASE TABLE",
                        result.schema, 42});
    }
    return tables;
  }

  arrow::Result<query::TableInfo> GetTable(const query::TableRef& table) override {
    return Error(ErrorCode::kTableNotFound, "no such table: ", table.table);
  }

  /// Waits until every statement started so far has ended.
  void Join() {
    std::vector<std::thread> threads;
    {
      MutexLock lock(mutex_);
      threads.swap(threads_);
    }
    for (auto& thread : threads) thread.join();
  }

  query::Request last_request() const {
    MutexLock lock(mutex_);
    return last_request_;
  }
  int executions() const {
    MutexLock lock(mutex_);
    return executions_;
  }

 private:
  struct RunState {
    Mutex mutex;
    std::condition_variable changed;
    bool resumed GUARDED_BY(mutex) = false;
    bool cancelled GUARDED_BY(mutex) = false;
  };

  class FakeCursor : public query::Cursor {
   public:
    explicit FakeCursor(std::shared_ptr<RunState> state) : state_(std::move(state)) {}
    ~FakeCursor() override { FakeCursor::Cancel(); }
    void Resume() override {
      MutexLock lock(state_->mutex);
      state_->resumed = true;
      state_->changed.notify_all();
    }
    void Cancel() override {
      MutexLock lock(state_->mutex);
      state_->cancelled = true;
      state_->changed.notify_all();
    }

   private:
    const std::shared_ptr<RunState> state_;
  };

  arrow::Result<Result> Find(const query::Request& request) const REQUIRES(mutex_) {
    std::string name;
    if (const auto* table = std::get_if<query::TableRef>(&request.source)) {
      name = (table->schema.empty() ? "main" : table->schema) + "." + table->table;
    } else {
      name = std::get<std::string>(request.source);
    }
    const auto found = results_.find(name);
    if (found == results_.end()) {
      return Error(ErrorCode::kTableNotFound,
                   "Catalog Error: Table does not exist: ", name);
    }
    return found->second;
  }

  static void Run(const arrow::Result<Result>& result, query::ResultConsumer& consumer,
                  RunState& state) {
    if (!result.ok()) return consumer.OnEnd(result.status());
    consumer.OnSchema(result->schema);
    for (const auto& batch : result->batches) {
      const auto flow = consumer.OnBatch(batch);
      MutexLock lock(state.mutex);
      if (flow == query::Flow::kPause) {
        while (!state.resumed && !state.cancelled) lock.Wait(state.changed);
        state.resumed = false;
      }
      if (state.cancelled) {
        lock.Unlock();
        return consumer.OnEnd(Error(ErrorCode::kCancelled, "cancelled"));
      }
    }
    consumer.OnEnd(result->end);
  }

  mutable Mutex mutex_;
  std::map<std::string, Result> results_ GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ GUARDED_BY(mutex_);
  query::Request last_request_ GUARDED_BY(mutex_);
  int executions_ GUARDED_BY(mutex_) = 0;
};

inline std::shared_ptr<arrow::RecordBatch> NumberBatch(int64_t rows, int64_t first = 0) {
  arrow::Int64Builder numbers;
  arrow::StringBuilder texts;
  for (int64_t i = 0; i < rows; ++i) {
    if (!numbers.Append(first + i).ok() || !texts.Append(std::to_string(i)).ok()) {
      return nullptr;
    }
  }
  auto schema = arrow::schema(
      {arrow::field("id", arrow::int64()), arrow::field("text", arrow::utf8())});
  return arrow::RecordBatch::Make(
      schema, rows, {numbers.Finish().ValueOrDie(), texts.Finish().ValueOrDie()});
}

}  // namespace arrowport::wire::flight
