// A mutex that clang's thread-safety analysis understands (-Wthread-safety).
#pragma once

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <ctime>
#include <mutex>

#if defined(__clang__)
#define ARROWPORT_ANNOTATE(x) __attribute__((x))
#else
#define ARROWPORT_ANNOTATE(x)
#endif
#define GUARDED_BY(x) ARROWPORT_ANNOTATE(guarded_by(x))
#define PT_GUARDED_BY(x) ARROWPORT_ANNOTATE(pt_guarded_by(x))
#define REQUIRES(...) ARROWPORT_ANNOTATE(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) ARROWPORT_ANNOTATE(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) ARROWPORT_ANNOTATE(acquire_capability(__VA_ARGS__))
#define TRY_ACQUIRE(...) ARROWPORT_ANNOTATE(try_acquire_capability(__VA_ARGS__))
#define RELEASE(...) ARROWPORT_ANNOTATE(release_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS ARROWPORT_ANNOTATE(no_thread_safety_analysis)

namespace arrowport {

class ARROWPORT_ANNOTATE(capability("mutex")) Mutex {
 public:
  void Lock() ACQUIRE() { mutex_.lock(); }
  void Unlock() RELEASE() { mutex_.unlock(); }
  /// False when it is not free within `wait`.
  bool LockFor(std::chrono::milliseconds wait) TRY_ACQUIRE(true) {
    timespec deadline{};
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    const auto until = std::chrono::seconds(deadline.tv_sec) +
                       std::chrono::nanoseconds(deadline.tv_nsec) + wait;
    deadline.tv_sec = std::chrono::floor<std::chrono::seconds>(until).count();
    deadline.tv_nsec = (until - std::chrono::seconds(deadline.tv_sec)).count();
    return pthread_mutex_clocklock(mutex_.native_handle(), CLOCK_MONOTONIC, &deadline) ==
           0;
  }

 private:
  friend class MutexLock;
  std::mutex mutex_;
};

/// Holds a Mutex for a scope; may be released and taken again, and waited on.
class ARROWPORT_ANNOTATE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : lock_(mutex.mutex_) {}
  ~MutexLock() RELEASE() {}
  void Unlock() RELEASE() { lock_.unlock(); }
  void Lock() ACQUIRE() { lock_.lock(); }

  void Wait(std::condition_variable& condition) { condition.wait(lock_); }
  template <typename Time>
  std::cv_status WaitUntil(std::condition_variable& condition, Time deadline) {
    return condition.wait_until(lock_, deadline);
  }

 private:
  std::unique_lock<std::mutex> lock_;
};

}  // namespace arrowport
