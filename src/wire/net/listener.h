// The one listener: every port speaks HTTP/1.1 and gRPC over HTTP/2 (prior knowledge;
// with TLS by ALPN). I/O threads own connections; handlers run on a worker pool; no
// thread is held by an open call. Limits of time and memory apply from the first byte.
#pragma once

#include <arrow/result.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/byte_budget.h"
#include "wire/net/call.h"

namespace arrowport::wire::net {

/// Told of what happens on the wire; called on I/O threads, must be quick. Thread-safe.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void OnConnection(Protocol protocol, int change) {}  ///< +1 opened, -1 closed
  virtual void OnRejected(std::string_view reason) {}  ///< connection or call refused
};

struct ListenerOptions {
  int io_threads = 0;      ///< 0: one per core
  int worker_threads = 0;  ///< 0: max(4, 2 per core)
  int64_t message_bytes_max = 256 << 20;
  int64_t request_memory_max = 64 << 20;  ///< undelivered bytes one call may hold
  std::shared_ptr<ByteBudget> budget;     ///< all calls together; null: none
  int64_t pool_idle_bytes_max = 64 << 20;
  int connections_max = 10000;
  int connections_per_address_max =
      1000;  ///< loopback peers count only against the total
  int requests_in_flight_max = 256;
  std::chrono::milliseconds queue_wait{5000};
  std::chrono::milliseconds header_timeout{10000};
  int64_t body_rate_min_bytes =
      1024;  ///< per second, over body_rate_window; HTTP/1.1 bodies
  std::chrono::milliseconds body_rate_window{30000};
  std::chrono::milliseconds idle_timeout{300000};  ///< connections without an open call
  std::chrono::milliseconds write_stall_timeout{60000};
  std::chrono::milliseconds keepalive_interval{30000};  ///< HTTP/2 PING from us
  int64_t write_high_bytes = 2 << 20;
  int64_t write_low_bytes = 1 << 20;
  std::shared_ptr<Router> router;
  std::shared_ptr<Observer> observer;  ///< may be null
};

/// Thread-safe after Start.
class Listener {
 public:
  static arrow::Result<std::unique_ptr<Listener>> Make(ListenerOptions options);
  virtual ~Listener() = default;

  /// Binds every address that `host` names on `port` (0: any free one) and returns the
  /// port. Call before Start, once per port. Errors: kUnreachable naming the port and,
  /// where /proc tells, the process that holds it.
  virtual arrow::Result<uint16_t> Bind(const std::string& host, uint16_t port) = 0;
  virtual arrow::Status Start() = 0;
  /// Drains: no new connections or calls (GOAWAY; `Connection: close`; kDraining), waits
  /// for open calls up to `grace`, then cuts them. Returns the number of calls cut.
  /// Idempotent.
  virtual int Stop(std::chrono::milliseconds grace) = 0;

  virtual int64_t open_connections() const = 0;
  virtual int64_t open_calls() const = 0;
  virtual const std::shared_ptr<BufferPool>& pool() const = 0;
};

}  // namespace arrowport::wire::net
