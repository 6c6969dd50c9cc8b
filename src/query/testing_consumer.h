// A consumer for tests: keeps what it gets, waits for the end.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mutex.h"
#include "query/service.h"

namespace arrowport::query {

struct Outcome {
  arrow::Status status;
  std::shared_ptr<arrow::Schema> schema;
  std::vector<std::shared_ptr<arrow::RecordBatch>> batches;

  int64_t rows() const {
    int64_t sum = 0;
    for (const auto& batch : batches) sum += batch->num_rows();
    return sum;
  }
};

/// Thread-safe.
class KeepingConsumer : public ResultConsumer {
 public:
  /// `flow` is asked after each batch, with the number of batches so far.
  explicit KeepingConsumer(std::function<Flow(int)> flow = {}) : flow_(std::move(flow)) {}

  void OnSchema(const std::shared_ptr<arrow::Schema>& schema) override {
    MutexLock lock(mutex_);
    outcome_.schema = schema;
    changed_.notify_all();
  }
  Flow OnBatch(std::shared_ptr<arrow::RecordBatch> batch) override {
    int count = 0;
    {
      MutexLock lock(mutex_);
      outcome_.batches.push_back(std::move(batch));
      count = static_cast<int>(outcome_.batches.size());
      changed_.notify_all();
    }
    return flow_ ? flow_(count) : Flow::kContinue;
  }
  void OnEnd(const arrow::Status& status) override {
    MutexLock lock(mutex_);
    outcome_.status = status;
    ++ends_;
    changed_.notify_all();
  }

  /// False when the statement has not ended after `wait`.
  bool WaitForEnd(std::chrono::milliseconds wait = std::chrono::seconds(60)) {
    return WaitUntil(wait, [this]() REQUIRES(mutex_) { return ends_ > 0; });
  }
  bool WaitForBatches(int count,
                      std::chrono::milliseconds wait = std::chrono::seconds(60)) {
    return WaitUntil(wait, [this, count]() REQUIRES(mutex_) {
      return static_cast<int>(outcome_.batches.size()) >= count;
    });
  }
  int ends() {
    MutexLock lock(mutex_);
    return ends_;
  }
  int batches() {
    MutexLock lock(mutex_);
    return static_cast<int>(outcome_.batches.size());
  }
  Outcome outcome() {
    MutexLock lock(mutex_);
    return outcome_;
  }

 private:
  bool WaitUntil(std::chrono::milliseconds wait, const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + wait;
    MutexLock lock(mutex_);
    while (!done()) {
      if (lock.WaitUntil(changed_, deadline) == std::cv_status::timeout) return done();
    }
    return true;
  }

  const std::function<Flow(int)> flow_;
  Mutex mutex_;
  std::condition_variable changed_;
  Outcome outcome_ GUARDED_BY(mutex_);
  int ends_ GUARDED_BY(mutex_) = 0;
};

/// Runs `request` and waits for its end.
inline Outcome RunToEnd(Service& service, Request request) {
  auto consumer = std::make_shared<KeepingConsumer>();
  auto cursor = service.Execute(std::move(request), consumer);
  if (!cursor.ok()) return {cursor.status(), nullptr, {}};
  if (!consumer->WaitForEnd()) {
    return {Error(ErrorCode::kTimeout, "test: the statement did not end"), nullptr, {}};
  }
  return consumer->outcome();
}

}  // namespace arrowport::query
