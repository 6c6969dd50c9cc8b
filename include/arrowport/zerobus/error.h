// What a failure of the Zerobus client means. Functions return arrow::Status; ask here,
// never branch on a message.
#pragma once

#include <arrow/status.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace arrowport::zerobus {

enum class ErrorKind {
  kConfiguration,   ///< an option, a certificate, a table name: fix it, then start again
  kAuthentication,  ///< the service or the token endpoint refused the credentials
  kConnection,      ///< no connection, or it was lost before the stream was open
  kConversion,      ///< a row or a batch cannot be written in the table's types
  kSchema,          ///< the service refused the schema; SchemaCauses says why
  kTransmission,    ///< the service or the connection failed while rows were under way
  kProtocol,        ///< the service broke the protocol
  kRetryExhausted,  ///< every attempt of an outage failed; the text holds the last cause
  kTokenRefresh,    ///< no token could be had, though the endpoint may answer later
  kClosed,          ///< the writer was closed, or the wait for it was given up
};

/// "Configuration", "Authentication" ...: stable.
std::string_view ErrorKindName(ErrorKind kind);

/// True for kConnection and kTransmission: the same call may succeed later.
bool IsRetryable(ErrorKind kind);

/// Facts of a failure beyond its text.
struct ErrorFacts {
  ErrorKind kind = ErrorKind::kTransmission;
  bool retryable = false;
  /// Final gRPC status of the call that failed, when there was one.
  std::optional<int> grpc_status;
  /// "Error Code: N" of the service (4033, 6002, 6006, 8001 ...). For logs and people.
  std::optional<int> service_code;
  /// FIELD_NOT_IN_TABLE, MISSING_REQUIRED_COLUMN, FIELD_OUT_OF_ORDER, TYPE_INCOMPATIBLE,
  /// FIELD_COUNT_MISMATCH, or others as the service named them. Only with kSchema.
  std::vector<std::string> schema_causes;
};

/// Facts of any failed status of this library. REQUIRES: !status.ok().
ErrorFacts FactsOf(const arrow::Status& status);
/// FactsOf(status).kind, cheaper. REQUIRES: !status.ok().
ErrorKind KindOf(const arrow::Status& status);

}  // namespace arrowport::zerobus
