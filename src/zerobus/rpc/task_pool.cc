#include "zerobus/rpc/task_pool.h"

#include <system_error>
#include <utility>

namespace arrowport::zerobus::rpc {

TaskPool::~TaskPool() {
  std::vector<std::thread> threads;
  std::deque<std::function<void()>> dropped;
  {
    MutexLock lock(mutex_);
    closing_ = true;
    threads.swap(threads_);
    dropped.swap(tasks_);
  }
  work_.notify_all();
  for (auto& thread : threads) thread.join();
}

bool TaskPool::Run(std::function<void()> task) {
  MutexLock lock(mutex_);
  if (closing_) return false;
  tasks_.push_back(std::move(task));
  if (idle_ < static_cast<int>(tasks_.size()) &&
      static_cast<int>(threads_.size()) < threads_max_) {
    try {
      threads_.emplace_back([this] { Work(); });
    } catch (const std::system_error&) {
      if (threads_.empty()) {
        tasks_.pop_back();
        return false;
      }
    }
  }
  work_.notify_one();
  return true;
}

int64_t TaskPool::waiting() const {
  MutexLock lock(mutex_);
  return static_cast<int64_t>(tasks_.size());
}

void TaskPool::Work() {
  MutexLock lock(mutex_);
  while (true) {
    ++idle_;
    while (tasks_.empty() && !closing_) lock.Wait(work_);
    --idle_;
    if (closing_) return;
    auto task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.Unlock();
    task();
    task = nullptr;
    lock.Lock();
  }
}

}  // namespace arrowport::zerobus::rpc
