#include "maintain/row_stream.h"

#include <arrow/table.h>

#include <condition_variable>
#include <deque>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/mutex.h"
#include "ingest/blocking_observer.h"

namespace arrowport::maintain {
namespace {

constexpr size_t kQueuedMax = 4;  ///< batches, each at most about 8 MiB
constexpr int64_t kSmallRowsMax = 100'000;

arrow::Status PushAll(ingest::Session& session, ingest::BlockingObserver& waiter,
                      const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) {
  for (const auto& batch : batches) {
    waiter.ExpectPause();
    ARROW_ASSIGN_OR_RAISE(const ingest::Flow flow, session.Push(batch));
    if (flow == ingest::Flow::kPause) waiter.AwaitReady();
  }
  return {};
}

}  // namespace

/// Thread-safe.
class RowStream::Queue final : public query::ResultConsumer {
 public:
  void OnSchema(const std::shared_ptr<arrow::Schema>& schema) override {
    MutexLock lock(mutex_);
    schema_ = schema;
    changed_.notify_all();
  }
  query::Flow OnBatch(std::shared_ptr<arrow::RecordBatch> batch) override {
    MutexLock lock(mutex_);
    batches_.push_back(std::move(batch));
    paused_ = batches_.size() >= kQueuedMax;
    changed_.notify_all();
    return paused_ ? query::Flow::kPause : query::Flow::kContinue;
  }
  void OnEnd(const arrow::Status& status) override {
    MutexLock lock(mutex_);
    end_ = status;
    changed_.notify_all();
  }

  arrow::Result<std::shared_ptr<arrow::Schema>> AwaitSchema() {
    MutexLock lock(mutex_);
    while (!schema_ && !end_) lock.Wait(changed_);
    if (end_) ARROW_RETURN_NOT_OK(*end_);
    if (!schema_) return Error(ErrorCode::kInternal, "the result has no schema");
    return schema_;
  }

  struct Taken {
    std::shared_ptr<arrow::RecordBatch> batch;  ///< null at the end
    bool resume = false;                        ///< the query waits for room
  };
  arrow::Result<Taken> Take() {
    MutexLock lock(mutex_);
    while (batches_.empty() && !end_) lock.Wait(changed_);
    Taken taken;
    if (batches_.empty()) {
      ARROW_RETURN_NOT_OK(*end_);
      return taken;
    }
    taken.batch = std::move(batches_.front());
    batches_.pop_front();
    taken.resume = batches_.empty() && std::exchange(paused_, false);
    return taken;
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<arrow::Schema> schema_ GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<arrow::RecordBatch>> batches_ GUARDED_BY(mutex_);
  bool paused_ GUARDED_BY(mutex_) = false;
  std::optional<arrow::Status> end_ GUARDED_BY(mutex_);
};

arrow::Result<std::unique_ptr<RowStream>> RowStream::Start(query::Service& service,
                                                           std::string sql) {
  query::Request request;
  request.source = std::move(sql);
  auto queue = std::make_shared<Queue>();
  ARROW_ASSIGN_OR_RAISE(auto cursor, service.Execute(std::move(request), queue));
  ARROW_ASSIGN_OR_RAISE(auto schema, queue->AwaitSchema());
  return std::unique_ptr<RowStream>(
      new RowStream(std::move(queue), std::move(cursor), std::move(schema)));
}

RowStream::RowStream(std::shared_ptr<Queue> queue, std::unique_ptr<query::Cursor> cursor,
                     std::shared_ptr<arrow::Schema> schema)
    : queue_(std::move(queue)), cursor_(std::move(cursor)), schema_(std::move(schema)) {}

RowStream::~RowStream() = default;

arrow::Result<std::shared_ptr<arrow::RecordBatch>> RowStream::Next() {
  ARROW_ASSIGN_OR_RAISE(auto taken, queue_->Take());
  if (taken.resume) cursor_->Resume();
  return std::move(taken.batch);
}

arrow::Result<std::shared_ptr<arrow::Table>> ReadRows(query::Service& service,
                                                      std::string sql) {
  ARROW_ASSIGN_OR_RAISE(auto rows, RowStream::Start(service, std::move(sql)));
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;
  int64_t count = 0;
  for (;;) {
    ARROW_ASSIGN_OR_RAISE(auto batch, rows->Next());
    if (!batch) break;
    count += batch->num_rows();
    if (count > kSmallRowsMax) return Error(ErrorCode::kTooLarge, "too many rows");
    batches.push_back(std::move(batch));
  }
  return arrow::Table::FromRecordBatches(rows->schema(), batches);
}

arrow::Status CheckUpload(ingest::Service& service, ingest::Request request) {
  return service.Open(std::move(request), std::make_shared<ingest::BlockingObserver>()).status();
}

arrow::Result<ingest::Receipt> Upload(
    ingest::Service& service, ingest::Request request,
    const std::shared_ptr<arrow::Schema>& schema,
    const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) {
  auto waiter = std::make_shared<ingest::BlockingObserver>();
  ARROW_ASSIGN_OR_RAISE(auto session, service.Open(std::move(request), waiter));
  ARROW_RETURN_NOT_OK(session->Start(schema));
  const arrow::Status pushed = PushAll(*session, *waiter, batches);
  if (!pushed.ok()) {
    session->Abort();
    return pushed;
  }
  session->Finish();
  return waiter->AwaitDone();
}

}  // namespace arrowport::maintain
