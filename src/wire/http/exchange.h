// The answering side of one request: what every reply carries (request id, retry hint,
// error form) and what is counted about it.
#pragma once

#include <arrow/status.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "observe/metrics.h"
#include "wire/net/call.h"

namespace arrowport::wire::http {

struct Reply {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  net::Headers headers;
};

/// The error form of the contract: {"status":"error","code",...}; 429 and 503 with
/// Retry-After, 401 with WWW-Authenticate. REQUIRES: !status.ok().
Reply ErrorReply(const arrow::Status& status, const std::string& request_id);

/// Answers a call exactly once; later attempts do nothing. Thread-safe.
class Exchange {
 public:
  /// `route` labels the request in metrics; `metrics` may be null and outlives this.
  Exchange(std::shared_ptr<net::Call> call, std::string_view route,
           observe::Registry* metrics);

  net::Call& call() const { return *call_; }
  const std::shared_ptr<net::Call>& shared_call() const { return call_; }
  const net::RequestHead& head() const { return call_->head(); }

  /// A whole reply.
  void Send(Reply reply);
  /// The error reply, or, when a streamed answer has begun, its visible cut.
  void Fail(const arrow::Status& status);
  /// Begins an answer whose body follows through call().Write. False: already answered.
  bool BeginStream(std::string_view content_type);
  bool answered() const { return answered_.load(); }

 private:
  void Count(int status);

  const std::shared_ptr<net::Call> call_;
  const std::string_view route_;
  observe::Registry* const metrics_;
  std::atomic<bool> answered_{false};
  std::atomic<bool> streaming_{false};
};

}  // namespace arrowport::wire::http
