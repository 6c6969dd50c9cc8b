// A call without a network and services without storage, for tests. Not part of the
// library.
#pragma once

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/writer.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "wire/http/router.h"

namespace arrowport::wire::http::testing {

/// Runs everything on the test's thread: posted tasks wait for RunTasks.
class FakeCall : public net::Call {
 public:
  explicit FakeCall(net::RequestHead head)
      : head_(std::move(head)), pool_(BufferPool::Make(1 << 20, nullptr)) {}

  const net::RequestHead& head() const override { return head_; }
  const std::shared_ptr<BufferPool>& pool() const override { return pool_; }
  void SendHead(net::ResponseHead head) override {
    EXPECT_FALSE(sent) << "head sent twice";
    sent = std::move(head);
  }
  bool Write(net::Slices slices) override {
    EXPECT_TRUE(sent.has_value()) << "body before head";
    for (const auto& slice : slices) {
      body.append(slice->ToString());
      queued += slice->size();
      write_bytes_max = std::max(write_bytes_max, queued);
    }
    return queued < high_water;
  }
  int64_t queued_bytes() const override { return queued; }
  void Finish(net::Outcome) override {
    EXPECT_FALSE(finished || aborted);
    finished = true;
  }
  void Abort() override { aborted = true; }
  void PauseReading() override { paused = true; }
  void ResumeReading() override { paused = false; }
  void Post(std::function<void()> task) override { tasks.push_back(std::move(task)); }
  bool cancelled() const override { return false; }

  void RunTasks() {
    while (!tasks.empty()) {
      auto task = std::move(tasks.front());
      tasks.pop_front();
      task();
    }
  }

  std::optional<net::ResponseHead> sent;
  std::string body;
  int64_t queued = 0;
  int64_t high_water = int64_t{1} << 40;
  int64_t write_bytes_max = 0;
  bool finished = false;
  bool aborted = false;
  bool paused = false;
  std::deque<std::function<void()>> tasks;

 private:
  const net::RequestHead head_;
  const std::shared_ptr<BufferPool> pool_;
};

/// Takes every batch; refuses or pauses on request.
class FakeIngest : public ingest::Service {
 public:
  arrow::Result<std::unique_ptr<ingest::Session>> Open(
      ingest::Request request, std::shared_ptr<ingest::SessionObserver> watcher) override;
  std::vector<ingest::StreamInfo> Streams() const override { return streams; }
  arrow::Status Flush() override { return {}; }
  arrow::Status Checkpoint() override {
    ++checkpoints;
    return {};
  }

  std::vector<ingest::StreamInfo> streams;
  int checkpoints = 0;
  arrow::Status open_status, start_status, push_status, finish_status;
  bool pause_each = false;
  ingest::Receipt receipt{
      .table = "t", .backend = "duckdb", .durability = "file", .version = "duckdb:7"};

  ingest::Request request;
  std::shared_ptr<ingest::SessionObserver> observer;
  std::shared_ptr<arrow::Schema> schema;
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
  int opened = 0;
  bool finished = false;
  bool aborted = false;
};

class FakeSession : public ingest::Session {
 public:
  explicit FakeSession(FakeIngest* service) : service_(service) {}
  arrow::Status Start(const std::shared_ptr<arrow::Schema>& schema) override {
    service_->schema = schema;
    return service_->start_status;
  }
  arrow::Result<ingest::Flow> Push(std::shared_ptr<arrow::RecordBatch> batch) override {
    ARROW_RETURN_NOT_OK(service_->push_status);
    EXPECT_FALSE(paused_) << "pushed without OnReady";
    service_->batches.push_back(std::move(batch));
    paused_ = service_->pause_each;
    return paused_ ? ingest::Flow::kPause : ingest::Flow::kContinue;
  }
  void Finish() override {
    service_->finished = true;
    if (!service_->finish_status.ok()) {
      return service_->observer->OnDone(service_->finish_status);
    }
    ingest::Receipt receipt = service_->receipt;
    receipt.stream = service_->request.stream;
    for (const auto& batch : service_->batches) receipt.rows += batch->num_rows();
    receipt.batches = static_cast<int64_t>(service_->batches.size());
    service_->observer->OnDone(receipt);
  }
  void Abort() override { service_->aborted = true; }
  std::optional<int64_t> producer_last_sequence() const override { return {}; }
  void Ready() { paused_ = false; }

