// arrowport.zerobus.Telemetry and DebugFiles: observers that stay in C++.
#pragma once

#include <memory>

#include "arrowport/zerobus/debug_files.h"
#include "arrowport/zerobus/telemetry.h"
#include "kept_object.h"
#include "retired.h"

namespace arrowport::python {

/// Its last owner ends threads that may wait for the interpreter lock.
template <typename T>
class Watcher {
 public:
  explicit Watcher(std::shared_ptr<T> watcher) : watcher_(std::move(watcher)) {}
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  ~Watcher() {
    if (InCallback()) {
      Retire(std::move(watcher_));
      return;
    }
    const nb::gil_scoped_release unlocked;
    watcher_.reset();
  }
  const std::shared_ptr<T>& get() const { return watcher_; }

 private:
  std::shared_ptr<T> watcher_;
};

using TelemetryHandle = Watcher<zerobus::Telemetry>;
using DebugFilesHandle = Watcher<zerobus::DebugFiles>;

}  // namespace arrowport::python
