#include "wire/net/worker_pool.h"

namespace arrowport::wire::net {

void WorkerPool::Start() {
  for (int i = 0; i < thread_count_; ++i) threads_.emplace_back([this] { Run(); });
}

void WorkerPool::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerPool::Schedule(std::shared_ptr<Strand> strand) {
  bool wake = false;
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    queue_.push_back(std::move(strand));
    wake = idle_ > 0;
  }
  if (wake) wake_.notify_one();
}

void WorkerPool::Run() {
  MutexLock lock(mutex_);
  while (true) {
    while (queue_.empty()) {
      if (stopping_) return;
      ++idle_;
      lock.Wait(wake_);
      --idle_;
    }
    std::shared_ptr<Strand> strand = std::move(queue_.front());
    queue_.pop_front();
    lock.Unlock();
    bool more = strand->RunSome();
    lock.Lock();
    if (more) queue_.push_back(std::move(strand));
    // The last reference may go here: never under the lock.
    if (strand) {
      lock.Unlock();
      strand.reset();
      lock.Lock();
    }
  }
}

}  // namespace arrowport::wire::net
