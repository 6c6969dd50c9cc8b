// A fixed set of threads that run statements in turns, and one thread that watches their
// time limits.
#pragma once

#include <arrow/status.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"

namespace arrowport::query {

class Task {
 public:
  virtual ~Task() = default;
  /// One turn, on a pool thread.
  virtual void Run() = 0;
  /// Ends what is over its limits, on the watching thread; returns when to look again.
  virtual Clock::Steady Sweep(Clock::Steady now) = 0;
  /// The scheduler stops: the task is to end soon.
  virtual void OnStop() = 0;
};

struct SchedulerOptions {
  int threads = 4;
  int waiting_max = 256;
  /// The watching thread calls `on_tick` at least this often.
  std::chrono::milliseconds tick{500};
  std::function<void()> on_tick;
  const Clock* clock = &SystemClock();
};

/// Thread-safe. A task is known from Admit to Forget and is kept alive meanwhile.
class Scheduler {
 public:
  explicit Scheduler(SchedulerOptions options);
  ~Scheduler();  ///< as Stop

  void Start();
  /// Tells every task, waits until all are forgotten, ends the threads.
  void Stop();
  void Drain();

  /// Queues a new task. Errors: kOverloaded, kDraining.
  arrow::Status Admit(std::shared_ptr<Task> task);
  /// Queues an admitted task for another turn, behind those that wait.
  void Ready(std::shared_ptr<Task> task);
  /// Has the watching thread look at all tasks now.
  void Wake();
  void Forget(Task* task);

  /// True when a task waits for a thread.
  bool crowded() const;

 private:
  void RunTasks();
  void Watch();

  const SchedulerOptions options_;
  mutable Mutex mutex_;
  std::condition_variable work_;
  std::condition_variable watch_;
  std::condition_variable forgotten_;
  struct Queued {
    std::shared_ptr<Task> task;
    bool is_new;
  };
  std::deque<Queued> queue_ GUARDED_BY(mutex_);
  int waiting_ GUARDED_BY(mutex_) = 0;
  std::unordered_map<Task*, std::shared_ptr<Task>> tasks_ GUARDED_BY(mutex_);
  bool draining_ GUARDED_BY(mutex_) = false;
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool wake_ GUARDED_BY(mutex_) = false;
  bool started_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
  std::thread watcher_;
};

}  // namespace arrowport::query
