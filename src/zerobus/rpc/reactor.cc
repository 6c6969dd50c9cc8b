#include "zerobus/rpc/reactor.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/error.h"

namespace arrowport::zerobus::rpc {

arrow::Result<std::unique_ptr<Reactor>> Reactor::Start() {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return Error(ErrorCode::kInternal, "epoll: ", std::strerror(errno));
  const int wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake < 0) {
    close(epoll);
    return Error(ErrorCode::kInternal, "eventfd: ", std::strerror(errno));
  }
  std::unique_ptr<Reactor> reactor(new Reactor(epoll, wake));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &event) != 0) {
    return Error(ErrorCode::kInternal, "epoll: ", std::strerror(errno));
  }
  try {
    reactor->thread_ = std::thread([self = reactor.get()] { self->Run(); });
  } catch (const std::system_error& error) {
    return Error(ErrorCode::kInternal, "no thread for the client: ", error.what());
  }
  return reactor;
}

Reactor::~Reactor() {
  Post([this] { stopping_ = true; });
  if (thread_.joinable()) thread_.join();
  close(wake_);
  close(epoll_);
}

void Reactor::Post(std::function<void()> task) {
  {
    MutexLock lock(mutex_);
    posted_.push_back(std::move(task));
    if (posted_.size() > 1) return;  // the first one woke the thread
  }
  const uint64_t one = 1;
  // A full counter means that the thread is awake already.
  [[maybe_unused]] ssize_t written = write(wake_, &one, sizeof(one));
}

Reactor::TimerId Reactor::RunAt(TimePoint time, std::function<void()> task) {
  TimerId id{time, next_id_++};
  timers_.emplace(id, std::move(task));
  return id;
}

arrow::Result<uint64_t> Reactor::Watch(int socket, uint32_t events,
                                       SocketHandler* handler) {
  const uint64_t id = next_id_++;
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event) != 0) {
    return Error(ErrorCode::kInternal, "epoll: ", std::strerror(errno));
  }
  watched_[id] = {socket, events, handler};
  return id;
}

void Reactor::SetEvents(uint64_t watch, uint32_t events) {
  auto it = watched_.find(watch);
  if (it == watched_.end() || it->second.events == events) return;
  it->second.events = events;
  epoll_event event{};
  event.events = events;
  event.data.u64 = watch;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, it->second.socket, &event);
}

void Reactor::Unwatch(uint64_t watch) {
  auto it = watched_.find(watch);
  if (it == watched_.end()) return;
  epoll_ctl(epoll_, EPOLL_CTL_DEL, it->second.socket, nullptr);
  watched_.erase(it);
}

int Reactor::WaitMs() {
  {
    MutexLock lock(mutex_);
    if (!posted_.empty()) return 0;
  }
  if (timers_.empty()) return -1;
  const auto left = timers_.begin()->first.first - std::chrono::steady_clock::now();
  // Rounded up: a timer that is early by a fraction would spin.
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::clamp<int64_t>(wait, 0, 60'000));
}

void Reactor::RunTimers() {
  const TimePoint now = std::chrono::steady_clock::now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto task = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    task();
  }
}

bool Reactor::RunPosted() {
  std::vector<std::function<void()>> tasks;
  {
    MutexLock lock(mutex_);
    tasks.swap(posted_);
  }
  for (auto& task : tasks) task();
  return !tasks.empty();
}

void Reactor::Run() {
  std::array<epoll_event, 64> events;
  while (!stopping_) {
    const int count = epoll_wait(epoll_, events.data(), events.size(), WaitMs());
    for (int i = 0; i < count; ++i) {
      // A copy: epoll_event is packed, no reference may be bound to its members.
      const uint64_t id = events[i].data.u64;
      if (id == 0) {
        uint64_t drained;
        [[maybe_unused]] ssize_t size = read(wake_, &drained, sizeof(drained));
        continue;
      }
      // Looked up for each event: an earlier one may have ended this socket.
      auto it = watched_.find(id);
      if (it != watched_.end()) it->second.handler->OnSocket(events[i].events);
    }
    RunTimers();
    RunPosted();
  }
  // What the last tasks left behind (connections to close) is still the thread's to do.
  while (RunPosted()) {
  }
}

}  // namespace arrowport::zerobus::rpc
