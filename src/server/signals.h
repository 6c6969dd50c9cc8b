// SIGTERM and SIGINT as something to wait for: the first asks for a drain, the second ends the
// process at once.
#pragma once

#include <condition_variable>
#include <functional>
#include <thread>

#include <arrow/status.h>

#include "base/mutex.h"

namespace arrowport::server {

/// Blocks the two signals for the process; construct before any other thread starts, so that all
/// inherit the mask. Wait and Stop from one thread.
class SignalWatcher {
 public:
  SignalWatcher();
  ~SignalWatcher();
  arrow::Status Start();
  /// Returns when the first signal came, with its number.
  int Wait();
  void Stop();

 private:
  void Run();

  int signal_fd_ = -1;
  int stop_fd_ = -1;
  std::thread thread_;
  Mutex mutex_;
  std::condition_variable arrived_;
  int first_signal_ GUARDED_BY(mutex_) = 0;
};

}  // namespace arrowport::server
