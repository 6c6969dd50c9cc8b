#include "wire/net/limits.h"

#include <algorithm>

namespace arrowport::wire::net {

CallSlots::Answer CallSlots::Acquire(std::function<void()> granted, uint64_t* ticket) {
  MutexLock lock(mutex_);
  if (taken_ < slots_max_ && queue_.empty()) {
    ++taken_;
    return Answer::kTaken;
  }
  if (static_cast<int64_t>(queue_.size()) >= queued_max_) return Answer::kRefused;
  *ticket = next_ticket_++;
  queue_.emplace_back(*ticket, std::move(granted));
  return Answer::kQueued;
}

void CallSlots::AcquireExempt() {
  MutexLock lock(mutex_);
  ++taken_;
}

bool CallSlots::Forget(uint64_t ticket) {
  std::function<void()> dropped;
  MutexLock lock(mutex_);
  auto it = std::find_if(queue_.begin(), queue_.end(),
                         [&](const auto& entry) { return entry.first == ticket; });
  if (it == queue_.end()) return false;
  dropped = std::move(it->second);
  queue_.erase(it);
  return true;
}

void CallSlots::Release() {
  std::function<void()> granted;
  {
    MutexLock lock(mutex_);
    --taken_;
    if (taken_ == 0) none_.notify_all();
    if (taken_ >= slots_max_ || queue_.empty()) return;
    ++taken_;
    granted = std::move(queue_.front().second);
    queue_.pop_front();
  }
  granted();
}

void CallSlots::WaitNone() {
  MutexLock lock(mutex_);
  while (taken_ > 0) lock.Wait(none_);
}

int64_t CallSlots::taken() const {
  MutexLock lock(mutex_);
  return taken_;
}

std::string_view ConnectionCounts::Open(const Peer& peer) {
  MutexLock lock(mutex_);
  if (open_ >= connections_max_) return "connections_max";
  if (!peer.loopback) {
    int& count = by_address_[peer.address];
    if (count >= per_address_max_) return "connections_per_address_max";
    ++count;
  }
  ++open_;
  return {};
}

void ConnectionCounts::Close(const Peer& peer) {
  MutexLock lock(mutex_);
  --open_;
  if (open_ == 0) none_.notify_all();
  if (peer.loopback) return;
  auto it = by_address_.find(peer.address);
  if (it != by_address_.end() && --it->second == 0) by_address_.erase(it);
}

void ConnectionCounts::WaitNone(TimePoint deadline) {
  MutexLock lock(mutex_);
  while (open_ > 0) {
    if (lock.WaitUntil(none_, deadline) == std::cv_status::timeout) return;
  }
}

int64_t ConnectionCounts::open() const {
  MutexLock lock(mutex_);
  return open_;
}

bool RateLimit::Take(TimePoint now) {
  if (last_ != TimePoint{}) {
    double elapsed = std::chrono::duration<double>(now - last_).count();
    tokens_ = std::min(burst_, tokens_ + elapsed * per_second_);
  }
  last_ = now;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

}  // namespace arrowport::wire::net
