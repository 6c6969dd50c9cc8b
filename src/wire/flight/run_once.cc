#include "wire/flight/run_once.h"

#include <arrow/array.h>
#include <arrow/builder.h>

#include <condition_variable>
#include <optional>
#include <utility>

#include "base/mutex.h"

namespace arrowport::wire::flight {
namespace {

class CountConsumer : public query::ResultConsumer {
 public:
  void OnSchema(const std::shared_ptr<arrow::Schema>&) override {}
  query::Flow OnBatch(std::shared_ptr<arrow::RecordBatch> batch) override {
    MutexLock lock(mutex_);
    if (batch->num_columns() == 1 && batch->num_rows() == 1 &&
        batch->column(0)->type_id() == arrow::Type::INT64 &&
        batch->column(0)->IsValid(0)) {
      count_ = static_cast<const arrow::Int64Array&>(*batch->column(0)).Value(0);
    }
    return query::Flow::kContinue;
  }
  void OnEnd(const arrow::Status& status) override {
    MutexLock lock(mutex_);
    end_ = status;
    ended_.notify_all();
  }
  arrow::Result<int64_t> Wait() {
    MutexLock lock(mutex_);
    while (!end_) lock.Wait(ended_);
    ARROW_RETURN_NOT_OK(*end_);
    return count_;
  }

 private:
  Mutex mutex_;
  std::condition_variable ended_;
  int64_t count_ GUARDED_BY(mutex_) = 0;
  std::optional<arrow::Status> end_ GUARDED_BY(mutex_);
};

}  // namespace

arrow::Result<int64_t> RunOnce(query::Service& query, query::Request request) {
  auto consumer = std::make_shared<CountConsumer>();
  ARROW_ASSIGN_OR_RAISE(auto cursor, query.Execute(std::move(request), consumer));
  return consumer->Wait();
}

const std::shared_ptr<arrow::Schema>& CountSchema() {
  static const auto schema = arrow::schema({arrow::field("Count", arrow::int64())});
  return schema;
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> MakeCountBatch(int64_t count) {
  arrow::Int64Builder builder;
  ARROW_RETURN_NOT_OK(builder.Append(count));
  ARROW_ASSIGN_OR_RAISE(auto column, builder.Finish());
  return arrow::RecordBatch::Make(CountSchema(), 1, {std::move(column)});
}

}  // namespace arrowport::wire::flight
