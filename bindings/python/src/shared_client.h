// arrowport.zerobus.Client: what several writers share.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <utility>

#include "arrowport/zerobus/writer.h"

namespace arrowport::python {

/// Its last owner ends threads that may wait for the interpreter lock.
struct SharedClient {
  explicit SharedClient(std::shared_ptr<zerobus::Client> shared)
      : client(std::move(shared)) {}
  SharedClient(const SharedClient&) = delete;
  SharedClient& operator=(const SharedClient&) = delete;
  ~SharedClient() {
    const nanobind::gil_scoped_release unlocked;
    client.reset();
  }

  std::shared_ptr<zerobus::Client> client;
};

}  // namespace arrowport::python
