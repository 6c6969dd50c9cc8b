#include "query/scheduler.h"

#include <algorithm>

#include "base/error.h"

namespace arrowport::query {

Scheduler::Scheduler(SchedulerOptions options) : options_(std::move(options)) {}

Scheduler::~Scheduler() { Stop(); }

void Scheduler::Start() {
  MutexLock lock(mutex_);
  if (started_) return;
  started_ = true;
  for (int i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this] { RunTasks(); });
  }
  watcher_ = std::thread([this] { Watch(); });
}

void Scheduler::Drain() {
  MutexLock lock(mutex_);
  draining_ = true;
}

void Scheduler::Stop() {
  std::vector<std::shared_ptr<Task>> running;
  {
    MutexLock lock(mutex_);
    if (!started_) return;
    started_ = false;
    draining_ = true;
    for (const auto& [key, task] : tasks_) running.push_back(task);
  }
  for (const auto& task : running) task->OnStop();
  running.clear();
  {
    MutexLock lock(mutex_);
    wake_ = true;
    watch_.notify_all();
    while (!tasks_.empty()) lock.Wait(forgotten_);
    stopping_ = true;
    work_.notify_all();
    watch_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
  watcher_.join();
  threads_.clear();
}

arrow::Status Scheduler::Admit(std::shared_ptr<Task> task) {
  MutexLock lock(mutex_);
  if (draining_ || !started_) {
    return MakeError(ErrorCode::kDraining, "the server is shutting down", 5);
  }
  if (waiting_ >= options_.waiting_max) {
    return MakeError(ErrorCode::kOverloaded,
                     "too many statements are waiting, try again: limit " +
                         std::to_string(options_.waiting_max),
                     1);
  }
  ++waiting_;
  tasks_.emplace(task.get(), task);
  queue_.push_back({std::move(task), true});
  work_.notify_one();
  // Its time limit may be the next one.
  wake_ = true;
  watch_.notify_all();
  return {};
}

void Scheduler::Ready(std::shared_ptr<Task> task) {
  MutexLock lock(mutex_);
  if (tasks_.count(task.get()) == 0) return;
  queue_.push_back({std::move(task), false});
  work_.notify_one();
}

void Scheduler::Wake() {
  MutexLock lock(mutex_);
  wake_ = true;
  watch_.notify_all();
}

void Scheduler::Forget(Task* task) {
  std::shared_ptr<Task> last;
  MutexLock lock(mutex_);
  auto found = tasks_.find(task);
  if (found == tasks_.end()) return;
  last = std::move(found->second);
  tasks_.erase(found);
  if (tasks_.empty()) forgotten_.notify_all();
  // The destructor of a task may come back here.
  lock.Unlock();
  last.reset();
  lock.Lock();
}

bool Scheduler::crowded() const {
  MutexLock lock(mutex_);
  return !queue_.empty();
}

void Scheduler::RunTasks() {
  for (;;) {
    std::shared_ptr<Task> task;
    {
      MutexLock lock(mutex_);
      while (queue_.empty() && !stopping_) lock.Wait(work_);
      if (queue_.empty()) return;
      if (queue_.front().is_new) --waiting_;
      task = std::move(queue_.front().task);
      queue_.pop_front();
    }
    task->Run();
  }
}

void Scheduler::Watch() {
  Clock::Steady next_look = options_.clock->SteadyNow();
  Clock::Steady next_tick = next_look;
  for (;;) {
    std::vector<std::shared_ptr<Task>> tasks;
    {
      MutexLock lock(mutex_);
      while (!wake_ && !stopping_ && options_.clock->SteadyNow() < next_look) {
        lock.WaitUntil(watch_, next_look);
      }
      if (stopping_) return;
      wake_ = false;
      for (const auto& [key, task] : tasks_) tasks.push_back(task);
    }
    Clock::Steady now = options_.clock->SteadyNow();
    if (now >= next_tick) {
      if (options_.on_tick) options_.on_tick();
      next_tick = now + options_.tick;
    }
    next_look = next_tick;
    for (const auto& task : tasks) next_look = std::min(next_look, task->Sweep(now));
  }
}

}  // namespace arrowport::query
