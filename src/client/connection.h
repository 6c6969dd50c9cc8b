// One gRPC channel to a server, with the credentials of its calls.
#pragma once

#include <arrow/flight/client.h>
#include <arrow/result.h>

#include <memory>
#include <string>

#include "arrowport/options.h"
#include "client/flight_error.h"
#include "client/url.h"

namespace arrowport::client {

/// Thread-safe; shared by the readers and uploads that use it.
class Connection {
 public:
  /// Does not wait for the server. Errors: kBadConfig (TLS files), kInvalidArgument.
  static arrow::Result<std::shared_ptr<Connection>> Open(const ServerAddress& address,
                                                         const ClientOptions& options);
  ~Connection();

  arrow::flight::FlightClient& flight() { return *flight_; }
  arrow::flight::FlightCallOptions CallOptions() const;
  /// `status` of a call that ended on this thread, in our vocabulary.
  arrow::Status Translate(const arrow::Status& status);
  const ClientOptions& options() const { return options_; }

 private:
  Connection(ClientOptions options, std::string authorization);

  const ClientOptions options_;
  const std::string authorization_;
  const std::shared_ptr<ErrorTrailers> trailers_;
  std::unique_ptr<arrow::flight::FlightClient> flight_;
};

/// Value of an `authorization` header, or empty.
std::string AuthorizationHeader(const ClientOptions& options);

}  // namespace arrowport::client
