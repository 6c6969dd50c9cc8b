#include "delta/encoder_pool.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace arrowport::delta {

/// The tasks of one Run; lives on its caller's stack until all of them have ended.
struct EncoderPool::Batch {
  std::vector<Task> tasks;
  std::vector<arrow::Status> results;
  size_t unfinished = 0;
};

EncoderPool::EncoderPool(int encoders) : encoders_(std::max(encoders, 1)) {
  // The caller of a Run encodes too, so one thread fewer is ever needed.
  for (int i = 1; i < encoders_; ++i) {
    workers_.emplace_back([this] { WorkerLoop(); });
  }
}

EncoderPool::~EncoderPool() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void EncoderPool::RunItem(Batch* batch, size_t index) {
  batch->results[index] = batch->tasks[index]();
}

void EncoderPool::WorkerLoop() {
  MutexLock lock(mutex_);
  while (true) {
    while (!stopping_ && (waiting_.empty() || busy_ >= encoders_)) lock.Wait(changed_);
    if (stopping_) return;
    const Item item = waiting_.front();
    waiting_.pop_front();
    ++busy_;
    lock.Unlock();
    RunItem(item.batch, item.index);
    lock.Lock();
    --busy_;
    --item.batch->unfinished;
    changed_.notify_all();
  }
}

arrow::Status EncoderPool::Run(std::vector<Task> tasks) {
  if (tasks.empty()) return {};
  Batch batch;
  batch.results.resize(tasks.size());
  batch.unfinished = tasks.size();
  batch.tasks = std::move(tasks);

  MutexLock lock(mutex_);
  while (busy_ >= encoders_) lock.Wait(changed_);
  ++busy_;
  for (size_t i = 1; i < batch.tasks.size(); ++i) waiting_.push_back({&batch, i});
  if (batch.tasks.size() > 1) changed_.notify_all();
  std::optional<size_t> mine = 0;
  while (mine) {
    lock.Unlock();
    RunItem(&batch, *mine);
    lock.Lock();
    --batch.unfinished;
    auto next = std::find_if(waiting_.begin(), waiting_.end(),
                             [&](const Item& item) { return item.batch == &batch; });
    mine.reset();
    if (next != waiting_.end()) {
      mine = next->index;
      waiting_.erase(next);
    }
  }
  --busy_;
  changed_.notify_all();
  while (batch.unfinished > 0) lock.Wait(changed_);
  for (const arrow::Status& result : batch.results) ARROW_RETURN_NOT_OK(result);
  return {};
}

bool EncoderPool::HasIdle(int beside) const {
  MutexLock lock(mutex_);
  return busy_ + static_cast<int>(waiting_.size()) + beside < encoders_;
}

}  // namespace arrowport::delta
