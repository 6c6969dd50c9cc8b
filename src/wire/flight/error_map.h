// The one map from our failures to what a Flight client sees.
#pragma once

#include <arrow/status.h>

#include "base/error.h"
#include "wire/net/call.h"

namespace arrowport::wire::flight {

/// Codes of gRPC, by their numbers on the wire. FAILED_PRECONDITION, ABORTED and
/// OUT_OF_RANGE are left out on purpose: the Go driver turns them into UNKNOWN.
enum class GrpcStatus {
  kOk = 0,
  kCancelled = 1,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kUnauthenticated = 16,
};

/// Total over the enum.
GrpcStatus GrpcStatusOf(ErrorCode code);

/// How a call ends with `status` (also OK). Besides the gRPC status the trailers carry
/// `x-arrow-status` and `x-arrow-status-message-bin`, from which the C++ and Python
/// clients rebuild the exact arrow::Status; `arrowport-code`, our stable name; and
/// `retry-after` in seconds when it is known. A long message is cut: it travels in
/// headers.
net::Outcome OutcomeOf(const arrow::Status& status);

}  // namespace arrowport::wire::flight
