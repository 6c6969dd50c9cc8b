#include "zerobus/callback_queue.h"

#include <utility>

namespace arrowport::zerobus {

void CallbackQueue::Add(int64_t offset,
                        const std::shared_ptr<const arrow::Status>& error) {
  if (error ? !on_failed_ : !on_durable_) return;
  MutexLock lock(mutex_);
  if (!ranges_.empty() && ranges_.back().last + 1 == offset &&
      ranges_.back().error == error) {
    ranges_.back().last = offset;
  } else {
    ranges_.push_back({offset, offset, error});
  }
  if (posted_) return;
  posted_ = true;
  thread_->Run([self = shared_from_this()] { self->Deliver(); });
}

void CallbackQueue::Deliver() {
  MutexLock lock(mutex_);
  while (!ranges_.empty()) {
    const Range range = std::move(ranges_.front());
    ranges_.pop_front();
    lock.Unlock();
    if (range.error) {
      on_failed_({range.first, range.last, *range.error});
    } else {
      on_durable_({range.first, range.last});
    }
    lock.Lock();
  }
  posted_ = false;
  idle_.notify_all();
}

void CallbackQueue::Run(std::function<void()> task) {
  // The task may be all that finishes somebody's wait: without a thread it runs here.
  if (!thread_->Run(task)) task();
}

int64_t CallbackQueue::Finish(std::optional<std::chrono::milliseconds> wait) {
  const auto deadline =
      std::chrono::steady_clock::now() + wait.value_or(std::chrono::hours(24 * 365));
  MutexLock lock(mutex_);
  while (posted_) {
    if (lock.WaitUntil(idle_, deadline) == std::cv_status::timeout) break;
  }
  const auto dropped = static_cast<int64_t>(ranges_.size());
  ranges_.clear();
  return dropped;
}

}  // namespace arrowport::zerobus
