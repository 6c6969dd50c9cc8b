// Failures of Flight calls in the project's own vocabulary.
#pragma once

#include <arrow/flight/client_middleware.h>
#include <arrow/status.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/mutex.h"

namespace arrowport::client {

/// Trailer in which an Arrowport server names the ErrorCode of a failed call.
inline constexpr const char* kErrorCodeTrailer = "arrowport-code";
/// Trailer with seconds, as HTTP's header.
inline constexpr const char* kRetryAfterTrailer = "retry-after";

/// Keeps the error trailers of the last call that ended on each thread: the synchronous
/// Flight client ends a call on the thread that made it. Thread-safe.
class ErrorTrailers : public arrow::flight::ClientMiddlewareFactory {
 public:
  struct Seen {
    std::optional<ErrorCode> code;
    std::optional<int> retry_after_seconds;
  };

  void StartCall(const arrow::flight::CallInfo& info,
                 std::unique_ptr<arrow::flight::ClientMiddleware>* middleware) override;
  /// What this thread's last call left behind, once.
  Seen Take();

 private:
  class Middleware;
  void Keep(const arrow::flight::CallHeaders& headers);

  Mutex mutex_;
  std::map<std::thread::id, Seen> seen_ GUARDED_BY(mutex_);
};

/// `status` of a Flight call with our detail: by the server's trailer, else by the gRPC
/// status. OK and statuses that carry our detail already stay as they are.
arrow::Status FromFlight(const arrow::Status& status, ErrorTrailers& trailers);

}  // namespace arrowport::client
