#include "base/byte_budget.h"

#include "base/error.h"

namespace arrowport {

void ByteBudget::Charge(int64_t bytes) {
  MutexLock lock(mutex_);
  used_bytes_ += bytes;
}

bool ByteBudget::TryReserve(int64_t bytes) {
  MutexLock lock(mutex_);
  if (used_bytes_ > 0 && used_bytes_ + bytes > limit_bytes_) return false;
  used_bytes_ += bytes;
  return true;
}

void ByteBudget::Release(int64_t bytes) {
  std::list<std::pair<uint64_t, std::function<void()>>> ready;
  {
    MutexLock lock(mutex_);
    used_bytes_ -= bytes;
    ARROWPORT_CHECK(used_bytes_ >= 0);
    if (used_bytes_ <= limit_bytes_) ready.swap(waiters_);
  }
  for (auto& [id, resume] : ready) resume();
}

bool ByteBudget::over() const {
  MutexLock lock(mutex_);
  return used_bytes_ > limit_bytes_;
}

int64_t ByteBudget::used_bytes() const {
  MutexLock lock(mutex_);
  return used_bytes_;
}

int64_t ByteBudget::limit_bytes() const {
  MutexLock lock(mutex_);
  return limit_bytes_;
}

void ByteBudget::set_limit_bytes(int64_t limit_bytes) {
  std::list<std::pair<uint64_t, std::function<void()>>> ready;
  {
    MutexLock lock(mutex_);
    limit_bytes_ = limit_bytes;
    if (used_bytes_ <= limit_bytes_) ready.swap(waiters_);
  }
  for (auto& [id, resume] : ready) resume();
}

uint64_t ByteBudget::WhenBelow(std::function<void()> resume) {
  {
    MutexLock lock(mutex_);
    if (used_bytes_ > limit_bytes_) {
      uint64_t id = next_id_++;
      waiters_.emplace_back(id, std::move(resume));
      return id;
    }
  }
  resume();
  return 0;
}

bool ByteBudget::Forget(uint64_t id) {
  MutexLock lock(mutex_);
  for (auto it = waiters_.begin(); it != waiters_.end(); ++it) {
    if (it->first == id) {
      waiters_.erase(it);
      return true;
    }
  }
  return false;
}

}  // namespace arrowport
