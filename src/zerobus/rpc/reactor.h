// The I/O thread of a client: sockets by epoll, timers, and work posted by others.
#pragma once

#include <arrow/result.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace arrowport::zerobus::rpc {

using TimePoint = std::chrono::steady_clock::time_point;

/// Told about a watched socket, on the I/O thread.
class SocketHandler {
 public:
  virtual ~SocketHandler() = default;
  /// `events`: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP.
  virtual void OnSocket(uint32_t events) = 0;
};

/// One thread. Post and OnThread are thread-safe; the rest belongs to the I/O thread.
/// What it runs must not block and must not destroy the reactor.
class Reactor {
 public:
  using TimerId = std::pair<TimePoint, uint64_t>;

  /// Errors: kInternal (no descriptors or threads left).
  static arrow::Result<std::unique_ptr<Reactor>> Start();
  /// Runs what was posted before, then ends. Pending timers do not run.
  ~Reactor();

  /// Runs `task` on the I/O thread, in order of posting, never inside this call.
  void Post(std::function<void()> task);
  bool OnThread() const { return std::this_thread::get_id() == thread_.get_id(); }

  TimerId RunAt(TimePoint time, std::function<void()> task);
  void CancelTimer(const TimerId& timer) { timers_.erase(timer); }

  /// Watches `socket`; the id is for the two below. Errors: kInternal.
  arrow::Result<uint64_t> Watch(int socket, uint32_t events, SocketHandler* handler);
  void SetEvents(uint64_t watch, uint32_t events);
  /// After this the handler is not called again.
  void Unwatch(uint64_t watch);

 private:
  struct Watched {
    int socket;
    uint32_t events;
    SocketHandler* handler;
  };

  Reactor(int epoll, int wake) : epoll_(epoll), wake_(wake) {}
  void Run();
  int WaitMs();
  void RunTimers();
  bool RunPosted();

  const int epoll_;
  const int wake_;
  std::atomic<bool> stopping_{false};
  Mutex mutex_;
  std::vector<std::function<void()>> posted_ GUARDED_BY(mutex_);
  // The I/O thread's own.
  std::map<TimerId, std::function<void()>> timers_;
  std::unordered_map<uint64_t, Watched> watched_;
  uint64_t next_id_ = 1;
  std::thread thread_;
};

}  // namespace arrowport::zerobus::rpc
