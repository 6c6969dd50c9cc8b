#include "server/signals.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/error.h"

namespace arrowport::server {
namespace {

sigset_t Watched() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

SignalWatcher::SignalWatcher() {
  sigset_t set = Watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // A peer that goes away must be an error of the write, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
}

SignalWatcher::~SignalWatcher() {
  Stop();
  if (signal_fd_ >= 0) close(signal_fd_);
  if (stop_fd_ >= 0) close(stop_fd_);
}

arrow::Status SignalWatcher::Start() {
  sigset_t set = Watched();
  signal_fd_ = signalfd(-1, &set, SFD_CLOEXEC);
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  if (signal_fd_ < 0 || stop_fd_ < 0) {
    return Error(ErrorCode::kInternal, "cannot watch signals: ", std::strerror(errno));
  }
  thread_ = std::thread([this] { Run(); });
  return {};
}

void SignalWatcher::Run() {
  pollfd watched[2] = {{signal_fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
  while (true) {
    if (poll(watched, 2, -1) < 0 && errno != EINTR) return;
    if (watched[1].revents) return;
    signalfd_siginfo info{};
    if (!(watched[0].revents & POLLIN) || read(signal_fd_, &info, sizeof(info)) <= 0) continue;
    MutexLock lock(mutex_);
    if (first_signal_) _exit(128 + static_cast<int>(info.ssi_signo));
    first_signal_ = static_cast<int>(info.ssi_signo);
    arrived_.notify_all();
  }
}

int SignalWatcher::Wait() {
  MutexLock lock(mutex_);
  while (!first_signal_) lock.Wait(arrived_);
  return first_signal_;
}

void SignalWatcher::Stop() {
  if (!thread_.joinable()) return;
  uint64_t one = 1;
  if (write(stop_fd_, &one, sizeof(one)) != sizeof(one)) CheckFailed("eventfd", __FILE__, __LINE__);
  thread_.join();
}

}  // namespace arrowport::server