 private:
  FakeIngest* const service_;
  bool paused_ = false;
};

inline arrow::Result<std::unique_ptr<ingest::Session>> FakeIngest::Open(
    ingest::Request opened_with, std::shared_ptr<ingest::SessionObserver> watcher) {
  ++opened;
  request = std::move(opened_with);
  observer = std::move(watcher);
  ARROW_RETURN_NOT_OK(open_status);
  return std::make_unique<FakeSession>(this);
}

/// Gives `results` batch by batch, on the test's thread, as far as the consumer lets it.
class FakeQuery : public query::Service {
 public:
  class FakeCursor : public query::Cursor {
   public:
    explicit FakeCursor(FakeQuery* service) : service_(service) {}
    void Resume() override { service_->Go(); }
    void Cancel() override { service_->cancelled = true; }

   private:
    FakeQuery* const service_;
  };

  arrow::Result<std::unique_ptr<query::Cursor>> Execute(
      query::Request asked, std::shared_ptr<query::ResultConsumer> to) override {
    ARROW_RETURN_NOT_OK(execute_status);
    request = std::move(asked);
    consumer = std::move(to);
    next = 0;
    if (schema) consumer->OnSchema(schema);
    Go();
    return std::make_unique<FakeCursor>(this);
  }
  void Go() {
    while (next < results.size()) {
      if (consumer->OnBatch(results[next++]) == query::Flow::kPause) {
        ++pauses;
        return;
      }
    }
    consumer->OnEnd(end_status);
  }
  arrow::Result<std::shared_ptr<arrow::Schema>> Describe(const query::Request&) override {
    return schema;
  }
  arrow::Result<std::vector<query::TableInfo>> ListTables() override { return tables; }
  arrow::Result<query::TableInfo> GetTable(const query::TableRef& table) override {
    for (const auto& info : tables) {
      if (info.table == table.table) return info;
    }
    return Error(ErrorCode::kTableNotFound, "no such table: ", table.table);
  }

  arrow::Status execute_status, end_status;
  std::shared_ptr<arrow::Schema> schema;
  std::vector<std::shared_ptr<arrow::RecordBatch>> results;
  std::vector<query::TableInfo> tables;
  query::Request request;
  std::shared_ptr<query::ResultConsumer> consumer;
  size_t next = 0;
  int pauses = 0;
  bool cancelled = false;
};

inline std::shared_ptr<arrow::RecordBatch> MakeBatch(int64_t rows, int64_t from = 0) {
  arrow::Int64Builder ids;
  arrow::StringBuilder names;
  for (int64_t i = 0; i < rows; ++i) {
    EXPECT_TRUE(ids.Append(from + i).ok());
    EXPECT_TRUE(names.Append("name " + std::to_string((from + i) * 7919 % 10007)).ok());
  }
  auto schema = arrow::schema(
      {arrow::field("id", arrow::int64()), arrow::field("name", arrow::utf8())});
  return arrow::RecordBatch::Make(schema, rows, {*ids.Finish(), *names.Finish()});
}

enum class IpcForm { kStream, kFile };

inline std::string ToIpc(const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches,
                         IpcForm form = IpcForm::kStream) {
  auto sink = *arrow::io::BufferOutputStream::Create();
  auto writer = form == IpcForm::kStream
                    ? *arrow::ipc::MakeStreamWriter(sink, batches[0]->schema())
                    : *arrow::ipc::MakeFileWriter(sink, batches[0]->schema());
  for (const auto& batch : batches) EXPECT_TRUE(writer->WriteRecordBatch(*batch).ok());
  EXPECT_TRUE(writer->Close().ok());
  return (*sink->Finish())->ToString();
}

}  // namespace arrowport::wire::http::testing
