#include "delta/read_ahead.h"

#include <utility>

namespace arrowport::delta {

ReadAhead::ReadAhead(std::shared_ptr<arrow::RecordBatchReader> rows, size_t batches_max)
    : rows_(std::move(rows)),
      schema_(rows_->schema()),
      batches_max_(batches_max),
      thread_([this] { Run(); }) {}

ReadAhead::~ReadAhead() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ReadAhead::Run() {
  for (;;) {
    Next next = rows_->Next();
    const bool last = !next.ok() || *next == nullptr;
    MutexLock lock(mutex_);
    while (!stopping_ && read_.size() >= batches_max_) lock.Wait(changed_);
    if (stopping_) return;
    read_.push_back(std::move(next));
    changed_.notify_all();
    if (last) return;
  }
}

arrow::Status ReadAhead::ReadNext(std::shared_ptr<arrow::RecordBatch>* out) {
  MutexLock lock(mutex_);
  while (read_.empty()) lock.Wait(changed_);
  const bool last = !read_.front().ok() || *read_.front() == nullptr;
  if (last) {  // stays for whoever asks again
    ARROW_ASSIGN_OR_RAISE(*out, read_.front());
    return {};
  }
  *out = *std::move(read_.front());
  read_.pop_front();
  changed_.notify_all();
  return {};
}

}  // namespace arrowport::delta
