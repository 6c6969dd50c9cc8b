#include "emulator/timers.h"

#include <utility>

namespace arrowport::emulator {

using std::chrono::steady_clock;

Timers::Timers(double scale) : scale_(scale), thread_([this] { Run(); }) {}

void Timers::After(std::chrono::milliseconds delay, std::function<void()> task) {
  const auto scaled = std::chrono::duration_cast<steady_clock::duration>(
      std::chrono::duration<double, std::milli>(
          static_cast<double>(delay.count()) * scale_));
  MutexLock lock(mutex_);
  if (stopped_) return;
  waiting_.emplace(steady_clock::now() + scaled, std::move(task));
  changed_.notify_one();
}

std::chrono::milliseconds Timers::Scaled(std::chrono::milliseconds delay) const {
  return std::chrono::milliseconds(
      static_cast<int64_t>(static_cast<double>(delay.count()) * scale_));
}

void Timers::Stop() {
  std::multimap<steady_clock::time_point, std::function<void()>> dropped;
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    dropped.swap(waiting_);
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Timers::Run() {
  MutexLock lock(mutex_);
  while (!stopped_) {
    if (waiting_.empty()) {
      lock.Wait(changed_);
      continue;
    }
    const auto first = waiting_.begin();
    if (first->first > steady_clock::now()) {
      // A copy: an earlier task may take the first place meanwhile.
      const auto due = first->first;
      lock.WaitUntil(changed_, due);
      continue;
    }
    std::function<void()> task = std::move(first->second);
    waiting_.erase(first);
    lock.Unlock();
    task();
    task = nullptr;
    lock.Lock();
  }
}

}  // namespace arrowport::emulator
